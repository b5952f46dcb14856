"""Weight files and their remembered hashes."""

import hashlib
import json
import os
from pathlib import Path

import pytest

from rag_adapt.core.errors import ModelNotFoundError
from rag_adapt.models.files import file_hash, weight_files, weights_hash


def a_model(folder: Path, **files: str) -> Path:
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "config.json").write_text("{}")
    for name, content in files.items():
        (folder / f"{name}.safetensors").write_text(content)
    return folder


def test_the_hash_of_one_weight_file_is_the_file_hash(tmp_path: Path) -> None:
    folder = a_model(tmp_path / "m", model="weights")
    expected = hashlib.sha256(b"weights").hexdigest()
    assert weights_hash(folder, home=tmp_path) == expected


def test_the_hash_of_shards_depends_on_names_and_contents(tmp_path: Path) -> None:
    one = weights_hash(a_model(tmp_path / "1", a="x", b="y"), home=tmp_path)
    two = weights_hash(a_model(tmp_path / "2", a="y", b="x"), home=tmp_path)
    assert one != two
    assert len(one) == 64


def test_a_folder_without_configuration_is_no_model(tmp_path: Path) -> None:
    folder = a_model(tmp_path / "m", model="weights")
    (folder / "config.json").unlink()
    assert weight_files(folder) == ()
    with pytest.raises(ModelNotFoundError, match="holds no model"):
        weights_hash(folder, home=tmp_path)


def test_a_model_with_a_missing_shard_is_no_model(tmp_path: Path) -> None:
    folder = a_model(tmp_path / "m", a="x")
    index = {"weight_map": {"p": "a.safetensors", "q": "b.safetensors"}}
    (folder / "model.safetensors.index.json").write_text(json.dumps(index))
    assert weight_files(folder) == ()
    (folder / "b.safetensors").write_text("y")
    assert [file.name for file in weight_files(folder)] == ["a.safetensors", "b.safetensors"]


def test_weights_in_a_folder_of_a_module_are_found(tmp_path: Path) -> None:
    folder = a_model(tmp_path / "m")
    (folder / "0_Transformer").mkdir()
    (folder / "0_Transformer" / "model.safetensors").write_text("x")
    assert [file.name for file in weight_files(folder)] == ["model.safetensors"]


def test_a_hash_is_read_again_only_when_the_file_changed(tmp_path: Path) -> None:
    file = tmp_path / "f"
    file.write_text("one")
    first = file_hash(file, home=tmp_path)
    before = file.stat()
    file.write_text("two")
    os.utime(file, ns=(before.st_atime_ns, before.st_mtime_ns))
    assert file_hash(file, home=tmp_path) == first
    os.utime(file, ns=(before.st_atime_ns, before.st_mtime_ns + 1))
    assert file_hash(file, home=tmp_path) == hashlib.sha256(b"two").hexdigest()
    remembered = json.loads((tmp_path / "models" / "hashes.json").read_text())
    assert len(remembered) == 1


@pytest.mark.parametrize("content", ["not json", "[1]"])
def test_a_damaged_memory_of_hashes_is_made_again(tmp_path: Path, content: str) -> None:
    (tmp_path / "models").mkdir()
    (tmp_path / "models" / "hashes.json").write_text(content)
    file = tmp_path / "f"
    file.write_text("one")
    assert file_hash(file, home=tmp_path) == hashlib.sha256(b"one").hexdigest()
    assert len(json.loads((tmp_path / "models" / "hashes.json").read_text())) == 1


def test_a_home_that_cannot_be_written_only_costs_the_memory(tmp_path: Path) -> None:
    blocked = tmp_path / "home"
    blocked.write_text("a file, not a folder")
    file = tmp_path / "f"
    file.write_text("one")
    assert file_hash(file, home=blocked) == hashlib.sha256(b"one").hexdigest()
