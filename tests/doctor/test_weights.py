"""The models in use."""

import json
import shutil
from pathlib import Path
from typing import Any

import pytest

from rag_adapt.doctor import weights
from rag_adapt.models.files import sha256_of
from rag_adapt.models.packages import DEFAULTS
from tests.doctor.parts import only, patient

DEFAULT = DEFAULTS["language"]


@pytest.fixture
def model(tmp_path: Path, tiny_model: Path) -> Path:
    """A copy of the tiny model that a test may break."""
    return Path(shutil.copytree(tiny_model, tmp_path / "model"))


@pytest.mark.parametrize("engine", ["scripted", "remote"])
def test_other_engines_need_no_language_model(engine: str) -> None:
    said = only(weights.language_model, patient(engine=engine, model="no/such"))
    assert said.state == "ok"
    assert weights.current_weights(patient(engine=engine).settings) is None


def test_a_local_model_is_shown_with_its_hash(tmp_path: Path, model: Path) -> None:
    who = patient(home=tmp_path, engine="embedded", model=str(model))
    said = only(weights.language_model, who)
    digest = sha256_of(model / "model.safetensors")
    assert said.state == "ok"
    assert digest[:12] in said.what
    assert weights.current_weights(who.settings) == digest


@pytest.mark.parametrize(
    ("name", "settings", "remedy"),
    [
        ("language_model", {"model": "no/such"}, "rag-adapt models fetch no/such"),
        ("embedder", {"embedder": "no/such"}, "rag-adapt models fetch no/such --embedder"),
    ],
)
def test_a_model_that_is_nowhere_is_named_with_the_command_that_gets_it(
    name: str, settings: dict[str, Any], remedy: str
) -> None:
    from rag_adapt.doctor.examine import CHECKS, examine

    who = patient(engine="embedded", **settings)
    (said,) = examine(who, {name: CHECKS[name.replace("_", " ")]})
    assert said.state == "fault"
    assert "no/such" in said.what
    assert said.remedy == remedy
    if name == "language_model":
        assert weights.current_weights(who.settings) is None


def test_weights_that_were_cut_off_are_found(tmp_path: Path, model: Path) -> None:
    file = model / "model.safetensors"
    file.write_bytes(file.read_bytes()[:-100])
    said = only(weights.language_model, patient(home=tmp_path, engine="embedded", model=str(model)))
    assert said.state == "fault"
    assert "model.safetensors" in said.what
    assert f"rag-adapt models show {model}" in said.remedy


@pytest.mark.parametrize("file", ["chat_template.jinja", "tokenizer_config.json", None])
def test_a_model_without_a_chat_template_is_a_fault(
    tmp_path: Path, model: Path, file: str | None
) -> None:
    (model / "chat_template.jinja").unlink(missing_ok=True)
    config = json.loads((model / "tokenizer_config.json").read_text())
    config.pop("chat_template", None)
    if file == "tokenizer_config.json":
        config["chat_template"] = "{{ messages }}"
    elif file is not None:
        (model / file).write_text("{{ messages }}")
    (model / "tokenizer_config.json").write_text(json.dumps(config))
    said = only(weights.language_model, patient(home=tmp_path, engine="embedded", model=str(model)))
    assert said.state == ("fault" if file is None else "ok")
    if file is None:
        assert "chat template" in said.what
        assert "Instruct" in said.remedy


def test_a_default_with_other_weights_is_a_fault(tmp_path: Path, model: Path) -> None:
    converted = tmp_path / "models" / DEFAULT.folder_name
    converted.parent.mkdir()
    model.rename(converted)
    said = only(weights.language_model, patient(home=tmp_path, engine="embedded"))
    assert said.state == "fault"
    assert DEFAULT.weights[:12] in said.what
    assert f"rm -r {converted}" in said.remedy


def test_a_package_with_other_weights_is_a_fault(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    package = tmp_path / "site" / DEFAULT.package
    package.mkdir(parents=True)
    (package / "__init__.py").touch()
    (package / DEFAULT.file).write_bytes(b"something else")
    monkeypatch.syspath_prepend(tmp_path / "site")
    who = patient(home=tmp_path / "home", engine="embedded")
    said = only(weights.language_model, who)
    assert said.state == "fault"
    assert DEFAULT.package in said.what
    assert said.remedy == DEFAULT.install
    assert weights.current_weights(who.settings) == DEFAULT.weights


def test_the_default_embedder_comes_from_its_package(tmp_path: Path) -> None:
    said = only(weights.embedder, patient(home=tmp_path, embedder="default"))
    assert said.state == "ok"
    assert DEFAULTS["embedder"].weights[:12] in said.what


def test_large_weights_are_not_hashed_here(tmp_path: Path, model: Path) -> None:
    import numpy as np
    from safetensors.numpy import save_file

    save_file({"big": np.zeros(1, dtype=np.uint8)}, model / "model.safetensors")
    _grow(model / "model.safetensors", weights.QUICKLY_HASHED + 1)
    who = patient(home=tmp_path, engine="embedded", model=str(model))
    said = only(weights.language_model, who)
    assert said.state == "ok"
    assert "2.0 GB, not hashed" in said.what
    assert weights.current_weights(who.settings) is None


def _grow(file: Path, size: int) -> None:
    """Make it a file of that size with holes: one large tensor, nothing on disk."""
    header = json.dumps({"big": {"dtype": "U8", "shape": [size], "data_offsets": [0, size]}})
    padded = header.encode().ljust(-(-len(header) // 8) * 8)
    with file.open("wb") as stream:
        stream.write(len(padded).to_bytes(8, "little") + padded)
        stream.truncate(8 + len(padded) + size)
