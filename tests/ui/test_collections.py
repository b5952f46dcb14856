"""The page Collections over the real service: filled, searched, read, emptied."""

import pytest
from streamlit.testing.v1 import AppTest

from rag_adapt.client import Client, Upload
from rag_adapt.schemas.collections import CollectionEntry, Hit
from rag_adapt.skills.load import load_skill
from tests.serving.parts import imported, indexed
from tests.ui.parts import button, page, ran, until, words
from ui.collection_page import MOST, said
from ui.search import merged

HOSTILE = "![x](http://example.invalid/x) <img src=http://example.invalid/y>"
LAMP = f"# Lamp\n\nThe lamp gives 900 lm. {HOSTILE}\n"
KETTLE = "# Kettle\n\nIt holds two litres.\n"


@pytest.fixture
def manual(address: str) -> str:
    """A collection of two uploaded documents."""
    files = [
        Upload(name="lamp.md", content=LAMP.encode()),
        Upload(name="kettle.md", content=KETTLE.encode()),
    ]
    with Client(address) as client:
        assert client.jobs.result(client.collections.add("manual", files).id).state == "done"
    return "manual"


def test_an_empty_home_says_what_to_do_next(address: str) -> None:
    with page("collections") as test:
        assert "No collection yet. Upload documents below" in words(test)
        button(test, "Upload and index").click()
        assert "Name the collection and choose at least one file." in words(ran(test))


def test_documents_are_uploaded_indexed_searched_and_read(address: str) -> None:
    with page("collections") as test:
        test.text_input[0].set_value("manual")
        test.file_uploader[0].set_value([("lamp.md", LAMP.encode(), "text/markdown")])
        button(test, "Upload and index").click()
        ran(test)
        assert test.query_params["collection"] == "manual"
        until(test, lambda t: any(one.label == "Open the collection" for one in t.button))
        button(test, "Open the collection").click()
        assert "manual: 1 document, 1 chunk" in words(ran(test))


def searched(test: AppTest, query: str) -> AppTest:
    next(one for one in test.text_input if one.label == "Look for").set_value(query)
    button(test, "Search").click()
    return ran(test)


def test_a_search_shows_ranks_of_every_mode_and_the_passage_where_it_stands(manual: str) -> None:
    with page("collections", collection=manual) as test:
        assert "Type what to look for." in words(searched(test, "  "))
        searched(test, "how bright is the lamp")
        rows = test.dataframe[0].value
        assert rows["document"][0] == "lamp.md"
        assert rows["lexical"][0].startswith("1 (")
        assert {"fused", "dense", "from", "to"} <= set(rows.columns)
        shown = "".join(str(one.proto.body) for one in test.get("html"))
        assert "<mark>" in shown
        assert "&lt;img src=http://example.invalid/y&gt;" in shown
        assert "<img" not in shown


def test_a_document_is_read_as_text_and_leaves_by_a_job(manual: str) -> None:
    with page("collections", collection=manual) as test:
        test.selectbox[0].select("lamp.md")
        ran(test)
        assert HOSTILE in "".join(one.value for one in test.code)
        assert HOSTILE not in "".join(one.value for one in test.markdown)
        button(test, "Delete the document").click()
        ran(test)
        assert test.query_params["collection"] == manual
        until(test, lambda t: "Finished." in words(t))
        button(test, "Open the collection").click()
        assert "manual: 1 document" in words(ran(test))


def test_of_a_long_document_the_beginning_is_shown(address: str) -> None:
    files = [Upload(name="long.txt", content=b"word " * (MOST // 4))]
    with Client(address) as client:
        assert client.jobs.result(client.collections.add("long", files).id).state == "done"
    with page("collections", collection="long") as test:
        test.selectbox[0].select("long.txt")
        assert f"The first {MOST:,} characters are shown." in words(ran(test))


def test_a_collection_that_is_not_ready_says_its_state() -> None:
    entry = CollectionEntry(
        name="manual",
        state="damaged",
        documents=0,
        chunks=0,
        failed=0,
        embedder="",
        content_hash="",
        changeable=True,
    )
    assert said(entry) == "manual: damaged"
    ready = entry.model_copy(update={"state": "ready", "failed": 1, "embedder": "hashing"})
    assert said(ready) == ("manual: 0 documents, 0 chunks, 1 file left out, embedded by hashing")


def test_deleting_a_collection_asks_first(manual: str) -> None:
    with page("collections", collection=manual) as test:
        assert "go for good" in words(test)
        button(test, "Delete for good").click()
        assert "No collection yet." in words(ran(test))
    with page("collections", collection=manual) as test:
        assert "There is no such collection" in words(test)


def test_a_skills_own_documents_can_be_searched_and_not_changed(address: str) -> None:
    indexed(load_skill(imported()))
    with Client(address) as client:
        (name,) = [one.name for one in client.collections.all()]
    with page("collections", collection=name) as test:
        assert "Its documents lie elsewhere" in words(test)
        assert "Delete for good" not in words(test)


def test_passages_of_all_modes_are_merged_with_their_ranks() -> None:
    a, b = (Hit(document="d", start=n, end=n + 1, text="x", score=0.5) for n in (0, 1))
    found = merged({"fused": [a], "dense": [b, a], "lexical": []})
    assert [one.hit for one in found] == [a, b]
    assert found[0].ranks == {"fused": 1, "dense": 2}
    assert found[1].ranks == {"dense": 1}
