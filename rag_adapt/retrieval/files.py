"""How far each file of a corpus is on its way into a collection: one row per file.

It does not know what readers see; that is put in place elsewhere, all at once.
"""

import json
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Final, Literal

from rag_adapt.retrieval.linking.notation import Remark
from rag_adapt.retrieval.parse import ReadFile
from rag_adapt.retrieval.record import Record
from rag_adapt.retrieval.scan import FailedDocument, FoundFile
from rag_adapt.retrieval.sqlite import transaction, translated

FileState = Literal["pending", "parsed", "embedded", "indexed", "failed"]
"""`pending`: to be read; `parsed`: its text is here; `embedded`: its vectors, too; `indexed`:
readers see it; `failed`: left out, with a reason. Until a file is indexed, readers see what it
was before."""
_ROW: Final = "path, size, mtime_ns, raw, parser, state, reason, notes"
_UPSERT: Final = (
    "INSERT INTO files (path, size, mtime_ns, raw, parser, state, reason, notes, pages, sha256, "
    "text, remarks) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?) ON CONFLICT (path) DO UPDATE SET "
    "size = excluded.size, mtime_ns = excluded.mtime_ns, raw = excluded.raw, "
    "parser = excluded.parser, state = excluded.state, reason = excluded.reason, "
    "notes = excluded.notes, pages = excluded.pages, sha256 = excluded.sha256, "
    "text = excluded.text, remarks = excluded.remarks"
)


@dataclass(frozen=True, kw_only=True)
class FileRow:
    """One file, as it was when it was last looked at."""

    path: str
    size: int
    mtime_ns: int
    """0 where it was too fresh to tell a later change by its time."""
    raw: str | None
    """SHA-256 of its bytes."""
    parser: str | None
    state: FileState
    reason: str | None
    """Why it failed."""
    notes: tuple[str, ...]
    """What its parser changed or left out."""


@dataclass(frozen=True, kw_only=True)
class Staged:
    """A text that waits to be put in place."""

    path: str
    text: str
    sha256: str
    pages: tuple[int, ...]
    remarks: tuple[Remark, ...]


@dataclass(frozen=True, kw_only=True)
class Parsing:
    """A file and what came of reading it."""

    file: FoundFile
    mtime_ns: int
    """As it is kept."""
    read: ReadFile | None
    sha256: str | None
    reason: str | None


class Files:
    """The files of a record that is open for writing or reading."""

    def __init__(self, record: Record) -> None:
        self._record = record

    def rows(self) -> dict[str, FileRow]:
        """All of them by path, in order; none in records of older versions."""
        if not self._record.has("files"):
            return {}
        with translated(self._record.path):
            rows = self._record.connection.execute(f"SELECT {_ROW} FROM files ORDER BY path")
            return {row[0]: _row(row) for row in rows}

    def paths(self, *states: FileState) -> set[str]:
        """Of those in one of these states."""
        marks = ",".join("?" * len(states))
        with translated(self._record.path):
            rows = self._record.connection.execute(
                f"SELECT path FROM files WHERE state IN ({marks})", states
            )
            return {row[0] for row in rows}

    def remarks(self) -> tuple[FileRow, ...]:
        """Those that there is something to say about, in order of path."""
        with translated(self._record.path):
            rows = self._record.connection.execute(
                f"SELECT {_ROW} FROM files WHERE state = 'failed' OR notes <> '[]' ORDER BY path"
            ).fetchall()
        return tuple(_row(row) for row in rows)

    def keep(self, parsings: Sequence[Parsing]) -> None:
        """Keep what came of reading, in one transaction."""
        self._write(_UPSERT, [_parsed(each) for each in parsings])

    def expect(self, found: Iterable[FoundFile]) -> None:
        """Note files that are to be read; what was staged of them is dropped."""
        self._write(
            _UPSERT,
            [
                (f.name, f.size, 0, None, None, "pending", None, "[]", None, None, None, None)
                for f in found
            ],
        )

    def refuse(self, failed: Iterable[FailedDocument]) -> None:
        """Note files that cannot be documents."""
        self._write(
            _UPSERT,
            [
                (f.path, 0, 0, None, None, "failed", f.reason, "[]", None, None, None, None)
                for f in failed
            ],
        )

    def touch(self, found: Iterable[FoundFile], times: dict[str, int]) -> None:
        """Note new times of files whose content is the same."""
        self._write(
            "UPDATE files SET size = ?, mtime_ns = ? WHERE path = ?",
            [(file.size, times[file.name], file.name) for file in found],
        )

    def embedded(self, paths: Iterable[str]) -> None:
        """Note that all vectors of these are here."""
        self._write(
            "UPDATE files SET state = 'embedded' WHERE path = ? AND state = 'parsed'",
            [(path,) for path in paths],
        )

    def forget_all(self) -> None:
        """Read everything anew."""
        self._write("DELETE FROM files", [()])

    def staged(self, path: str) -> Staged | None:
        """A text that waits; None where none does."""
        with translated(self._record.path):
            row = self._record.connection.execute(
                "SELECT text, sha256, pages, remarks FROM files WHERE path = ? "
                "AND state IN ('parsed', 'embedded')",
                (path,),
            ).fetchone()
        if row is None:
            return None
        text, sha256, pages, remarks = row
        return Staged(
            path=path,
            text=text,
            sha256=sha256,
            pages=tuple(json.loads(pages)),
            remarks=tuple(Remark.from_json(each) for each in json.loads(remarks or "[]")),
        )

    def _write(self, statement: str, rows: Sequence[tuple[object, ...]]) -> None:
        if rows:
            with translated(self._record.path), transaction(self._record.connection):
                self._record.connection.executemany(statement, rows)


def _row(row: tuple[str, int, int, str | None, str | None, FileState, str | None, str]) -> FileRow:
    path, size, mtime_ns, raw, parser, state, reason, notes = row
    return FileRow(
        path=path,
        size=size,
        mtime_ns=mtime_ns,
        raw=raw,
        parser=parser,
        state=state,
        reason=reason,
        notes=tuple(json.loads(notes)),
    )


def _parsed(each: Parsing) -> tuple[object, ...]:
    file, read = each.file, each.read
    if read is None:
        return (
            *(file.name, file.size, each.mtime_ns, None, file.kind.parser),
            *("failed", each.reason, "[]", None, None, None, None),
        )
    return (
        *(file.name, file.size, each.mtime_ns, read.raw, file.kind.parser, "parsed", None),
        json.dumps(read.parsed.notes),
        json.dumps(read.parsed.pages),
        *(each.sha256, read.parsed.text),
        json.dumps([remark.as_json() for remark in read.parsed.remarks]),
    )
