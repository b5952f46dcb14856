"""The page Collections over the real service: filled, searched, read, mended, emptied."""

import re
from collections.abc import Iterator
from html import unescape
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from streamlit.testing.v1 import AppTest

from rag_adapt.api.desk import Desk
from rag_adapt.client import Client
from rag_adapt.engines.scripted import ScriptedEngine
from rag_adapt.keys.store import KeyStore
from rag_adapt.retrieval.build import build_collection
from rag_adapt.retrieval.embed import HashingEmbedder
from rag_adapt.schemas.collections import CollectionEntry, Hit
from rag_adapt.skills.load import load_skill
from tests.api.parts import SETTINGS, app_of, listening
from tests.jobs.running import STAND_IN
from tests.serving.parts import HOME, imported, indexed, service
from tests.serving.quoted import quoted_by
from tests.ui.parts import button, fresh, page, ran, until, words
from tests.ui.still import still_desk
from ui.collection_chunks import AT_ONCE, drawn
from ui.collection_documents import AT_ONCE as PAGE
from ui.collection_documents import LISTED
from ui.collection_page import SHOWN as NAMED
from ui.collection_page import said
from ui.connection import ADDRESS
from ui.search import merged

HOSTILE = "![x](http://example.invalid/x) <img src=http://example.invalid/y>"
LAMP = f"# Lamp\n\nThe lamp gives 900 lm. {HOSTILE}\n\n## Care\n\nWipe it with a dry cloth.\n"
LIBRARY = HOME / "documents" / "manual"


@pytest.fixture
def manual(own_folder: Path) -> str:
    """A collection of uploaded documents, one of which could not be read and one came later."""
    LIBRARY.mkdir(parents=True)
    (LIBRARY / "lamp.md").write_text(LAMP)
    (LIBRARY / "kettle.md").write_text("# Kettle\n\nIt holds two litres.\n")
    (LIBRARY / "blank.md").write_text("  ")
    build_collection(Path("indexes") / "manual", LIBRARY, HashingEmbedder())
    (LIBRARY / "new.md").write_text("New.")
    return "manual"


@pytest.fixture
def quick(manual: str, monkeypatch: pytest.MonkeyPatch) -> Iterator[Desk]:
    """A service with that collection; a stand-in takes the place of its commands."""
    desk = Desk.of(SETTINGS, program=STAND_IN)
    with listening(app_of(service(ScriptedEngine()), desk=desk)) as url:
        monkeypatch.setenv(ADDRESS, url)
        yield desk


def test_documents_are_uploaded_indexed_and_found_in_the_list(address: str) -> None:
    with page("collections") as test:
        assert "No collection yet. Upload documents below" in words(test)
        button(test, "Upload and index").click()
        assert "Name the collection and choose at least one file." in words(ran(test))
        test.text_input[0].set_value("manual")
        test.file_uploader[0].set_value([("lamp.md", LAMP.encode(), "text/markdown")])
        button(test, "Upload and index").click()
        ran(test)
        assert test.query_params["collection"] == "manual"
        until(test, lambda t: any(one.label == "Open the collection" for one in t.button))
        button(test, "Open the collection").click()
        assert "manual: 1 document, 2 chunks" in words(ran(test))


def searched(test: AppTest, query: str) -> AppTest:
    next(one for one in test.text_input if one.label == "Look for").set_value(query)
    button(test, "Search").click()
    return ran(test)


def html(test: AppTest) -> str:
    """What the page shows as HTML, without what is there for its looks."""
    bodies = [str(one.proto.body) for one in test.get("html")]
    return "".join(body for body in bodies if not body.startswith("<style>"))


def test_a_search_shows_ranks_of_every_mode_and_the_passage_where_it_stands(
    manual: str, address: str
) -> None:
    with page("collections", collection=manual) as test:
        assert "Type what to look for." in words(searched(test, "  "))
        searched(test, "how bright is the lamp")
        rows = test.dataframe[0].value
        assert rows["document"][0] == "lamp.md"
        assert rows["lexical"][0].startswith("1 (")
        assert {"fused", "dense", "from", "to"} <= set(rows.columns)
        assert "<mark>" in html(test)
        assert "&lt;img src=http://example.invalid/y&gt;" in html(test)
        assert "<img" not in html(test)


def test_every_document_says_its_state_and_can_be_chosen_by_it(manual: str, address: str) -> None:
    with page("collections", collection=manual) as test:
        states = dict(
            zip(*(test.dataframe[0].value[c] for c in ("document", "state")), strict=True)
        )
        assert states == {
            "blank.md": "failed",
            "kettle.md": "indexed",
            "lamp.md": "indexed",
            "new.md": "waits for its job",
        }
        said = words(test)
        assert "empty" in said
        (control,) = [one for one in test.segmented_control if one.label == "Show"]
        control.set_value("failed")
        assert list(ran(test).dataframe[0].value["document"]) == ["blank.md"]
        assert test.query_params["state"] == "failed"


def test_one_document_is_tried_again_and_another_deleted_by_a_job(quick: Desk) -> None:
    with page("collections", collection="manual") as test:
        test.button(key="again-blank.md").click()
        ran(test)
        job = quick.jobs.get(test.query_params["job"])
        assert job.argv[:2] == ("index", "build")
        assert "manual" in job.argv
        until(test, lambda t: "Finished." in words(t))
        button(test, "Open the collection").click()
        ran(test)
        next(one for one in test.selectbox if one.label == "Read").select("lamp.md")
        ran(test)
        assert test.query_params["document"] == "lamp.md"
        button(test, "Delete the document").click()
        ran(test)
        assert test.query_params["collection"] == "manual"
        assert not (LIBRARY / "lamp.md").exists()


def test_a_document_that_failed_is_deleted_after_it_was_asked(quick: Desk) -> None:
    with page("collections", collection="manual") as test:
        assert "blank.md was uploaded here and goes for good." in words(test)
        test.button(key="remove-blank.md").click()
        assert "job" in ran(test).query_params
        assert not (LIBRARY / "blank.md").exists()


def test_many_documents_come_page_by_page_and_those_that_failed_are_not_all_spelled_out(
    address: str,
) -> None:
    LIBRARY.mkdir(parents=True)
    for number in range(PAGE + 1):
        (LIBRARY / f"{number:03}.md").write_text("  " if number < LISTED + 1 else "# Full\n\nYes.")
    build_collection(Path("indexes") / "manual", LIBRARY, HashingEmbedder())
    with page("collections", collection="manual") as test:
        assert "And 1 more of this page, in the table." in words(test)
        assert len(test.dataframe[0].value) == PAGE
        button(test, "Further documents").click()
        assert list(ran(test).dataframe[0].value["document"]) == [f"{PAGE:03}.md"]
        button(test, "First documents").click()
        assert len(ran(test).dataframe[0].value) == PAGE
    with page("collections", collection="manual", state="waiting") as test:
        assert "No document is in this state." in words(test)


def test_a_key_that_may_not_see_jobs_sees_the_documents(manual: str) -> None:
    token = KeyStore(HOME).create("reader", "chat").token
    with (
        listening(app_of(service(ScriptedEngine()), desk=still_desk(SETTINGS))) as url,
        Client(url, key=token.reveal()) as client,
    ):
        test = fresh()
        test.session_state["connection.client"] = client
        test.query_params["collection"] = manual
        test.switch_page("views/collections.py")
        assert next(iter(ran(test).dataframe[0].value["document"])) == "blank.md"
        test.button(key="again-blank.md").click()
        assert "That did not work" in words(ran(test))


def test_work_on_a_collection_is_shown_while_it_goes_on(
    manual: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    with listening(app_of(service(ScriptedEngine()), desk=still_desk(SETTINGS))) as url:
        monkeypatch.setenv(ADDRESS, url)
        with Client(url) as client:
            job = client.collections.retry(manual, "blank.md").id
        with page("collections", collection=manual) as test:
            assert "Being brought up to date since" in words(test)
            button(test, "Watch").click()
            assert ran(test).query_params["job"] == job


def test_chunks_are_drawn_in_the_text_that_they_were_cut_from(manual: str, address: str) -> None:
    with page("collections", collection=manual, document="lamp.md") as test:
        shown = html(test)
        assert (
            unescape(re.sub(r"<span [^>]*>\d+</span>|<[^>]*>", "", shown)).strip() == LAMP.strip()
        )
        assert "<img" not in shown
        chunks = test.dataframe[1].value
        assert list(chunks["under"]) == ["Lamp", "Lamp > Care"]
        assert list(chunks["chunk"]) == [1, 2]
    with page("collections", collection=manual, document="blank.md") as test:
        assert "has no document 'blank.md'" in words(test)


def test_of_a_long_document_the_chunks_come_page_by_page(address: str) -> None:
    LIBRARY.mkdir(parents=True)
    parts = [f"## Part {n}\n\nFact {n}." for n in range(AT_ONCE + 5)]
    (LIBRARY / "long.md").write_text("\n\n".join(parts))
    build_collection(Path("indexes") / "manual", LIBRARY, HashingEmbedder())
    with page("collections", collection="manual", document="long.md") as test:
        assert "Fact 0." in html(test)
        button(test, "Further chunks").click()
        ran(test)
        assert "Fact 0." not in html(test)
        assert f"Fact {AT_ONCE}." in html(test)
        assert next(iter(test.dataframe[1].value["chunk"])) == AT_ONCE + 1
        button(test, "First chunks").click()
        assert "Fact 0." in html(ran(test))


@given(st.data())
def test_drawing_chunks_changes_nothing_of_the_text_and_shows_it_as_text(
    data: st.DataObject,
) -> None:
    text = data.draw(st.text(st.sampled_from("a<b>&\n "), max_size=30))
    edge = st.integers(0, len(text))
    spans = sorted(tuple(sorted(data.draw(st.tuples(edge, edge)))) for _ in range(3))
    made = drawn(text, [(start, end) for start, end in spans if start < end])
    assert unescape(re.sub(r"<span [^>]*>\d+</span>|</?(?:div|span)[^>]*>", "", made)) == text
    assert "<b>" not in made


def test_where_two_chunks_overlap_another_colour_says_so() -> None:
    made = drawn("abcd", [(0, 3), (2, 4)])
    colours = re.findall(r"background: (rgba\([^)]*\))[^>]*>(\w+)", made)
    assert [text for _, text in colours] == ["ab", "c", "d"]
    assert len({colour for colour, _ in colours}) == 3


def test_a_collection_that_is_not_ready_says_why() -> None:
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
    assert said(entry).startswith("manual: damaged: its files cannot be read")
    ready = entry.model_copy(update={"state": "ready", "failed": 1, "embedder": "hashing"})
    assert said(ready) == ("manual: 0 documents, 0 chunks, 1 file left out, embedded by hashing")


def test_deleting_a_collection_asks_first(manual: str, address: str) -> None:
    with page("collections", collection=manual) as test:
        assert "go for good" not in words(test)
        test.session_state[f"delete-{manual}"] = True
        said = words(ran(test))
        assert "its uploaded documents go for good" in said
        assert "No run, trace or conversation quotes it." in said
        button(test, "Delete for good").click()
        said = words(ran(test))
        assert "No collection yet." in said
        assert "manual is gone" in said
        button(test, "I have read it").click()
        assert "manual is gone" not in words(ran(test))
    with page("collections", collection=manual) as test:
        assert "There is no such collection" in words(test)


def test_what_quotes_a_collection_is_said_before_it_goes_and_named_after(
    address: str,
) -> None:
    indexed(load_skill(imported()))
    quoted_by(HOME, "skill-colours", skill="colours")
    with page("collections", collection="skill-colours") as test:
        test.session_state["delete-skill-colours"] = True
        said = words(ran(test))
        assert "Its documents stay where they lie" in said
        assert "by what quotes it: 1 run, 1 trace and 1 conversation. That stays." in said
        button(test, "Delete for good").click()
        said = words(ran(test))
        assert "skill-colours is gone" in said
        assert "2026-x" in said
        assert "rag-adapt traces remove --collection skill-colours" in said


def test_a_skills_own_documents_can_be_searched_and_not_changed(address: str) -> None:
    indexed(load_skill(imported()))
    with Client(address) as client:
        (name,) = [one.name for one in client.collections.all()]
    with page("collections", collection=name) as test:
        assert "Its documents lie elsewhere" in words(test)
        assert "Add documents" not in words(test)


def test_passages_of_all_modes_are_merged_with_their_ranks() -> None:
    a, b = (Hit(document="d", start=n, end=n + 1, text="x", score=0.5) for n in (0, 1))
    found = merged({"fused": [a], "dense": [b, a], "lexical": []})
    assert [one.hit for one in found] == [a, b]
    assert found[0].ranks == {"fused": 1, "dense": 2}
    assert found[1].ranks == {"dense": 1}


def test_of_an_upload_the_files_that_cannot_be_read_are_named_and_the_others_kept(
    quick: Desk,
) -> None:
    files = [("new.md", b"# New"), ("000.md", b" ")]
    files += [(f"{number}.txt", b"\0") for number in range(NAMED)]
    with page("collections", collection="manual") as test:
        test.file_uploader[0].set_value([(name, text, "text/plain") for name, text in files])
        button(test, "Upload and index").click()
        said = words(ran(test))
        assert "job" in test.query_params
        assert f"{NAMED + 1} files left out" in said
        assert "000.md: empty" in said
        assert "And 1 more." in said
        assert (LIBRARY / "new.md").read_text() == "# New"
        assert not (LIBRARY / "000.md").exists()


def test_a_text_is_added_as_a_document(quick: Desk) -> None:
    with page("collections") as test:
        button(test, "Add and index").click()
        assert "Name the collection and the document, and write its text." in words(ran(test))
        named = [one for one in test.text_input if one.label == "Name of the collection"]
        named[1].set_value("manual")
        (title,) = [one for one in test.text_input if one.label == "Name of the document"]
        title.set_value("Opening hours")
        test.text_area[0].set_value(f"From nine to five. {HOSTILE}")
        button(test, "Add and index").click()
        ran(test)
        assert test.query_params["collection"] == "manual"
        assert "job" in test.query_params
        assert (LIBRARY / "Opening-hours.md").read_text() == f"From nine to five. {HOSTILE}"
