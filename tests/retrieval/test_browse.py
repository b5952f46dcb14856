"""What a person looks at: states of documents, chunks of one."""

from pathlib import Path

import pytest

from rag_adapt.core.errors import CollectionError
from rag_adapt.retrieval.browse import pieces, states
from rag_adapt.retrieval.build import build_collection
from rag_adapt.retrieval.collection import Collection
from rag_adapt.retrieval.record import Record
from tests.retrieval.fakes import MANUAL, CountingEmbedder, write_corpus


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    folder = tmp_path / "indexes" / "manual"
    source = write_corpus(tmp_path / "source", {**MANUAL, "broken.md": b"  "})
    build_collection(folder, source, CountingEmbedder())
    return folder


def test_every_document_is_listed_with_its_state(folder: Path) -> None:
    found = {one.path: one for one in states(folder)}
    assert list(found) == ["broken.md", "care/cleaning.md", "filling.md", "warranty.txt"]
    broken, cleaning = found["broken.md"], found["care/cleaning.md"]
    assert broken.reason is not None
    assert "empty" in broken.reason
    assert (broken.state, broken.characters, broken.chunks) == ("failed", 0, 0)
    assert (cleaning.state, cleaning.reason, cleaning.chunks) == ("indexed", None, 2)
    assert cleaning.characters == len(MANUAL["care/cleaning.md"])


def test_chunks_of_a_document_come_in_pages_and_cover_its_text(folder: Path) -> None:
    text = MANUAL["care/cleaning.md"]
    (first,) = pieces(folder, "care/cleaning.md", limit=1) or ()
    (second,) = pieces(folder, "care/cleaning.md", after=first.id, limit=5) or ()
    assert text[first.start : first.end] == "# Cleaning\n\nRinse the kettle with vinegar."
    assert text[second.start : second.end] == "## Filter\n\nSoak it."
    assert second.headings == ("Cleaning", "Filter")
    assert (first.number, second.number) == (1, 2)
    with Collection.open(folder) as opened:
        assert opened.info().chunks == 4
    assert pieces(folder, "care/cleaning.md", after=second.id, limit=5) == ()


@pytest.mark.parametrize("document", ["ghost.md", "broken.md"])
def test_a_document_that_is_not_indexed_has_no_chunks(folder: Path, document: str) -> None:
    assert pieces(folder, document, limit=5) is None


def test_before_the_first_build_has_ended_there_is_nothing(tmp_path: Path) -> None:
    folder = tmp_path / "young"
    folder.mkdir()
    Record.write(folder).close()
    assert (states(folder), pieces(folder, "a.md", limit=5)) == ((), None)
    with pytest.raises(CollectionError, match="no collection 'ghost'"):
        states(tmp_path / "ghost")
