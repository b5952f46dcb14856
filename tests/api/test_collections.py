"""`/v1/collections`: listed, searched, read; filled by uploads that jobs index."""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest
from fastapi.testclient import TestClient

from rag_adapt.api import additions
from rag_adapt.api import collections as endpoints
from rag_adapt.api.desk import Desk
from rag_adapt.retrieval.build import build_collection
from rag_adapt.retrieval.embed import HashingEmbedder
from rag_adapt.schemas.collections import (
    CollectionEntry,
    DocumentsAdded,
    SearchRequest,
    SearchResult,
    TextOrder,
)
from tests.api.parts import SETTINGS, client_of
from tests.api.working import ended, idle_desk, working
from tests.jobs.running import STAND_IN
from tests.serving.parts import HOME

DOCUMENTS = {
    "lamp.md": "# Lamp\n\nThe lamp gives 900 lm.\n",
    "kettle.md": "# Kettle\n\nThe kettle holds two litres.\n",
}
JSON = {"Content-Type": "application/json"}


@pytest.fixture
def client() -> TestClient:
    """A client whose jobs wait."""
    return client_of(desk=idle_desk())


def built(name: str = "manual", documents: Mapping[str, str] = DOCUMENTS) -> None:
    """A collection of a folder of the user's."""
    folder = Path("mine")
    folder.mkdir()
    for file, text in documents.items():
        (folder / file).write_text(text)
    build_collection(Path("indexes") / name, folder, HashingEmbedder())


def upload(client: TestClient, name: str, documents: Mapping[str, str] = DOCUMENTS) -> Any:
    files = [("documents", (file, text.encode())) for file, text in documents.items()]
    headers = {"X-Rag-Adapt": "1"}
    return client.post(f"/v1/collections/{name}/documents", files=files, headers=headers)


def test_collections_are_listed_with_what_can_be_changed_here(client: TestClient) -> None:
    built()
    (entry,) = client.get("/v1/collections").json()["data"]
    assert (entry["name"], entry["state"], entry["documents"]) == ("manual", "ready", 2)
    assert entry["changeable"] is False


@pytest.mark.parametrize("mode", ["fused", "lexical", "dense"])
def test_a_collection_is_searched(client: TestClient, mode: str) -> None:
    built()
    order = {"query": "how many litres does the kettle hold", "k": 1, "mode": mode}
    response = client.post("/v1/collections/manual/search", json=order)
    (hit,) = SearchResult.model_validate(response.json()).data
    assert hit.document == "kettle.md"
    text = client.get("/v1/collections/manual/documents/kettle.md").json()["text"]
    assert text[hit.start : hit.end] == hit.text


def test_rankings_are_joined_as_the_settings_say() -> None:
    built()
    found = []
    for constant in (0, 60):
        settings = SETTINGS.model_copy(update={"search_rank_constant": constant})
        client = client_of(desk=Desk.of(settings, program=STAND_IN))
        order = {"query": "litres", "k": 1, "mode": "fused"}
        found += client.post("/v1/collections/manual/search", json=order).json()["data"]
    assert found[0]["score"] > 10 * found[1]["score"]


def test_documents_come_in_pages(client: TestClient) -> None:
    built()
    path = "/v1/collections/manual/documents"
    first = client.get(path, params={"limit": 1}).json()
    second = client.get(path, params={"limit": 1, "cursor": first["next"]}).json()
    assert (first["data"], second["data"]) == (["kettle.md"], ["lamp.md"])
    assert second["next"] is None


@pytest.mark.parametrize(
    ("method", "path"),
    [
        ("POST", "/ghost/search"),
        ("GET", "/ghost/documents"),
        ("GET", "/ghost/documents/lamp.md"),
        ("GET", "/manual/documents/ghost.md"),
        ("GET", "/manual/documents/..%2F..%2Frecord.db"),
        ("DELETE", "/ghost/documents/lamp.md"),
    ],
    ids=str,
)
def test_what_is_not_there_is_a_problem(client: TestClient, method: str, path: str) -> None:
    built()
    body = {"query": "x"} if method == "POST" else None
    response = client.request(method, f"/v1/collections{path}", json=body)
    assert (response.status_code, response.json()["code"]) == (404, "document-not-found")


def test_uploads_become_a_collection_that_can_be_added_to_and_taken_from() -> None:
    with working(Desk.of(SETTINGS)) as client:
        response = upload(client, "shop")
        assert response.status_code == 202
        job = ended(client, response.json()["id"])
        assert (job["state"], job["error"]) == ("done", None)
        assert job["result"] == "/v1/collections/shop/documents"
        assert client.get(job["result"]).json()["data"] == ["kettle.md", "lamp.md"]
        (entry,) = client.get("/v1/collections").json()["data"]
        assert entry["changeable"] is True
        gone = client.delete("/v1/collections/shop/documents/lamp.md")
        assert ended(client, gone.json()["id"])["state"] == "done"
        assert client.get(job["result"]).json()["data"] == ["kettle.md"]


def test_names_of_uploads_stay_inside_their_folder(client: TestClient) -> None:
    response = upload(client, "shop", {"../../../lamp.md": "# Lamp\n"})
    assert response.status_code == 202
    assert [path.name for path in (HOME / "documents" / "shop").iterdir()] == ["lamp.md"]
    command = response.json()["command"]
    assert command[:3] == ["index", "build", "--json"]
    assert command[-2:] == ["shop", str((HOME / "documents" / "shop").absolute())]


@pytest.mark.parametrize(
    "documents",
    [{"lamp.exe": "x"}, {"lamp.exe": "x", "kettle.svg": "y"}],
    ids=["one", "two"],
)
def test_documents_that_cannot_be_kept_are_refused(
    client: TestClient, documents: dict[str, str]
) -> None:
    response = upload(client, "shop", documents)
    assert (response.status_code, response.json()["code"]) == (400, "collection")
    assert client.get("/v1/jobs").json()["data"] == []


def test_a_text_becomes_a_document_of_its_name() -> None:
    with working(Desk.of(SETTINGS)) as client:
        text = {"name": "Opening hours", "text": "# Hours\n\nFrom nine to five.\n"}
        response = client.post("/v1/collections/shop/texts", json=text)
        told = response.json()
        assert (response.status_code, told["kept"]) == (202, ["Opening-hours.md"])
        assert response.headers["Location"] == f"/v1/jobs/{told['id']}"
        assert ended(client, told["id"])["state"] == "done"
        read = client.get("/v1/collections/shop/documents/Opening-hours.md").json()
        assert read["text"] == text["text"]


@pytest.mark.parametrize(
    ("sent", "kept"),
    [
        ("notes.TXT", "notes.TXT"),
        ("version 1.2", "version-1.2.md"),
        ("a.pdf", "a.pdf.md"),
        ("Q/A", "Q-A.md"),
        ("../../evil", "evil.md"),
        ("x" * 80, "x" * 80 + ".md"),
    ],
    ids=["ending", "dot", "other ending", "slash", "path", "long"],
)
def test_the_name_of_a_text_becomes_a_plain_one(client: TestClient, sent: str, kept: str) -> None:
    response = client.post("/v1/collections/shop/texts", json={"name": sent, "text": "Text."})
    assert (response.status_code, response.json()["kept"]) == (202, [kept])
    assert [path.name for path in (HOME / "documents" / "shop").iterdir()] == [kept]


@pytest.mark.parametrize(
    ("text", "status", "code"),
    [
        ({"name": "blank", "text": " \n"}, 422, "document-unreadable"),
        ({"name": "…", "text": "Text."}, 400, "collection"),
        ({"name": "", "text": "Text."}, 400, "invalid-request"),
        ({"name": "hours", "text": "\ud800"}, 400, "invalid-request"),
        ({"name": "hours", "text": 1}, 400, "invalid-request"),
    ],
    ids=["blank", "no name", "empty name", "half a character", "number"],
)
def test_a_text_that_cannot_be_kept_is_refused(
    client: TestClient, text: dict[str, Any], status: int, code: str
) -> None:
    response = client.post("/v1/collections/shop/texts", content=json.dumps(text), headers=JSON)
    assert (response.status_code, response.json()["code"]) == (status, code)
    assert client.get("/v1/jobs").json()["data"] == []


@pytest.mark.parametrize("name", ["manual", "skill-orders"], ids=["another folder", "a skill's"])
def test_collections_from_elsewhere_are_not_changed(client: TestClient, name: str) -> None:
    built()
    added = upload(client, name)
    assert (added.status_code, added.json()["code"]) == (409, "collection-elsewhere")
    deleted = client.delete(f"/v1/collections/{name}/documents/lamp.md")
    assert (deleted.status_code, deleted.json()["code"]) == (409, "collection-elsewhere")


def test_the_last_document_stays_and_there_are_not_too_many(client: TestClient) -> None:
    upload(client, "shop", {"lamp.md": "# Lamp"})
    refused = client.delete("/v1/collections/shop/documents/lamp.md").json()
    assert (refused["status"], refused["code"]) == (400, "collection")
    assert "last document" in refused["detail"]
    folder = HOME / "documents" / "shop"
    for number in range(9_999):
        (folder / f"{number}.md").touch()
    assert upload(client, "shop", {"lamp.md": "# Lamp, again"}).status_code == 202
    assert "10000" in upload(client, "shop", {"more.md": "# More"}).json()["detail"]


def test_the_examples_are_valid() -> None:
    assert CollectionEntry.model_validate(endpoints.ENTRY)
    assert SearchRequest.model_validate(endpoints.QUERY)
    assert SearchResult.model_validate(endpoints.FOUND)
    assert DocumentsAdded.model_validate(additions.ADDED)
    assert TextOrder.model_validate(additions.TEXT)
