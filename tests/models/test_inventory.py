"""The models that commands would use now."""

from pathlib import Path

from rag_adapt.models.files import sha256_of
from rag_adapt.models.inventory import inventory
from rag_adapt.models.packages import DEFAULTS


def test_a_folder_is_listed_with_hash_and_size(tiny_model: Path, tmp_path: Path) -> None:
    (entry,) = inventory({"language": str(tiny_model)}, home=tmp_path)
    weights = tiny_model / "model.safetensors"
    assert entry.source == "folder"
    assert entry.weights == sha256_of(weights)
    assert entry.bytes == weights.stat().st_size


def test_a_missing_model_is_listed_as_missing(tmp_path: Path) -> None:
    (entry,) = inventory({"embedder": "no/such"}, home=tmp_path, hub_cache=tmp_path)
    assert entry.source == "missing"
    assert "models show no/such" in entry.where


def test_the_default_is_listed_without_converting_it(tmp_path: Path) -> None:
    (entry,) = inventory({"language": "default"}, home=tmp_path, hub_cache=tmp_path)
    assert entry.weights == DEFAULTS["language"].weights
    assert entry.source == "package"
    assert not (tmp_path / "models").exists()
