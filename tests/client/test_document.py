"""The client's document runs as it stands, but for the port, and names every call."""

import inspect
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from rag_adapt.client import Client, Retries, Timeouts
from rag_adapt.client.errors import closed, cut_off, too_large
from rag_adapt.core.protocols import Silent
from rag_adapt.settings import load_settings
from rag_adapt.wiring_service import open_service
from tests.api.parts import app_of, listening
from tests.api.working import idle_desk
from tests.test_docs import ROOT, blocks

DOCUMENT = (ROOT / "docs" / "client.md").read_text()
WRITTEN = "http://127.0.0.1:8000"


@pytest.fixture
def url(own_folder: Path) -> Iterator[str]:
    settings = load_settings(home=Path("home"), engine="scripted", embedder="hashing")
    opened = open_service(settings, Silent())
    with listening(app_of(opened.service, on_end=opened.end, desk=idle_desk())) as address:
        yield address
    opened.close()


def test_the_documents_programs_run_one_after_another(
    url: str, capsys: pytest.CaptureFixture[str]
) -> None:
    known: dict[str, Any] = {}
    programs = blocks(DOCUMENT, "py")
    assert len(programs) == 5
    for program in programs:
        exec(compile(program.replace(WRITTEN, url), "client.md", "exec"), known)
    known["client"].close()
    said = capsys.readouterr().out
    for expected in ("How bright is the lamp?", "8 answers", "done", "404 run-not-found", "12 {"):
        assert expected in said


def test_every_call_is_named_and_no_other() -> None:
    with Client() as client:
        found = {
            f"client.{subject}": {name for name, _ in inspect.getmembers(calls, inspect.ismethod)}
            for subject, calls in vars(client).items()
            if not subject.startswith("_")
        }
    rows = re.findall(r"^\| `(client\.\w+)` \| (.*) \|$", DOCUMENT, flags=re.M)
    named = {subject: set(re.findall(r"`(\w+)\(", calls)) for subject, calls in rows}
    assert named == {s: {n for n in names if n[0] != "_"} for s, names in found.items()}


def test_every_time_is_named_with_its_seconds() -> None:
    _, waiting = DOCUMENT.split("## Waiting and repeating")
    table = dict(re.findall(r"^\| `(\w+)` \| (\d+) \|", waiting, flags=re.M))
    assert table == {name: f"{seconds:g}" for name, seconds in vars(Timeouts()).items()}
    assert f"longer than {Retries().longest:g} s" in DOCUMENT


def test_the_clients_own_codes_are_named_with_their_status() -> None:
    table = dict(re.findall(r"^\| `([a-z-]+)` \| (\d{3}) \|", DOCUMENT, flags=re.M))
    for error in (cut_off("x"), too_large("x", 1), closed()):
        assert table[error.code] == str(error.status)
