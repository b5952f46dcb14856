"""Memory is estimated before anything is loaded, and the error says what would fit."""

import re
from pathlib import Path
from typing import Any

import pytest
import torch
from transformers import LlamaConfig, LlamaForCausalLM

from rag_adapt.adapters import lora
from rag_adapt.adapters.estimate import (
    PackSize,
    Shape,
    estimate,
    pack_sizes,
    require_memory,
    shape_of,
)
from rag_adapt.adapters.fit import Tokens
from rag_adapt.adapters.pack import TokenRow, answer_losses, packs
from rag_adapt.adapters.store import AdapterStore
from rag_adapt.adapters.train import train
from rag_adapt.core.errors import AdapterError
from rag_adapt.models.chat import ChatFormat
from tests.adapters.samples import base, plan

SEVEN = Shape(
    parameters=6_738_000_000,
    linear=6_476_000_000,
    sides=2_498_560,
    modules=224,
    hidden=4096,
    mlp=11008,
    layers=32,
    heads=32,
    vocabulary=32000,
)
"""Llama 2 7B."""
SIZE = PackSize(tokens=640, answers=40)


def rows(count: int = 8, tokens: int = 100) -> Tokens:
    return Tokens(
        rows=tuple(TokenRow(prompt=(n,) * (tokens - 4), answer=(6,) * 4) for n in range(count))
    )


def test_the_shape_is_read_from_the_configuration_alone(tiny_model: Path) -> None:
    from transformers import AutoModelForCausalLM

    shape = shape_of(tiny_model)
    assert shape is not None
    model = AutoModelForCausalLM.from_pretrained(tiny_model)
    assert shape.parameters == sum(parameter.numel() for parameter in model.parameters())
    adapted = lora.adapt(model, plan(rank=4))
    trained = sum(tensor.numel() for tensor in lora.weights_of(adapted).values())
    assert 4 * shape.sides == trained
    assert (shape.modules, shape.layers, shape.hidden, shape.mlp) == (14, 2, 64, 128)
    assert shape_of(tiny_model / "nowhere") is None


@pytest.mark.parametrize("dtype", ["bfloat16", "float32"])
@pytest.mark.parametrize("attention", ["eager", "sdpa"])
@pytest.mark.parametrize("checkpointing", [False, True])
def test_activations_are_what_the_forward_pass_keeps(
    dtype: str, attention: str, checkpointing: bool, tmp_path: Path
) -> None:
    config = LlamaConfig(
        vocab_size=300,
        hidden_size=128,
        intermediate_size=384,
        num_hidden_layers=4,
        num_attention_heads=4,
        num_key_value_heads=2,
    )
    model = LlamaForCausalLM(config).to(getattr(torch, dtype)).requires_grad_(False)
    model.set_attn_implementation(attention)
    made = plan(gradient_checkpointing=checkpointing)
    adapted = lora.adapt(model, made)
    adapted.peft.train()
    count = 300 if attention == "eager" else 700
    (pack,) = packs([TokenRow(prompt=(5,) * (count - 4), answer=(6,) * 4)], share=True)
    known = {weight.untyped_storage().data_ptr() for weight in adapted.peft.parameters()}
    kept: dict[int, torch.Tensor] = {}

    def keep(tensor: torch.Tensor) -> torch.Tensor:
        if tensor.untyped_storage().data_ptr() not in known:
            kept[tensor.untyped_storage().data_ptr()] = tensor
        return tensor

    with torch.autograd.graph.saved_tensors_hooks(keep, lambda it: it), lora.computing(adapted):
        answer_losses(adapted.peft, pack, adapted.dtype)
    measured = sum(tensor.untyped_storage().nbytes() for tensor in kept.values())
    config.save_pretrained(tmp_path)
    shape = shape_of(tmp_path)
    assert shape is not None
    on = base(tmp_path, dtype=dtype)
    found = estimate(shape, made, on, [PackSize(tokens=len(pack.ids), answers=4)])
    if checkpointing:  # what is kept, without the one layer that is computed again
        layer = estimate(shape, plan(), on, [PackSize(tokens=len(pack.ids), answers=4)])
        found_bytes = found.activations - 2 * layer.activations / (shape.layers + 1)
        assert found_bytes / measured == pytest.approx(0.75, abs=0.25)
    else:
        found_bytes = found.activations * shape.layers / (shape.layers + 1)
        assert found_bytes / measured == pytest.approx(1.0, abs=0.1)


def test_seven_billion_parameters_take_what_is_known_of_them(tmp_path: Path) -> None:
    gpu = base(tmp_path, device="cuda", dtype="bfloat16")
    full = estimate(SEVEN, plan(rank=8), gpu, [SIZE])
    assert full.weights == pytest.approx(13.5e9, rel=0.01)
    assert full.adapter == 8 * SEVEN.sides * 16
    four = estimate(SEVEN, plan(rank=8), base(tmp_path, device="cuda", four_bit=True), [SIZE])
    assert four.weights == pytest.approx(4.4e9, rel=0.05)
    light = estimate(SEVEN, plan(rank=8, gradient_checkpointing=True), gpu, [SIZE])
    assert light.activations < full.activations / 5


def test_the_largest_pack_counts_and_smaller_batches_make_smaller_packs() -> None:
    four, one = (pack_sizes(plan(count=8, batch_size=size), rows(tokens=80)) for size in (4, 1))
    assert max(size.tokens for size in four) > 3 * max(size.tokens for size in one)
    assert sum(size.answers for size in one) == sum(size.answers for size in four) == 32


def needed(model: Path, **more: Any) -> int:
    found = require_memory(plan(**more), rows(), base(model), available=1 << 40)
    assert found is not None
    return found.total


def test_what_would_not_fit_is_refused_with_what_would(tiny_model: Path) -> None:
    enough = needed(tiny_model)
    assert require_memory(plan(), rows(), base(tiny_model), available=enough) is not None
    with pytest.raises(AdapterError, match=r"needs about .* of memory \(weights .* available") as e:
        require_memory(plan(), rows(), base(tiny_model), available=enough - 1)
    assert "--batch-size 1 (about " in e.value.hint
    assert "--gradient-checkpointing (about " in e.value.hint
    assert "--gradient-checkpointing --batch-size 1 (about" in e.value.hint
    smallest = needed(tiny_model, gradient_checkpointing=True, batch_size=1, rank=4, alpha=8)
    with pytest.raises(AdapterError) as only:
        require_memory(plan(), rows(), base(tiny_model), available=smallest)
    named = re.findall(r"--[a-z-]+(?: \d+)?", only.value.hint)
    assert named[:3] == ["--gradient-checkpointing", "--batch-size 1", "--rank 4"]
    with pytest.raises(AdapterError, match="GPU memory") as none:
        require_memory(plan(), rows(), base(tiny_model, device="cuda"), available=1000)
    assert "No setting would make it fit" in none.value.hint


def test_a_model_whose_shape_is_unknown_is_not_judged(tmp_path: Path) -> None:
    assert require_memory(plan(), rows(), base(tmp_path), available=1) is None


def test_gradient_checkpointing_learns_the_same(tiny_model: Path, tmp_path: Path) -> None:
    chat = ChatFormat.load(tiny_model)

    def trained(folder: str, checkpointing: bool) -> list[float]:
        made = plan(dev=(), epochs=2, gradient_checkpointing=checkpointing)
        card = train(made, base=base(tiny_model), chat=chat, store=AdapterStore(tmp_path / folder))
        assert card.settings.gradient_checkpointing is checkpointing
        return [point.loss for point in card.loss_curve]

    assert trained("light", True) == pytest.approx(trained("plain", False), abs=1e-4)
