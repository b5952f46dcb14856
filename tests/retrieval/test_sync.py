"""A collection that follows its folder: only what changed is read, cut, embedded and written."""

import os
import sqlite3
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from rag_adapt.core.errors import CollectionError
from rag_adapt.retrieval.build import BuildReport, build_collection, sync_collection
from rag_adapt.retrieval.check import check_collection
from rag_adapt.retrieval.chunk import RecursiveChunker
from rag_adapt.retrieval.collection import Collection
from rag_adapt.retrieval.means import MOST_HEADINGS
from rag_adapt.retrieval.parse import FileReader, ReadFile
from rag_adapt.retrieval.patch import GAP
from rag_adapt.retrieval.progress import documents_of
from rag_adapt.retrieval.protocols import ChunkSpan
from rag_adapt.retrieval.record import Record
from rag_adapt.retrieval.scan import FoundFile
from tests.retrieval.fakes import CountingEmbedder, numbered_corpus, write_corpus
from tests.retrieval.made import pdf

if TYPE_CHECKING:
    from rag_adapt.retrieval.protocols import Vectors


class CountingReader:
    """Reads as we do, and remembers what."""

    def __init__(self) -> None:
        self.names: list[str] = []
        self._reader = FileReader()

    def read(self, file: FoundFile) -> ReadFile:
        self.names.append(file.name)
        return self._reader.read(file)


class Broken(CountingEmbedder):
    """Embeds nothing."""

    def embed(self, texts: Sequence[str]) -> "Vectors":
        raise OSError("unplugged")


class CountingChunker:
    """Cuts as the default does, and remembers how often."""

    def __init__(self, tokens: int = 120) -> None:
        self.calls = 0
        self._chunker = RecursiveChunker(tokens=tokens)

    def spec(self) -> dict[str, object]:
        return self._chunker.spec()

    def chunk(self, text: str) -> tuple[ChunkSpan, ...]:
        self.calls += 1
        return self._chunker.chunk(text)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return tmp_path / "indexes" / "manual"


@pytest.fixture
def source(tmp_path: Path, folder: Path) -> Path:
    """A folder that was built, and last changed long ago."""
    source = settled(write_corpus(tmp_path / "source"))
    build_collection(folder, source, CountingEmbedder())
    return source


def settled(source: Path) -> Path:
    for path in source.rglob("*"):
        os.utime(path, (10**9, 10**9))
    return source


def synced(folder: Path, source: Path) -> BuildReport:
    report = sync_collection(folder, source, CountingEmbedder())
    assert check_collection(folder) == []
    return report


def answers(folder: Path) -> list[object]:
    """What a collection says to some questions, in order, with scores."""
    with Collection.open(folder, CountingEmbedder()) as collection:
        return [
            collection.search(question, 50, mode)
            for question in ("fact", "kettle part 7", "water")
            for mode in ("dense", "lexical", "fused")
        ]


def test_after_one_of_200_documents_changed_one_is_read_cut_and_embedded(
    folder: Path, tmp_path: Path
) -> None:
    source = settled(numbered_corpus(tmp_path / "many", 200))
    build_collection(folder, source, CountingEmbedder())
    (source / "0100.md").write_text("# Part 100\n\nAnother fact.\n")
    reader, chunker, embedder = CountingReader(), CountingChunker(), CountingEmbedder()
    report = sync_collection(folder, source, embedder, chunker=chunker, reader=reader)
    assert reader.names == ["0100.md"]
    assert embedder.texts == ["# Part 100\n\nAnother fact."]
    assert chunker.calls == 1
    assert (report.parsed, report.embedded, report.documents) == (1, 1, 200)
    assert check_collection(folder) == []


def test_rows_of_unchanged_documents_are_not_written_again(folder: Path, source: Path) -> None:
    def untouched() -> list[object]:
        connection = sqlite3.connect(folder / "record.db")
        rows = connection.execute(
            "SELECT chunks.rowid, chunks.id, documents.id FROM chunks JOIN documents "
            "ON documents.id = document WHERE path <> 'filling.md' ORDER BY chunks.id"
        ).fetchall()
        connection.close()
        return rows

    before = untouched()
    (source / "filling.md").write_text("# Filling\n\nIt holds nothing.\n\n# More\n\nWords.\n")
    synced(folder, source)
    assert untouched() == before


def test_new_changed_and_removed_documents_are_followed(folder: Path, source: Path) -> None:
    write_corpus(source, {"a/new.md": "Brand new.", "warranty.txt": "The warranty is over."})
    (source / "filling.md").unlink()
    report = synced(folder, source)
    assert (report.parsed, report.removed, report.documents) == (2, 1, 3)
    with Collection.open(folder, CountingEmbedder()) as collection:
        assert collection.documents() == ("a/new.md", "care/cleaning.md", "warranty.txt")
        assert collection.search("litres", 3, "lexical") == ()
        assert collection.search("brand", 1, "lexical")[0].document == "a/new.md"


def test_step_by_step_is_the_same_collection_as_all_at_once(folder: Path, tmp_path: Path) -> None:
    source = write_corpus(tmp_path / "source", {f"{n}.md": f"Fact {n}." for n in "bdf"})
    build_collection(folder, source, CountingEmbedder())
    for step in ({"a.md": "Water."}, {"c.md": "Fact of water.", "d.md": "Fact b."}, {"g.md": "x"}):
        write_corpus(source, step)
        last = synced(folder, source)
    (source / "b.md").unlink()
    last = synced(folder, source)
    fresh = build_collection(tmp_path / "fresh", source, CountingEmbedder())
    assert fresh.content_hash == last.content_hash
    assert answers(tmp_path / "fresh") == answers(folder)


def test_where_numbers_run_out_all_are_given_anew(folder: Path, source: Path) -> None:
    connection = sqlite3.connect(folder / "record.db")
    for table, key in (("chunks", "id"), ("lexical_docsize", "id")):
        connection.execute(f"UPDATE {table} SET {key} = 3 WHERE {key} = {3 + GAP}")
    connection.execute("INSERT INTO lexical(lexical) VALUES ('delete-all')")
    connection.executemany(
        "INSERT INTO lexical(rowid, text) SELECT id, 'x' FROM chunks WHERE id = ?",
        [(n,) for n in (1, 2, 3, 4 + 2 * GAP)],
    )
    connection.commit()
    connection.close()
    write_corpus(source, {"d.md": "Comes between."})
    synced(folder, source)
    record = Record.read(folder)
    assert [chunk.document for chunk in record.chunks()][2] == "d.md"
    record.close()


def test_a_file_that_was_only_touched_is_not_read_again(folder: Path, source: Path) -> None:
    os.utime(source / "filling.md", (2 * 10**9, 10**9))
    reader = CountingReader()
    report = sync_collection(folder, source, CountingEmbedder(), reader=reader)
    assert (report.unchanged, reader.names) == (True, [])


def test_a_change_that_size_and_time_do_not_tell_is_found_by_a_build(
    folder: Path, source: Path
) -> None:
    (source / "warranty.txt").write_text("The warranty lasts eight years.\n"[:31] + "\n")
    raw = (source / "warranty.txt").read_bytes()
    (source / "warranty.txt").write_bytes(raw[: len("The warranty lasts three years.\n")])
    settled(source)
    assert sync_collection(folder, source, CountingEmbedder()).unchanged
    assert build_collection(folder, source, CountingEmbedder()).parsed == 1


def test_a_file_changed_just_now_is_compared_by_its_bytes(folder: Path, source: Path) -> None:
    (source / "warranty.txt").write_text("one")
    synced(folder, source)
    status = (source / "warranty.txt").stat()
    (source / "warranty.txt").write_text("two")
    os.utime(source / "warranty.txt", ns=(status.st_atime_ns, status.st_mtime_ns))
    assert synced(folder, source).parsed == 1


def test_a_document_that_failed_is_tried_again(folder: Path, source: Path) -> None:
    write_corpus(source, {"late.pdf": b""})
    settled(source)
    assert [each.path for each in synced(folder, source).failed] == ["late.pdf"]
    states = {each.path: (each.state, each.reason) for each in documents_of(folder)}
    assert states["late.pdf"] == ("failed", "empty")
    again = synced(folder, source)
    assert (again.unchanged, again.parsed) == (True, 1)
    write_corpus(source, {"late.pdf": pdf([["Here now."]])})
    settled(source)
    assert synced(folder, source).failed == ()


def test_a_document_whose_new_bytes_fail_is_left_out_with_a_reason(
    folder: Path, source: Path
) -> None:
    (source / "filling.md").write_bytes(b"\0")
    report = synced(folder, source)
    assert [each.reason for each in report.failed] == ["binary: it holds a NUL character"]
    with Collection.open(folder) as collection:
        assert collection.search("litres", 1, "lexical") == ()


def test_a_document_that_would_cost_too_much_is_left_out_and_the_others_go_in(
    folder: Path, source: Path
) -> None:
    (source / "endless.md").write_text("# a\n" * (MOST_HEADINGS + 1))
    report = synced(folder, source)
    assert [each.reason for each in report.failed] == [
        f"it has more than {MOST_HEADINGS} headings; split it into smaller files"
    ]
    assert report.documents == 3


def test_when_nothing_readable_is_left_the_old_collection_stays(folder: Path, source: Path) -> None:
    for path in source.rglob("*.*"):
        path.write_bytes(b"\0")
    with pytest.raises(CollectionError, match="no usable document"):
        sync_collection(folder, source, CountingEmbedder())
    with Collection.open(folder, CountingEmbedder()) as collection:
        assert len(collection.documents()) == 3


def test_a_file_that_failed_and_went_is_forgotten(folder: Path, source: Path) -> None:
    write_corpus(source, {"bad.md": b"\0", "new.md": "Brand new."})
    with pytest.raises(OSError, match="unplugged"):
        sync_collection(folder, source, Broken())
    (source / "bad.md").unlink()
    assert synced(folder, source).failed == ()
    assert "bad.md" not in {each.path for each in documents_of(folder)}


def test_what_was_read_before_a_fault_is_not_read_again(folder: Path, source: Path) -> None:
    write_corpus(source, {"new.md": "Brand new.", "filling.md": "Another."})
    with pytest.raises(OSError, match="unplugged"):
        sync_collection(folder, source, Broken())
    states = {each.path: each.state for each in documents_of(folder)}
    assert (states["new.md"], states["filling.md"]) == ("parsed", "parsed")
    with Collection.open(folder, CountingEmbedder()) as collection:
        assert collection.search("litres", 1, "lexical")[0].document == "filling.md"
    reader = CountingReader()
    report = sync_collection(folder, source, CountingEmbedder(), reader=reader)
    assert (reader.names, report.embedded) == ([], 2)
    assert check_collection(folder) == []


def test_it_is_cut_as_it_was_built_unless_another_chunker_is_asked_for(
    folder: Path, source: Path
) -> None:
    build_collection(folder, source, CountingEmbedder(), chunk_tokens=5)
    write_corpus(source, {"new.md": "Brand new."})
    synced(folder, source)
    record = Record.read(folder)
    meta = record.meta()
    record.close()
    assert meta is not None
    assert meta.chunker == RecursiveChunker(tokens=5).spec()
    reader = CountingReader()
    whole = RecursiveChunker(tokens=120)
    report = sync_collection(folder, source, CountingEmbedder(), chunker=whole, reader=reader)
    assert (report.chunks, reader.names) == (5, [])


def test_another_embedder_embeds_all_again_and_reads_nothing(folder: Path, source: Path) -> None:
    reader, other = CountingReader(), CountingEmbedder("other")
    report = sync_collection(folder, source, other, reader=reader)
    assert (reader.names, report.embedded) == ([], 4)
    record = Record.read(folder)
    assert record.vectors("counting") == {}
    record.close()


def test_words_of_what_is_gone_leave_the_index_with_the_next_build(
    folder: Path, tmp_path: Path
) -> None:
    source = settled(numbered_corpus(tmp_path / "many", 50))
    write_corpus(source, {"0007.md": "Xylophonist."})
    build_collection(folder, source, CountingEmbedder())
    (source / "0007.md").unlink()
    synced(folder, source)
    assert b"xylophonist" in words_of(folder)
    assert not build_collection(folder, source, CountingEmbedder()).unchanged
    assert b"xylophonist" not in words_of(folder)
    assert b"xylophonist" not in (folder / "record.db").read_bytes().lower()
    assert build_collection(folder, source, CountingEmbedder()).unchanged


def words_of(folder: Path) -> bytes:
    """Everything that the index of words holds."""
    connection = sqlite3.connect(folder / "record.db")
    rows = connection.execute("SELECT block FROM lexical_data").fetchall()
    connection.close()
    return b"".join(row[0] for row in rows)


def test_there_must_be_something_to_bring_up_to_date(folder: Path, tmp_path: Path) -> None:
    source = write_corpus(tmp_path / "source")
    with pytest.raises(CollectionError, match="no collection") as caught:
        sync_collection(folder, source, CountingEmbedder())
    assert "rag-adapt index build" in caught.value.hint
    assert not folder.exists()
    folder.mkdir(parents=True)
    Record.write(folder).close()
    with pytest.raises(CollectionError, match="not finished"):
        sync_collection(folder, source, CountingEmbedder())


def test_a_collection_cut_by_something_strange_says_so(folder: Path, source: Path) -> None:
    class Strange(CountingChunker):
        def spec(self) -> dict[str, object]:
            return {"kind": "strange"}

    build_collection(folder, source, CountingEmbedder(), chunker=Strange())
    with pytest.raises(CollectionError, match="not known here"):
        sync_collection(folder, source, CountingEmbedder())
