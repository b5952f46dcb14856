"""A base model in four bits: asked for clearly, trained on, and proven on what serves."""

from importlib.util import find_spec
from pathlib import Path

import pytest
import torch

from rag_adapt.adapters.four_bit import load_in_full, with_adapter
from rag_adapt.adapters.store import AdapterStore
from rag_adapt.adapters.train import train
from rag_adapt.core.errors import AdapterError, MissingPackageError
from rag_adapt.models.chat import ChatFormat
from rag_adapt.models.files import ModelFiles
from tests.adapters.samples import base, plan

THERE = find_spec("bitsandbytes") is not None


def asked_for(model: Path, home: Path, device: str) -> None:
    train(
        plan(),
        base=base(model, four_bit=True, device=device),
        chat=ChatFormat.load(model),
        store=AdapterStore(home),
    )


@pytest.mark.skipif(THERE, reason="bitsandbytes is installed")
def test_without_the_package_the_line_that_installs_it_is_named(
    tiny_model: Path, tmp_path: Path
) -> None:
    with pytest.raises(MissingPackageError, match="needs the package 'bitsandbytes'") as caught:
        asked_for(tiny_model, tmp_path, "cuda")
    assert "pip install 'bitsandbytes" in caught.value.hint


def test_without_a_gpu_four_bits_are_refused(tiny_model: Path, tmp_path: Path) -> None:
    with pytest.raises(AdapterError, match="trains on a GPU alone, not on device 'cpu'"):
        asked_for(tiny_model, tmp_path, "cpu")


@pytest.mark.skipif(not (THERE and torch.cuda.is_available()), reason="no GPU or no bitsandbytes")
@pytest.mark.filterwarnings("default")
def test_four_bits_learn_and_the_probe_is_of_the_full_weights(
    tiny_model: Path, tmp_path: Path
) -> None:
    store = AdapterStore(tmp_path)
    card = train(
        plan(epochs=6),
        base=base(tiny_model, four_bit=True, device="cuda", dtype="bfloat16"),
        chat=ChatFormat.load(tiny_model),
        store=store,
    )
    assert card.settings.four_bit is True
    assert card.dev_bits_before is not None
    assert card.dev_bits_after is not None
    assert card.dev_bits_after < card.dev_bits_before - 1
    probe = store.probe(card.version)
    assert probe.effect > 10 * probe.noise


def test_an_adapter_is_put_on_the_full_weights(tiny_model: Path, tmp_path: Path) -> None:
    store = AdapterStore(tmp_path)
    card = train(plan(), base=base(tiny_model), chat=ChatFormat.load(tiny_model), store=store)
    files = ModelFiles(name="tiny", path=tiny_model, weights="b" * 64, source="folder")
    loaded = load_in_full(files, device="cpu", deterministic=True)
    peft = with_adapter(loaded, Path(store.get(card.version).path))
    prompt = store.probe(card.version).prompts[0]
    ids = torch.tensor([[*prompt.prompt_ids, *prompt.continuation_ids]])
    with torch.no_grad():
        scores = torch.log_softmax(peft(input_ids=ids).logits[0].float(), dim=-1)
    first = float(scores[len(prompt.prompt_ids) - 1, prompt.continuation_ids[0]])
    assert first == pytest.approx(prompt.adapter[0], abs=1e-3)
