"""The store of record."""

import sqlite3
from pathlib import Path

import pytest

from rag_adapt.core.errors import CollectionError
from rag_adapt.retrieval.build import build_collection, sync_collection
from rag_adapt.retrieval.check import check_collection
from rag_adapt.retrieval.collection import Collection
from rag_adapt.retrieval.progress import documents_of
from rag_adapt.retrieval.record import Record
from tests.retrieval.fakes import CountingEmbedder, write_corpus


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    folder = tmp_path / "indexes" / "manual"
    build_collection(folder, write_corpus(tmp_path / "source"), CountingEmbedder())
    return folder


def change(folder: Path, statement: str) -> None:
    connection = sqlite3.connect(folder / "record.db")
    connection.execute(statement)
    connection.commit()
    connection.close()


@pytest.mark.parametrize("opening", [Record.write, Collection.open])
def test_a_record_of_another_version_is_refused(folder: Path, opening: object) -> None:
    change(folder, "UPDATE meta SET value = '7' WHERE key = 'schema_version'")
    assert callable(opening)
    with pytest.raises(CollectionError, match="version '7', which is newer") as caught:
        opening(folder)
    assert "rm -r" in caught.value.hint


def test_a_database_without_our_tables_is_not_finished(tmp_path: Path) -> None:
    folder = tmp_path / "strange"
    folder.mkdir()
    change(folder, "CREATE TABLE other (x)")
    with pytest.raises(CollectionError, match="not finished"):
        Collection.open(folder)


def test_a_search_over_missing_vectors_points_to_the_audit(folder: Path) -> None:
    change(folder, "DELETE FROM embeddings")
    collection = Collection.open(folder, CountingEmbedder())
    with pytest.raises(CollectionError, match="lacks the vectors of 4 chunks") as caught:
        collection.search("kettle", 1, "dense")
    collection.close()
    assert "rag-adapt index check manual" in caught.value.hint


def test_chunks_come_in_the_order_asked_for_and_unknown_ones_are_left_out(folder: Path) -> None:
    record = Record.read(folder)
    first, _, third, _ = [chunk.id for chunk in record.chunks()]
    assert [chunk.id for chunk in record.chunks([third, 99, first])] == [third, first]
    record.close()


def test_a_record_of_the_first_version_is_read_as_it_is_and_made_new_by_the_next_build(
    folder: Path, tmp_path: Path
) -> None:
    for table in ("files", "pages"):
        change(folder, f"DROP TABLE {table}")
    for column in ("before", "after"):
        change(folder, f"ALTER TABLE chunks DROP COLUMN {column}")
    change(folder, "UPDATE meta SET value = '1' WHERE key = 'schema_version'")
    with Collection.open(folder, CountingEmbedder()) as old:
        before = old.content_hash
        assert old.search("litres", 1)[0].document == "filling.md"
        assert old.page("filling.md", 0) is None
    assert {each.state for each in documents_of(folder)} == {"indexed"}
    counting = CountingEmbedder()
    report = sync_collection(folder, tmp_path / "source", counting)
    assert (report.content_hash, report.parsed, counting.texts) == (before, 3, [])
    assert check_collection(folder) == []
