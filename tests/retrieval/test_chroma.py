"""Chroma as a cache of the record."""

import sys
from pathlib import Path

import numpy as np
import pytest

from rag_adapt.core.errors import CollectionError, LockedError, MissingPackageError
from rag_adapt.retrieval.build import build_collection
from rag_adapt.retrieval.chroma import COMPLETE, ChromaIndex, is_complete
from rag_adapt.retrieval.exact import ExactIndex
from rag_adapt.retrieval.lock import acquire
from rag_adapt.retrieval.record import Meta, Record
from tests.retrieval.fakes import CountingEmbedder, numbered_corpus


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    folder = tmp_path / "indexes" / "numbers"
    build_collection(folder, numbered_corpus(tmp_path / "source", 40), CountingEmbedder())
    return folder


def finished(record: Record) -> Meta:
    meta = record.meta()
    assert meta is not None
    return meta


def test_it_finds_what_exact_search_finds(folder: Path) -> None:
    record = Record.read(folder)
    chunks, matrix = record.matrix(finished(record))
    exact = ExactIndex(chunks=chunks, matrix=matrix)
    index = ChromaIndex.open(record, finished(record))
    for vector in matrix[::7]:
        expected, found = exact.nearest(vector, 1), index.nearest(vector, 1)
        assert [hit.chunk for hit in found] == [hit.chunk for hit in expected]
        assert found[0].score == pytest.approx(expected[0].score, abs=1e-5)
    assert len(index.nearest(matrix[0], 500)) == 40
    index.close()
    record.close()


def test_it_is_filled_once_and_opened_again(folder: Path) -> None:
    record = Record.read(folder)
    ChromaIndex.open(record, finished(record)).close()
    assert is_complete(folder, finished(record).content_hash)
    before = {path: path.stat().st_mtime_ns for path in folder.glob(f"chroma/*/{COMPLETE}")}
    index = ChromaIndex.open(record, finished(record))
    assert index.ids() == {chunk.id for chunk in record.chunks()}
    assert len(index.ids()) == 40
    index.close()
    record.close()
    assert {path: path.stat().st_mtime_ns for path in before} == before


def test_a_cache_that_was_not_finished_is_made_anew(folder: Path) -> None:
    record = Record.read(folder)
    ChromaIndex.open(record, finished(record)).close()
    next(folder.glob(f"chroma/*/{COMPLETE}")).unlink()
    index = ChromaIndex.open(record, finished(record))
    assert index.count() == 40
    index.close()
    record.close()


def test_it_holds_the_folders_lock_while_it_is_open(folder: Path) -> None:
    record = Record.read(folder)
    index = ChromaIndex.open(record, finished(record))
    with pytest.raises(LockedError):
        acquire(folder)
    index.close()
    acquire(folder).release()
    record.close()


def test_a_new_build_removes_the_cache_of_the_old_one(folder: Path, tmp_path: Path) -> None:
    record = Record.read(folder)
    ChromaIndex.open(record, finished(record)).close()
    record.close()
    build_collection(folder, numbered_corpus(tmp_path / "source", 41), CountingEmbedder())
    assert not (folder / "chroma").exists()


def test_it_gives_back_the_records_vectors(folder: Path) -> None:
    record = Record.read(folder)
    chunks, matrix = record.matrix(finished(record))
    index = ChromaIndex.open(record, finished(record))
    found = index.vectors([int(chunks[0]), int(chunks[20]), 99])
    assert list(found) == [chunks[0], chunks[20]]
    assert np.allclose(found[int(chunks[20])], matrix[20], atol=1e-5)
    index.close()
    record.close()


def test_a_cache_that_cannot_be_opened_as_it_is_releases_the_lock(folder: Path) -> None:
    record = Record.read(folder)
    ChromaIndex.open(record, finished(record)).close()
    database = next(folder.glob("chroma/*/chroma.sqlite3"))
    database.write_bytes(b"damaged" * 2000)
    with pytest.raises(CollectionError, match="Chroma cannot open") as caught:
        ChromaIndex.open_as_it_is(record, finished(record))
    assert "rag-adapt index rebuild numbers" in caught.value.hint
    acquire(folder).release()
    record.close()


@pytest.mark.parametrize("count", [1, 2, 3])
def test_the_smallest_collections_are_kept_whole(count: int, tmp_path: Path) -> None:
    folder = tmp_path / "indexes" / "small"
    build_collection(folder, numbered_corpus(tmp_path / "few", count), CountingEmbedder())
    record = Record.read(folder)
    for _ in range(2):
        index = ChromaIndex.open(record, finished(record))
        assert len(index.nearest(index.vectors([1])[1], 5)) == index.count() == count
        index.close()
    record.close()


def test_a_missing_library_is_named(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "chromadb", None)
    record = Record.read(folder)
    with pytest.raises(MissingPackageError, match="needs chromadb"):
        ChromaIndex.open(record, finished(record))
    acquire(folder).release()
    record.close()
