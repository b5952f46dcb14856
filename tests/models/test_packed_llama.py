"""Rows laid end to end get the logits that the model itself would give each of them."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from rag_adapt.core.types import AdapterRef
from rag_adapt.engines.embedded_adapters import BASE, AdapterBank, inner_name
from rag_adapt.engines.embedded_batch import Prompt, Runner
from rag_adapt.models.packed_llama import PackedLlama
from tests.engines.embedded_parts import make_adapter

SIZES = (30, 7, 19, 70)
KEEP = 3


def load(folder: Path, dtype: torch.dtype) -> Any:
    from transformers import AutoModelForCausalLM

    return AutoModelForCausalLM.from_pretrained(folder, dtype=torch.bfloat16).to(dtype).eval()


@pytest.fixture
def model(tiny_model: Path) -> Any:
    model = load(tiny_model, torch.bfloat16)
    if not PackedLlama.fits(model):
        pytest.skip("torch does not use bfloat16 on this processor")
    return model


def prompts(adapters: tuple[str, ...] = (BASE,)) -> list[Prompt]:
    chance = np.random.default_rng(0)
    return [
        Prompt(tokens=chance.integers(3, 250, size), adapter=adapters[place % len(adapters)])
        for place, size in enumerate(SIZES)
    ]


def alike(found: torch.Tensor, expected: torch.Tensor, *, least: float = 0.999) -> bool:
    """Whether only rounding lies between them."""
    near = torch.cosine_similarity(found.float(), expected.float(), dim=-1) > least
    return found.shape == expected.shape and bool(near.all())


@pytest.mark.parametrize("wide", [40, 8192], ids=["many parts", "one part"])
@torch.inference_mode()
def test_rows_of_different_lengths_do_not_see_each_other(
    model: Any, tiny_model: Path, wide: int
) -> None:
    packed, exact = PackedLlama(model), load(tiny_model, torch.float32)
    runner = Runner(model, device="cpu", plain=False, wide=wide)

    def forward(adapters: list[str], **inputs: Any) -> Any:
        return packed(**inputs)

    filled, logits = runner.fill(prompts(), forward, KEEP)
    rows = [prompt.tokens for prompt in prompts()]
    for tokens, found in zip(rows, logits, strict=True):
        assert alike(found, exact(torch.from_numpy(tokens)[None]).logits[0, -KEEP:])
    filled.drop(1)
    rows = [rows[0], rows[3], rows[2]]
    stepped = runner.step(filled, [40, 41, 42], forward)
    for place, tokens in enumerate(rows):
        whole = torch.from_numpy(np.append(tokens, 40 + place))[None]
        assert alike(stepped[place], exact(whole).logits[0, -1])
    assert not alike(stepped[0], stepped[1])


@torch.inference_mode()
def test_a_row_goes_on_from_keys_and_values_that_are_known(model: Any, tiny_model: Path) -> None:
    packed, exact = PackedLlama(model), load(tiny_model, torch.float32)
    runner = Runner(model, device="cpu", plain=False)

    def forward(adapters: list[str], **inputs: Any) -> Any:
        return packed(**inputs)

    long, short = prompts()[3], prompts()[1]
    begun, _ = runner.fill([Prompt(tokens=long.tokens[:50], adapter=BASE)], forward)
    rest = Prompt(tokens=long.tokens, adapter=BASE, prefix=begun.buffers.prefix(0, 50))
    _, logits = runner.fill([rest, short], forward)
    for prompt, found in zip((long, short), logits, strict=True):
        assert alike(found, exact(torch.from_numpy(prompt.tokens)[None]).logits[0, -1:])


@pytest.mark.parametrize(
    "targets",
    [["q_proj", "k_proj", "o_proj"], ["v_proj", "up_proj"], ["gate_proj", "down_proj", "lm_head"]],
)
@torch.inference_mode()
def test_every_row_has_its_own_adapter(
    model: Any, tiny_model: Path, tmp_path: Path, targets: Any
) -> None:
    refs = [
        make_adapter(tiny_model, tmp_path, name, rank=rank, target_modules=targets)
        for name, rank in (("codes", 4), ("dates", 8))
    ]
    ours, theirs = (
        AdapterBank(each, device="cpu", plain=plain)
        for each, plain in ((model, False), (load(tiny_model, torch.float32), True))
    )
    used = (inner_name(refs[0].version), BASE, inner_name(refs[1].version))

    def logits() -> tuple[torch.Tensor, torch.Tensor]:
        asked = prompts(used)
        found = [
            Runner(each._base, device="cpu", plain=plain).fill(asked, each.forward)[1]
            for each, plain in ((ours, False), (theirs, True))
        ]
        return found[0], found[1]

    def load_both(ref: AdapterRef) -> None:
        ours.load(ref)
        theirs.load(ref)

    for ref in refs:
        load_both(ref)
    found, expected = logits()
    assert alike(found, expected, least=0.995)  # these adapters enlarge what is rounded
    bare = Runner(model, device="cpu", plain=False).fill(prompts(), ours.forward)[1]
    assert alike(found[1], bare[1])
    assert not alike(found[0], bare[0], least=0.995)
    for ref in refs:
        ours.unload(ref.version)
    assert torch.equal(
        Runner(model, device="cpu", plain=False).fill(prompts(), ours.forward)[1], bare
    )


@torch.inference_mode()
def test_a_model_whose_place_is_taken_holds_no_weights_and_says_so(model: Any) -> None:
    twin, ids = PackedLlama(model), torch.ones(1, 4, dtype=torch.long)
    packed = PackedLlama(model, instead=True)
    prompt = prompts()[:1]
    runner = Runner(model, device="cpu", plain=False)
    expected, found = (
        runner.fill(prompt, lambda adapters, each=each, **inputs: each(**inputs))[1]
        for each in (twin, packed)
    )
    assert torch.equal(found, expected)
    weight = model.model.layers[0].self_attn.q_proj.weight
    assert weight.untyped_storage().nbytes() < weight.nbytes
    with pytest.raises(RuntimeError, match="given up"):
        model(ids)


@pytest.mark.parametrize(
    "other",
    [
        pytest.param({"hidden_act": "gelu"}, id="another activation"),
        pytest.param({"dtype": torch.float32}, id="another precision"),
    ],
)
def test_what_would_compute_something_else_does_not_fit(
    tiny_model: Path, other: dict[str, Any]
) -> None:
    from transformers import AutoConfig, AutoModelForCausalLM

    dtype = other.pop("dtype", torch.bfloat16)
    config = AutoConfig.from_pretrained(tiny_model, **other)
    assert not PackedLlama.fits(AutoModelForCausalLM.from_config(config, dtype=dtype))
