"""`DELETE /v1/collections/{name}`: gone with its uploads, and not while somebody uses it."""

from pathlib import Path
from typing import Any

import pytest
from fastapi.testclient import TestClient

from rag_adapt.api.desk import Desk
from rag_adapt.api.library import Library
from rag_adapt.keys.store import KeyStore
from rag_adapt.retrieval.lock import writing
from rag_adapt.serving.quotations import remove_quoting
from tests.api.parts import SETTINGS, chat, client_of
from tests.api.test_collections import built, upload
from tests.api.test_conversations import answered, begun, shown
from tests.api.working import ended, idle_desk, working
from tests.serving.parts import HOME, imported
from tests.serving.quoted import quoted_by

MANUAL = "/v1/collections/manual"


@pytest.fixture
def client() -> TestClient:
    """A client whose jobs wait."""
    return client_of(desk=idle_desk())


def problem(response: Any) -> tuple[int, str]:
    return response.status_code, response.json()["code"]


def test_a_collection_is_deleted_and_documents_elsewhere_stay(client: TestClient) -> None:
    built()
    quoted_by(HOME, "manual", skill="manual")
    quoted = {"name": "manual", "runs": ["2026-x"], "traces": 1, "conversations": 0}
    assert client.get(f"{MANUAL}/quotations").json() == quoted
    gone = client.delete(MANUAL)
    assert gone.status_code == 200
    assert gone.json().pop("bytes") > 1000
    assert gone.json() | quoted == gone.json()
    assert not Path("indexes/manual").exists()
    assert len(list(Path("mine").iterdir())) == 2
    assert client.get("/v1/collections").json()["data"] == []
    for path in (MANUAL, f"{MANUAL}/quotations"):
        method = client.delete if path == MANUAL else client.get
        assert problem(method(path)) == (404, "document-not-found")


def test_a_conversation_that_got_passages_is_counted_until_they_are_taken_out() -> None:
    imported()
    with client_of(desk=idle_desk()) as client:
        path = begun(client, "route:rag/colours", skill="colours")
        (one,) = answered(client, path, "which colour is the lamp").generations
        assert one.answer is not None
        assert one.answer.rag_adapt.citations
        place = "/v1/collections/skill-colours/quotations"
        found = {"name": "skill-colours", "runs": [], "traces": 1, "conversations": 1}
        assert client.get(place).json() == found
        gone = remove_quoting(HOME, "skill-colours")
        assert (gone.traces, gone.conversations) == (1, 1)
        assert client.get(place).json() == {**found, "traces": 0, "conversations": 0}
        (left,) = shown(client, path).turns[0].generations
        assert left.answer is not None
        assert (left.text, left.answer.rag_adapt.citations) == (one.text, [])


def test_uploads_go_with_it_and_the_name_is_free_again() -> None:
    with working(Desk.of(SETTINGS)) as client:
        assert ended(client, upload(client, "shop").json()["id"])["state"] == "done"
        assert client.delete("/v1/collections/shop").status_code == 200
        assert not Library(HOME, SETTINGS.indexes).holds("shop")
        assert upload(client, "shop", {"lamp.md": "# Lamp"}).status_code == 202
        kept = Library(HOME, SETTINGS.indexes).folder("shop")
        assert [path.name for path in kept.iterdir()] == ["lamp.md"]


def test_it_stays_while_a_job_works_with_it(client: TestClient) -> None:
    job = upload(client, "manual").json()
    refused = client.delete(MANUAL)
    assert problem(refused) == (409, "collection-in-use")
    assert job["id"] in refused.json()["detail"]
    assert refused.json()["retryable"] is True
    client.post(f"/v1/jobs/{job['id']}/cancel")
    assert client.delete(MANUAL).status_code == 200
    assert not (HOME / "documents" / "manual").exists()


def test_a_skills_collection_stays_while_a_job_may_read_it(client: TestClient) -> None:
    imported()
    built("skill-colours")
    order = {"skills": ["colours"], "arms": ["prompt"], "items": 2}
    assert client.post("/v1/runs", json=order).status_code == 202
    assert problem(client.delete("/v1/collections/skill-colours")) == (409, "collection-in-use")
    built_too = client.delete("/v1/collections/other")
    assert problem(built_too) == (404, "document-not-found")


def test_it_stays_while_a_route_answers_from_it(client: TestClient) -> None:
    imported()
    asked = chat(client, model="route:rag/colours")
    assert asked.status_code == 200
    refused = client.delete("/v1/collections/skill-colours")
    assert problem(refused) == (409, "locked")
    assert refused.json()["retryable"] is True
    assert chat(client, model="route:rag/colours").status_code == 200


def test_it_stays_while_somebody_builds_it(client: TestClient) -> None:
    built()
    with writing(Path("indexes/manual")):
        assert problem(client.delete(MANUAL)) == (409, "locked")


def test_files_of_the_server_are_not_named(client: TestClient) -> None:
    built()
    Path("indexes/manual/mine.txt").touch()
    refused = client.delete(MANUAL)
    assert problem(refused) == (400, "collection")
    assert "indexes" not in refused.text
    assert "mine.txt" not in refused.text


def test_it_is_for_admins_alone() -> None:
    built()
    client = client_of()
    store = KeyStore(HOME)
    statuses = []
    for scope in ("chat", "bench", "admin"):
        token = store.create(scope, scope).token.reveal()
        headers = {"Authorization": f"Bearer {token}"}
        statuses.append(client.delete(MANUAL, headers=headers).status_code)
    assert statuses == [403, 403, 200]
