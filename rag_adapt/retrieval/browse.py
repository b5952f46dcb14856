"""Reads of a record what a person looks at: every document's state, one document's chunks.

It does not know where uploaded documents lie, nor how a chunk was cut.
"""

import json
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Final, Literal

from rag_adapt.retrieval.record import Record
from rag_adapt.retrieval.sqlite import translated

STATES: Final[dict[str, "State"]] = {"indexed": "indexed", "failed": "failed"}
BEFORE: Final = (
    "SELECT count(*) FROM chunks JOIN documents ON documents.id = chunks.document "
    "WHERE path = ? AND chunks.id <= ?"
)
State = Literal["indexed", "failed", "waiting"]
"""`waiting`: a build that has not ended has yet to put it in place."""


@dataclass(frozen=True, kw_only=True)
class DocumentState:
    """One document, or a file that could not become one."""

    path: str
    state: State
    reason: str | None
    """Why it failed."""
    notes: tuple[str, ...]
    """What its reader changed or left out."""
    characters: int
    """Of the text that readers see."""
    chunks: int


@dataclass(frozen=True, kw_only=True)
class Piece:
    """One chunk of a document."""

    id: int
    """Grows in the order of documents and spans."""
    number: int
    """Counts the chunks of its document, from 1."""
    start: int
    end: int
    """In characters of the parsed document; the end is excluded."""
    headings: tuple[str, ...]
    """The titles above it, outermost first."""


def states(folder: Path) -> tuple[DocumentState, ...]:
    """Every document of the collection in a folder, in order of path.

    Raises:
        CollectionError: there is no such collection, or it is damaged.
    """
    sql = (
        "SELECT path, reason, coalesce(length(text), 0), coalesce(counted.chunks, 0) "
        "FROM documents LEFT JOIN (SELECT document, count(*) AS chunks FROM chunks "
        "GROUP BY document) AS counted ON counted.document = documents.id"
    )
    with _opened(folder) as record:
        known = record.connection.execute(sql).fetchall() if _has(record, "documents") else []
        found = {
            path: DocumentState(
                path=path,
                state="failed" if reason else "indexed",
                reason=reason,
                notes=(),
                characters=characters,
                chunks=chunks,
            )
            for path, reason, characters, chunks in known
        }
        for path, state, reason, notes in _files(record):
            there = found.get(path)
            found[path] = DocumentState(
                path=path,
                state=STATES.get(state, "waiting"),
                reason=reason,
                notes=tuple(json.loads(notes)),
                characters=there.characters if there else 0,
                chunks=there.chunks if there else 0,
            )
    return tuple(found[path] for path in sorted(found))


def pieces(folder: Path, document: str, *, after: int = 0, limit: int) -> tuple[Piece, ...] | None:
    """Chunks of one document in order; None where the collection has no such document.

    Args:
        folder: The collection's.
        document: Its path.
        after: The `id` of the chunk that they follow; 0 begins.
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
        (before,) = record.connection.execute(BEFORE, (document, after)).fetchone()
    return tuple(
        Piece(id=id, number=number, start=start, end=end, headings=tuple(json.loads(headings)))
        for number, (id, start, end, headings) in enumerate(rows, start=before + 1)
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


def _has(record: Record, table: str) -> bool:
    sql = "SELECT 1 FROM sqlite_schema WHERE name = ?"
    return record.connection.execute(sql, (table,)).fetchone() is not None


def _files(record: Record) -> list[tuple[str, str, str | None, str]]:
    """Path, state, reason and notes of files on their way in; none in older records."""
    if not _has(record, "files"):
        return []
    return record.connection.execute("SELECT path, state, reason, notes FROM files").fetchall()
