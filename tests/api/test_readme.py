"""The README's calls of the service run as they stand, but for the port."""

import json
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from rag_adapt.core.protocols import Silent
from rag_adapt.settings import load_settings
from rag_adapt.wiring_service import open_service
from tests.api.parts import app_of, listening
from tests.test_docs import README, blocks

WRITTEN = "http://127.0.0.1:8000"


@pytest.fixture
def url(own_folder: Path) -> Iterator[str]:
    settings = load_settings(home=Path("home"), engine="scripted", embedder="hashing")
    opened = open_service(settings, Silent())
    with listening(app_of(opened.service, on_end=opened.end)) as address:
        yield address
    opened.close()


def test_the_readmes_calls_of_the_service_run(url: str, capsys: pytest.CaptureFixture[str]) -> None:
    (curl,) = blocks(README, "bash")
    done = subprocess.run(
        curl.replace(WRITTEN, url), shell=True, check=True, capture_output=True, text=True
    )
    told = json.loads(done.stdout)["rag_adapt"]
    assert (told["route"], told["skill"]) == ("rag", "manual")
    assert len(told["citations"]) == 4
    programs = blocks(README, "py")
    assert len(programs) == 2
    for program in programs:
        assert WRITTEN in program
        exec(compile(program.replace(WRITTEN, url), "README.md", "exec"), {})
    assert told["citations"][0]["document"] in capsys.readouterr().out
