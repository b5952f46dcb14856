"""Number format, device, and damaged files."""

import shutil
from pathlib import Path

import pytest
import torch

from rag_adapt.core.errors import ModelNotFoundError, SettingsError
from rag_adapt.models.files import ModelFiles
from rag_adapt.models.loading import choose_device, has_bfloat16, load_language_model
from tests.tiny_model import CONTEXT


def files_of(folder: Path) -> ModelFiles:
    return ModelFiles(name="tiny", path=folder, weights="0" * 64, source="folder")


def test_a_deterministic_model_is_float32(tiny_model: Path) -> None:
    loaded = load_language_model(files_of(tiny_model), device="cpu", deterministic=True)
    assert loaded.dtype == "float32"
    assert loaded.model.dtype == torch.float32
    assert loaded.deterministic


def test_the_number_format_can_be_chosen(tiny_model: Path) -> None:
    loaded = load_language_model(files_of(tiny_model), device="cpu", number_format="bfloat16")
    assert loaded.dtype == "bfloat16"
    assert loaded.model.dtype == torch.bfloat16


def test_the_number_format_is_the_fast_one_by_default(tiny_model: Path) -> None:
    loaded = load_language_model(files_of(tiny_model), device="cpu")
    assert loaded.dtype == ("bfloat16" if has_bfloat16("cpu") else "float32")


def test_a_loaded_model_is_ready_to_answer(tiny_model: Path) -> None:
    loaded = load_language_model(files_of(tiny_model), device="cpu")
    assert not loaded.model.training
    assert not any(weight.requires_grad for weight in loaded.model.parameters())
    assert loaded.context == CONTEXT


@pytest.mark.skipif(torch.cuda.is_available(), reason="this machine has a GPU")
def test_cuda_is_refused_where_there_is_none() -> None:
    with pytest.raises(SettingsError, match="'cuda' was asked for"):
        choose_device("cuda")
    assert choose_device("auto") == "cpu"


def test_damaged_weights_are_named(tiny_model: Path, tmp_path: Path) -> None:
    broken = Path(shutil.copytree(tiny_model, tmp_path / "broken"))
    (broken / "model.safetensors").write_bytes(b"damaged")
    with pytest.raises(ModelNotFoundError, match="cannot load model 'tiny'"):
        load_language_model(files_of(broken))
