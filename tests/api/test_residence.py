"""What the engine holds, loaded, let go and pinned by hand; files go when nobody holds them."""

from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from typing import Any

import pytest
from fastapi.testclient import TestClient

from rag_adapt.adapters.store import AdapterStore
from rag_adapt.core.errors import NotProvenError
from rag_adapt.core.types import AdapterRef
from rag_adapt.engines.lifecycle import Lifecycle
from rag_adapt.engines.scripted import ScriptedEngine
from rag_adapt.schemas.adapters import ResidentAdapter, ResidentList
from rag_adapt.serving.catalogue import Catalogue
from rag_adapt.serving.service import Service
from rag_adapt.serving.traces import TraceBook
from tests.api.parts import client_of
from tests.api.working import idle_desk
from tests.serving.parts import HOME, imported, live, published, warm

GHOST = "colours@000000000000"


@dataclass
class Backend:
    """Holds what it is told to; notes whether an adapter's files were there when it let go."""

    held: set[str] = field(default_factory=set)
    files_were_there: list[bool] = field(default_factory=list)

    async def registered(self) -> frozenset[str]:
        return frozenset(self.held)

    async def load(self, ref: AdapterRef) -> None:
        self.held.add(ref.version)

    async def unload(self, version: str) -> None:
        self.files_were_there.append((AdapterStore(HOME).folder / version).is_dir())
        self.held.discard(version)


@dataclass
class Late:
    """An engine that has its adapters once it is started."""

    inner: Lifecycle
    started: int = 0

    async def lifecycle(self) -> Lifecycle:
        self.started += 1
        return self.inner

    async def ensure_loaded(self, version: str) -> AdapterRef:
        return await self.inner.ensure_loaded(version)


@pytest.fixture
def backend() -> Backend:
    return Backend()


@pytest.fixture
def versions() -> tuple[str, str]:
    """Two versions of an adapter; the second is current."""
    imported()
    engine = ScriptedEngine()
    weights = live().engine.fingerprint.weights
    made = [published(engine, fill=fill, weights_hash=weights) for fill in (1.0, 2.0)]
    return made[0].version, made[1].version


@pytest.fixture(params=["late", "at once"])
def client(
    request: pytest.FixtureRequest, backend: Backend, versions: tuple[str, str]
) -> Iterator[TestClient]:
    """A client of a service whose engine holds adapters; the older one is never proven."""

    async def prove(version: str) -> None:
        if version == refused_version(versions):
            raise NotProvenError("it does nothing", hint="Train it again.")

    lifecycle = Lifecycle(backend, AdapterStore(HOME).get, prove)
    adapters: Any = Late(lifecycle) if request.param == "late" else lifecycle
    with client_of(served(adapters), desk=idle_desk()) as made:
        yield made


def refused_version(versions: tuple[str, str]) -> str:
    return versions[0]


def served(adapters: Any) -> Service:
    parts = replace(live(), adapters=adapters)
    catalogue = Catalogue(parts, fresh=0.0)
    return Service(parts, traces=TraceBook(HOME), scores=None, warm=warm, catalogue=catalogue)


def resident(client: TestClient) -> list[ResidentAdapter]:
    return ResidentList.model_validate(client.get("/v1/adapters/resident").json()).data


def test_an_adapter_is_loaded_and_let_go_by_hand(
    client: TestClient, backend: Backend, versions: tuple[str, str]
) -> None:
    version = versions[1]
    assert resident(client) == []
    loaded = client.post(f"/v1/adapters/{version}/load")
    assert loaded.status_code == 200
    assert resident(client) == [ResidentAdapter(version=version, uses=0, pinned=False)]
    assert backend.held == {version}
    assert client.post(f"/v1/adapters/{version}/unload").json() == {"data": []}
    assert backend.held == set()


def test_a_pinned_one_stays_until_it_is_unpinned(
    client: TestClient, versions: tuple[str, str]
) -> None:
    path = f"/v1/adapters/{versions[1]}/pin"
    assert client.put(path).json()["data"][0]["pinned"] is True
    assert client.delete(path).json()["data"][0]["pinned"] is False


def test_one_that_is_not_proven_is_not_loaded(
    client: TestClient, backend: Backend, versions: tuple[str, str]
) -> None:
    for method, path in (("POST", "load"), ("PUT", "pin")):
        response = client.request(method, f"/v1/adapters/{versions[0]}/{path}")
        assert (response.status_code, response.json()["code"]) == (409, "not-proven")
    assert (resident(client), backend.held) == ([], set())


@pytest.mark.parametrize(
    ("method", "path"),
    [("POST", "load"), ("POST", "unload"), ("PUT", "pin"), ("DELETE", "pin")],
    ids=str,
)
def test_an_unknown_one_is_a_problem(client: TestClient, method: str, path: str) -> None:
    response = client.request(method, f"/v1/adapters/{GHOST}/{path}")
    assert (response.status_code, response.json()["code"]) == (404, "adapter-not-found")


def test_an_adapter_leaves_the_engine_before_its_files_go(
    client: TestClient, backend: Backend, versions: tuple[str, str]
) -> None:
    version = versions[1]
    client.post(f"/v1/adapters/{version}/load")
    assert client.delete(f"/v1/adapters/{version}").status_code == 409
    assert backend.held == {version}
    assert client.delete(f"/v1/adapters/{version}?current=true").status_code == 200
    assert backend.files_were_there[-1] is True
    assert not (AdapterStore(HOME).folder / version).exists()
    assert resident(client) == []


def test_an_engine_that_holds_none_says_so(versions: tuple[str, str]) -> None:
    client = client_of(desk=idle_desk())
    response = client.get("/v1/adapters/resident")
    assert (response.status_code, response.json()["code"]) == (409, "no-residents")
    assert client.post(f"/v1/adapters/{versions[1]}/load").status_code == 409


def test_a_name_points_to_a_version_only_once_that_is_loaded_and_proven(
    client: TestClient, backend: Backend, versions: tuple[str, str]
) -> None:
    unproven, good = versions
    refused = client.post(f"/v1/adapters/{unproven}/current")
    assert (refused.status_code, refused.json()["code"]) == (409, "not-proven")
    assert AdapterStore(HOME).current("colours") == good
    assert client.post(f"/v1/adapters/{good}/current").status_code == 200
    assert backend.held == {good}
