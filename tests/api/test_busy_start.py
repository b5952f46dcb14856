"""A service that starts while another process holds its state file: it says so, and recovers."""

import sqlite3
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest
from fastapi.testclient import TestClient

from rag_adapt.core.errors import LockedError
from rag_adapt.keys.store import KeyStore
from tests.api.parts import app_of, chat, client_of
from tests.api.small_app import small_app
from tests.serving.parts import HOME
from tests.waiting import wait_until


@pytest.fixture
def other() -> Iterator[sqlite3.Connection]:
    """Another process's connection to the state file, where no trace was ever kept."""
    app_of().state.service.traces.close()
    with closing(sqlite3.connect(HOME / "state.db", isolation_level=None)) as connection:
        connection.execute("DROP TABLE traces")
        yield connection


def home_part(client: TestClient) -> str:
    parts = client.get("/readyz").json()["parts"]
    (home,) = [part for part in parts if part["name"] == "home"]
    return f"{home['ready']}: {home['detail']}"


def test_it_answers_without_a_trace_says_what_waits_and_recovers(
    other: sqlite3.Connection,
) -> None:
    other.execute("BEGIN IMMEDIATE")
    with client_of(desk=None) as client:
        wait_until(lambda: client.get("/readyz").json()["parts"][0]["ready"])
        assert client.get("/readyz").status_code == 503
        assert home_part(client) == (
            "False: another process is writing to the file of the traces at the moment"
        )
        answered = chat(client)
        assert answered.status_code == 200
        assert answered.headers["X-Trace-Kept"] == "false"
        assert client.get("/v1/traces/none").status_code in (409, 503)
        other.execute("COMMIT")
        wait_until(lambda: client.get("/readyz").status_code == 200)
        assert "X-Trace-Kept" not in chat(client).headers


class Held(KeyStore):
    """Keys that nobody can read, as long as another process wants them alone."""

    free = False

    def any_ever(self) -> bool:
        if not self.free:
            raise LockedError("'state.db' is in use by another process", hint="Wait.")
        return super().any_ever()


def test_keys_that_cannot_be_read_close_the_door_but_not_to_its_watchers(tmp_path: Path) -> None:
    store = Held(tmp_path)
    client = TestClient(small_app(store).app, base_url="http://127.0.0.1")
    assert client.get("/healthz").status_code == 200
    assert client.get("/healthz", headers={"Host": "evil.example"}).status_code == 421
    refused = client.post("/v1/ask", json={"text": "x"})
    assert (refused.status_code, refused.json()["code"]) == (503, "keys-busy")
    assert refused.headers["Retry-After"] == "1"
    store.free = True
    assert client.post("/v1/ask", json={"text": "x"}).status_code == 200
