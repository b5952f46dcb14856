"""What tests of the front end share: a service that answers, and its address told to the pages."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from rag_adapt.engines.scripted import ScriptedEngine
from tests.api.parts import app_of, listening
from tests.serving.parts import service
from ui.connection import ADDRESS


@pytest.fixture
def address(own_folder: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[str]:
    """The real service in an empty home, on the scripted engine."""
    with listening(app_of(service(ScriptedEngine()))) as url:
        monkeypatch.setenv(ADDRESS, url)
        yield url
