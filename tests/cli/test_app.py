"""Errors at the command line have one shape and the right exit code."""

import errno
from pathlib import Path

import pytest

from rag_adapt.cli import app as application
from rag_adapt.cli.app import main, run
from rag_adapt.core.errors import EngineError, PlanError
from tests.samples import write_skill


def shown(capsys: pytest.CaptureFixture[str]) -> str:
    return capsys.readouterr().err


BAD = {
    "unknown command": (["frobnicate"], "frobnicate"),
    "unknown option": (["bench", "--frob"], "--frob"),
    "unknown skill": (["bench", "nosuch", "--dry-run"], "nosuch"),
    "unknown arm": (["bench", "orders", "--arms", "foo", "--dry-run"], "'foo'"),
    "a skill twice": (["bench", "orders", "orders", "--dry-run"], "twice"),
    "no items": (["bench", "orders", "--items", "0", "--dry-run"], "--items 0"),
    "unknown engine": (["bench", "orders", "--engine", "magic"], "engine"),
    "unknown device": (["bench", "orders", "--device", "tpu"], "device"),
    "unknown run": (["runs", "show", "nosuch"], "nosuch"),
    "unknown route": (["answer", "x", "--skill", "orders", "--route", "foo"], "foo"),
    "a reference as a route": (["answer", "x", "--skill", "orders", "--route", "majority"], "open"),
    "a missing model": (["bench", "orders", "--model", "./nosuch"], "nosuch"),
    "an unknown adapter": (["adapters", "show", "ghost"], "ghost"),
    "an unknown collection": (["index", "search", "ghost", "x"], "ghost"),
}


@pytest.mark.parametrize(("arguments", "named"), BAD.values(), ids=BAD)
def test_a_users_mistake_is_named_with_a_remedy_and_exit_code_2(
    arguments: list[str], named: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(arguments) == 2
    printed = shown(capsys)
    assert printed.startswith("error: ")
    assert named in printed
    assert "\n  try: " in printed
    assert "Traceback" not in printed


@pytest.mark.parametrize(
    ("error", "code", "named"),
    [
        (PlanError("a fact", hint="a hint"), 2, "a fact"),
        (EngineError("a fact", hint="a hint"), 1, "a fact"),
        (OSError(errno.ENOSPC, "No space left", "/x"), 2, "disk is full"),
        (OSError(errno.EROFS, "Read-only", "/x"), 2, "cannot write"),
        (ExceptionGroup("g", [OSError(errno.ENOSPC, "No space left")]), 2, "disk is full"),
        (OSError(errno.EIO, "I/O error"), 1, "unexpected OSError"),
        (RuntimeError("odd"), 1, "unexpected RuntimeError: odd"),
        (KeyboardInterrupt(), 130, "interrupted"),
    ],
    ids=lambda value: type(value).__name__ if isinstance(value, BaseException) else None,
)
def test_every_error_becomes_a_message_and_an_exit_code(
    error: BaseException,
    code: int,
    named: str,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def fail(**_: object) -> None:
        raise error

    monkeypatch.setattr(application, "app", fail)
    assert run([]) == code
    assert named in shown(capsys)


def test_debug_shows_the_traceback() -> None:
    with pytest.raises(PlanError):
        run(["--debug", "bench", "orders", "--arms", "foo", "--dry-run"])


def test_the_version_is_printed(capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["--version"]) == 0
    assert capsys.readouterr().out.strip() == "0.1.0"


def test_main_exits_with_the_code() -> None:
    with pytest.raises(SystemExit) as stopped:
        main(["runs", "list"])
    assert stopped.value.code == 0


def test_a_wrong_settings_file_names_the_key(
    own_folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (own_folder / "rag-adapt.toml").write_text("top_k = 0\n")
    assert run(["runs", "list"]) == 2
    assert "top_k" in shown(capsys)


def test_an_unknown_settings_key_stops_the_start(
    own_folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (own_folder / "rag-adapt.toml").write_text("topk = 3\n")
    assert run(["runs", "list"]) == 2
    assert "topk" in shown(capsys)


def test_a_folder_that_cannot_be_written_is_named(
    own_folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    write_skill(own_folder / "colours")
    (own_folder / "blocked").write_text("a file where a folder should be")
    code = run(
        ["--home", "blocked", "bench", "colours", "--engine", "scripted", "--embedder", "hashing"]
    )
    assert code == 2
    assert "blocked" in shown(capsys)
