"""A model's fingerprint is known without its weights, and forgotten when its files change."""

import json
from pathlib import Path

from rag_adapt.engines.embedded import EmbeddedEngine
from rag_adapt.models.files import ModelFiles
from rag_adapt.models.fingerprint import fingerprint_of
from rag_adapt.models.loading import load_language_model


def files_of(folder: Path) -> ModelFiles:
    return ModelFiles(name="tiny", path=folder, weights="a" * 64, source="folder")


def test_it_is_what_the_engine_reports_once_it_is_loaded(tiny_model: Path, tmp_path: Path) -> None:
    for exact in (True, False):
        foreseen = fingerprint_of(
            files_of(tiny_model), device="cpu", deterministic=exact, memory=tmp_path
        )
        loaded = load_language_model(files_of(tiny_model), device="cpu", deterministic=exact)
        engine = EmbeddedEngine(loaded)
        engine.close()
        assert foreseen == engine.fingerprint


def test_it_is_remembered_until_the_files_change(tiny_model: Path, tmp_path: Path) -> None:
    import shutil

    folder = Path(shutil.copytree(tiny_model, tmp_path / "model"))
    memory = tmp_path / "memory"
    first = fingerprint_of(files_of(folder), device="cpu", deterministic=True, memory=memory)
    (kept,) = memory.iterdir()
    kept.write_text(json.dumps({**json.loads(kept.read_text()), "model": "remembered"}))
    again = fingerprint_of(files_of(folder), device="cpu", deterministic=True, memory=memory)
    assert (first.model, again.model) == ("tiny", "remembered")
    (folder / "generation_config.json").write_text('{"eos_token_id": [0, 1]}')
    later = fingerprint_of(files_of(folder), device="cpu", deterministic=True, memory=memory)
    assert later.model == "tiny"


def test_a_damaged_memory_is_computed_again(tiny_model: Path, tmp_path: Path) -> None:
    wanted = fingerprint_of(files_of(tiny_model), device="cpu", deterministic=True, memory=tmp_path)
    next(tmp_path.iterdir()).write_text("{")
    again = fingerprint_of(files_of(tiny_model), device="cpu", deterministic=True, memory=tmp_path)
    assert again == wanted
