"""How far the documents of a collection are, for whoever asks while it is built or afterwards.

It does not know how they get on.
"""

from dataclasses import dataclass
from pathlib import Path

from rag_adapt.retrieval.files import FileRow, Files, FileState
from rag_adapt.retrieval.record import Record
from rag_adapt.retrieval.sqlite import translated


@dataclass(frozen=True, kw_only=True)
class DocumentProgress:
    """One file of the corpus."""

    path: str
    state: FileState
    chunks: int
    """That readers find now, of its old text where a new one waits."""
    pages: int
    """0 where it has none."""
    reason: str | None
    """Why it was left out."""
    notes: tuple[str, ...]
    """What was changed or left out when it was read."""


def documents_of(folder: Path) -> tuple[DocumentProgress, ...]:
    """Every file, in order of path; records of older versions know only how it ended.

    Raises:
        CollectionError: there is no such collection, or it is damaged.
    """
    record = Record.read(folder)
    try:
        rows, seen = Files(record).rows(), _seen(record)
    finally:
        record.close()
    return tuple(_one(path, rows.get(path), seen.get(path)) for path in sorted({*rows, *seen}))


@dataclass(frozen=True, kw_only=True)
class _Seen:
    """What readers find of a document."""

    reason: str | None
    chunks: int
    pages: int


def _one(path: str, row: FileRow | None, seen: _Seen | None) -> DocumentProgress:
    reason = seen.reason if row is None and seen is not None else row.reason if row else None
    ended: FileState = "failed" if reason else "indexed"
    return DocumentProgress(
        path=path,
        state=ended if row is None else row.state,
        chunks=0 if seen is None else seen.chunks,
        pages=0 if seen is None else seen.pages,
        reason=reason,
        notes=() if row is None else row.notes,
    )


def _seen(record: Record) -> dict[str, _Seen]:
    if not record.has("documents"):
        return {}
    pages = "json_array_length(starts)" if record.has("pages") else "0"
    join = "LEFT JOIN pages ON pages.document = documents.id" if record.has("pages") else ""
    sql = (
        f"SELECT path, reason, coalesce(counted.chunks, 0), coalesce({pages}, 0) FROM documents "
        "LEFT JOIN (SELECT document, count(*) AS chunks FROM chunks GROUP BY document) AS counted "
        f"ON counted.document = documents.id {join}"
    )
    with translated(record.path):
        rows = record.connection.execute(sql).fetchall()
    return {
        path: _Seen(reason=reason, chunks=chunks, pages=pages)
        for path, reason, chunks, pages in rows
    }
