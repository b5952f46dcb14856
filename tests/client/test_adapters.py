"""Adapters through the client: what the engine holds, and what is uploaded."""

from dataclasses import dataclass, field

import pytest

from rag_adapt.adapters.store import AdapterStore
from rag_adapt.client import ApiError, Upload
from rag_adapt.core.types import AdapterRef
from rag_adapt.engines.lifecycle import Lifecycle
from rag_adapt.engines.scripted import ScriptedEngine
from rag_adapt.schemas.adapters import ResidentAdapter
from tests.api.parts import app_of
from tests.api.test_residence import served
from tests.client.parts import client_of
from tests.serving.parts import HOME, imported, published

FILES = [
    Upload(name="adapter_config.json", content=b"{}"),
    Upload(name="adapter_model.safetensors", content=b"\0" * 8),
]


@dataclass
class Held:
    """An engine's adapters."""

    versions: set[str] = field(default_factory=set)

    async def registered(self) -> frozenset[str]:
        return frozenset(self.versions)

    async def load(self, ref: AdapterRef) -> None:
        self.versions.add(ref.version)

    async def unload(self, version: str) -> None:
        self.versions.discard(version)


async def proven(version: str) -> None:
    """Every adapter is what its name says."""


def test_adapters_are_loaded_pinned_and_let_go() -> None:
    imported()
    version = published(ScriptedEngine()).version
    held = Held()
    adapters = Lifecycle(held, AdapterStore(HOME).get, proven)
    with client_of(app_of(served(adapters))) as client:
        assert client.adapters.resident() == []
        free = ResidentAdapter(version=version, uses=0, pinned=False)
        assert client.adapters.load(version) == [free] == client.adapters.resident()
        assert client.adapters.pin(version)[0].pinned
        assert client.adapters.unpin(version) == [free]
        assert client.adapters.unload(version) == []
        assert held.versions == set()
        with pytest.raises(ApiError) as unknown:
            client.adapters.load("colours@000000000000")
    assert (unknown.value.status, unknown.value.code) == (404, "adapter-not-found")


def test_an_engine_that_holds_none_says_so() -> None:
    with client_of() as client, pytest.raises(ApiError) as none:
        client.adapters.resident()
    assert none.value.code == "no-residents"


def test_an_upload_reaches_the_service_which_says_why_it_takes_none() -> None:
    imported()
    with client_of() as client:
        with pytest.raises(ApiError) as refused:
            client.adapters.upload(FILES, name="mine", skill="colours", context=True)
        with pytest.raises(ApiError) as ghost:
            client.adapters.upload(FILES, name="mine", skill="ghost")
    assert (refused.value.code, ghost.value.code) == ("adapter", "skill-not-found")
    assert "scripted engine" in refused.value.fact
