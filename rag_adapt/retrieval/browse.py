"""Reads of a record what a person looks at: every document's state, one document's chunks.

It does not know where uploaded documents lie, nor how a chunk was cut.
"""

import json
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from rag_adapt.retrieval.record import Record
from rag_adapt.retrieval.sqlite import translated


@dataclass(frozen=True, kw_only=True)
class DocumentState:
    """One document as the last finished build left it."""

    path: str
    reason: str | None
    """Why it was left out; None where it is indexed."""
    characters: int
    """Of its parsed text."""
    chunks: int


@dataclass(frozen=True, kw_only=True)
class Piece:
    """One chunk of a document."""

    id: int
    """Counts the chunks of the whole collection, in the order of documents and spans."""
    start: int
    end: int
    """In characters of the parsed document; the end is excluded."""
    headings: tuple[str, ...]
    """The titles above it, outermost first."""


def states(folder: Path) -> tuple[DocumentState, ...]:
    """Every document of the collection in a folder, in order of path; none before its first build.

    Raises:
        CollectionError: there is no such collection, or it is damaged.
    """
    sql = (
        "SELECT path, reason, coalesce(length(text), 0), coalesce(counted.chunks, 0) "
        "FROM documents LEFT JOIN (SELECT document, count(*) AS chunks FROM chunks "
        "GROUP BY document) AS counted ON counted.document = documents.id ORDER BY path"
    )
    with _opened(folder) as record:
        if record.meta() is None:
            return ()
        rows = record.connection.execute(sql).fetchall()
    return tuple(
        DocumentState(path=path, reason=reason, characters=characters, chunks=chunks)
        for path, reason, characters, chunks in rows
    )


def pieces(folder: Path, document: str, *, after: int = 0, limit: int) -> tuple[Piece, ...] | None:
    """Chunks of one document in order; None where the collection has no such document.

    Args:
        folder: The collection's.
        document: Its path.
        after: Number of the chunk that they follow; 0 begins.
        limit: At most so many.

    Raises:
        CollectionError: there is no such collection, or it is damaged.
    """
    sql = (
        "SELECT chunks.id, start, end, headings FROM chunks JOIN documents "
        "ON documents.id = chunks.document WHERE path = ? AND chunks.id > ? "
        "ORDER BY chunks.id LIMIT ?"
    )
    with _opened(folder) as record:
        if record.meta() is None or document not in record.paths():
            return None
        rows = record.connection.execute(sql, (document, after, limit)).fetchall()
    return tuple(
        Piece(id=number, start=start, end=end, headings=tuple(json.loads(headings)))
        for number, start, end, headings in rows
    )


@contextmanager
def _opened(folder: Path) -> Iterator[Record]:
    """A snapshot, closed afterwards; faults of the file as ours."""
    record = Record.read(folder)
    try:
        with translated(record.path):
            yield record
    finally:
        record.close()
