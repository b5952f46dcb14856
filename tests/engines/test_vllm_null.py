"""The adapter that changes nothing: written once, and nothing is what it changes."""

import json
import warnings
from pathlib import Path

import pytest

from rag_adapt.engines.vllm_null import MODULE, write_null


def model_of(folder: Path, **config: int) -> Path:
    """A model's folder, as far as it is read."""
    folder.mkdir(parents=True)
    (folder / "config.json").write_text(json.dumps(config))
    return folder


@pytest.mark.parametrize(
    ("config", "outer"),
    [
        ({"hidden_size": 8, "num_attention_heads": 2}, 8),
        ({"hidden_size": 8, "num_attention_heads": 2, "head_dim": 16}, 32),
    ],
    ids=["heads share the width", "heads of their own width"],
)
def test_its_shape_is_the_models_and_its_weights_are_zero(
    tmp_path: Path, config: dict[str, int], outer: int
) -> None:
    from safetensors.numpy import load_file

    ref = write_null(tmp_path / "null", model_of(tmp_path / "model", **config))
    tensors = load_file(Path(ref.path) / "adapter_model.safetensors")
    shapes = {name: tensor.shape for name, tensor in tensors.items()}
    assert shapes == {
        f"{MODULE}.lora_A.weight": (1, 8),
        f"{MODULE}.lora_B.weight": (outer, 1),
    }
    assert not any(tensor.any() for tensor in tensors.values())
    assert (ref.rank, ref.version) == (1, Path(ref.path).name)


def test_its_name_carries_its_shape(tmp_path: Path) -> None:
    small = write_null(tmp_path, model_of(tmp_path / "a", hidden_size=8, num_attention_heads=2))
    same = write_null(tmp_path, model_of(tmp_path / "b", hidden_size=8, num_attention_heads=4))
    large = write_null(tmp_path, model_of(tmp_path / "c", hidden_size=16, num_attention_heads=2))
    assert small == same != large
    assert small.version.startswith("base-unchanged@")


def test_it_is_written_once_and_what_was_not_finished_is_written_again(tmp_path: Path) -> None:
    model = model_of(tmp_path / "model", hidden_size=8, num_attention_heads=2)
    ref = write_null(tmp_path / "null", model)
    file = Path(ref.path) / "adapter_model.safetensors"
    first = file.stat().st_mtime_ns
    assert write_null(tmp_path / "null", model) == ref
    assert file.stat().st_mtime_ns == first
    file.rename(file.with_name("adapter_model.new"))
    write_null(tmp_path / "null", model)
    assert sorted(path.name for path in Path(ref.path).iterdir()) == [
        "adapter_config.json",
        "adapter_model.safetensors",
    ]


def test_under_it_a_model_computes_bit_by_bit_what_it_did(tiny_model: Path, tmp_path: Path) -> None:
    import torch
    from peft import PeftModel
    from transformers import AutoModelForCausalLM

    ref = write_null(tmp_path, tiny_model)
    ids = torch.tensor([[1, 5, 9, 7]])
    with torch.no_grad(), warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of the layers that it says nothing about
        plain = AutoModelForCausalLM.from_pretrained(tiny_model).eval()
        before = plain(ids).logits
        under = PeftModel.from_pretrained(plain, ref.path).eval()
        names = [name for name, _ in under.named_parameters() if "lora" in name]
        after = under(ids).logits
    assert any(f"{MODULE}.lora_A" in name for name in names)
    assert torch.equal(before, after)
