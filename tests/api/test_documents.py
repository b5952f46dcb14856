"""Documents one by one: their state, their chunks, another try."""

from pathlib import Path

import pytest
from fastapi.testclient import TestClient

from rag_adapt.api import documents as endpoints
from rag_adapt.api.desk import Desk
from rag_adapt.retrieval.build import build_collection
from rag_adapt.retrieval.embed import HashingEmbedder
from rag_adapt.schemas.collections import ChunkList, FileInfo, FileList
from tests.api.parts import SETTINGS, client_of
from tests.api.test_collections import built, upload
from tests.api.working import ended, idle_desk, working
from tests.serving.parts import HOME

LONG = "# Manual\n\n" + "\n\n".join(f"## Part {n}\n\nFact number {n}." for n in range(5))
LIBRARY = HOME / "documents" / "shop"


@pytest.fixture
def client() -> TestClient:
    """A client whose jobs wait."""
    return client_of(desk=idle_desk())


@pytest.fixture
def shop() -> None:
    """A collection of uploaded documents, of which one cannot be read and one came later."""
    LIBRARY.mkdir(parents=True)
    (LIBRARY / "manual.md").write_text(LONG)
    (LIBRARY / "broken.md").write_text("  ")
    build_collection(Path("indexes") / "shop", LIBRARY, HashingEmbedder())
    (LIBRARY / "new.txt").write_text("New.")


def listed(client: TestClient, **query: str | int) -> FileList:
    response = client.get("/v1/collections/shop/files", params=query)
    return FileList.model_validate(response.json())


def test_every_document_has_a_state_and_a_reason_where_it_was_left_out(
    client: TestClient, shop: None
) -> None:
    found = listed(client)
    states = {one.document: one.state for one in found.data}
    assert states == {"broken.md": "failed", "manual.md": "indexed", "new.txt": "waiting"}
    broken, manual, _ = found.data
    assert (broken.chunks, manual.chunks, manual.characters) == (0, 5, len(LONG))
    assert broken.reason is not None
    assert "empty" in broken.reason
    assert manual.reason is None
    assert all(one.repeatable for one in found.data)


def test_documents_come_in_pages_and_by_state(client: TestClient, shop: None) -> None:
    first = listed(client, limit=2)
    assert first.next == "manual.md"
    second = listed(client, limit=2, cursor=first.next)
    assert [one.document for one in second.data] == ["new.txt"]
    assert second.counts == first.counts
    assert (first.counts.indexed, first.counts.failed, first.counts.waiting) == (1, 1, 1)
    (failed,) = listed(client, state="failed").data
    assert failed.document == "broken.md"


def test_uploads_wait_until_the_first_build_has_ended(client: TestClient) -> None:
    assert upload(client, "shop").status_code == 202
    assert {one.state for one in listed(client).data} == {"waiting"}
    collections = client.get("/v1/collections").json()
    (entry,) = collections["data"]
    assert (entry["name"], entry["state"], entry["changeable"]) == ("shop", "unfinished", True)
    assert {".md", ".txt"} <= set(collections["kinds"])
    assert client.get("/v1/collections/ghost/files").status_code == 404


def test_documents_from_elsewhere_cannot_be_tried_again(client: TestClient) -> None:
    built()
    files = client.get("/v1/collections/manual/files").json()["data"]
    assert [one["repeatable"] for one in files] == [False, False]
    refused = client.post("/v1/collections/manual/documents/lamp.md")
    assert (refused.status_code, refused.json()["code"]) == (409, "collection-elsewhere")


def test_chunks_are_spans_of_the_text_in_pages(client: TestClient, shop: None) -> None:
    text = client.get("/v1/collections/shop/documents/manual.md").json()["text"]
    cursor: int | None = 0
    found = []
    while cursor is not None:
        query: dict[str, str | int] = {"document": "manual.md", "limit": 2, "cursor": cursor}
        response = client.get("/v1/collections/shop/chunks", params=query)
        page = ChunkList.model_validate(response.json())
        found += page.data
        cursor = page.next
    assert [one.number for one in found] == [1, 2, 3, 4, 5]
    assert [one.headings for one in found] == [["Manual", f"Part {n}"] for n in range(5)]
    assert text[found[1].start : found[1].end] == "## Part 1\n\nFact number 1."
    for document in ("ghost.md", "broken.md"):
        gone = client.get("/v1/collections/shop/chunks", params={"document": document})
        assert (gone.status_code, gone.json()["code"]) == (404, "document-not-found")


def test_a_document_that_was_mended_is_indexed_by_another_try(shop: None) -> None:
    with working(Desk.of(SETTINGS)) as client:
        assert client.post("/v1/collections/shop/documents/ghost.md").status_code == 404
        (LIBRARY / "broken.md").write_text("# Whole\n\nIt is whole again.\n")
        response = client.post("/v1/collections/shop/documents/broken.md")
        assert response.status_code == 202
        assert ended(client, response.json()["id"])["state"] == "done"
        assert {one.state for one in listed(client).data} == {"indexed"}


def test_the_examples_are_valid() -> None:
    assert FileList.model_validate(endpoints.FILES)
    assert FileInfo.model_validate(endpoints.FILE)
    assert ChunkList.model_validate(endpoints.CHUNKS)
