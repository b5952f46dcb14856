"""Puts new, changed and removed documents in place, in one transaction.

It does not know files or embedders. **Chunk numbers grow in the order of paths and spans**,
whether a collection was built at once or changed step by step: equal scores are ranked alike.
"""

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Final

from rag_adapt.retrieval.chunk import embedded_text
from rag_adapt.retrieval.files import Files
from rag_adapt.retrieval.loose import settle
from rag_adapt.retrieval.record import Record

GAP: Final = 1 << 24
"""Numbers left free between the chunks of two documents of a fresh collection."""
STEP: Final = 1 << 12
"""Numbers left free before documents that come between two others later."""
RESIDUE: Final = 0.1
"""Share of chunks taken out of the words' index after which it is written anew."""


class NoRoomError(Exception):
    """So many documents came between two that all chunks must be numbered anew."""


@dataclass(frozen=True, kw_only=True)
class NewChunk:
    """A chunk that is to be put in place."""

    start: int
    end: int
    headings: tuple[str, ...]
    before: int
    after: int
    """See `ChunkSpan`."""
    text_hash: str


@dataclass(frozen=True, kw_only=True)
class NewDocument:
    """A document with its chunks; its text is staged, or in the record."""

    path: str
    chunks: tuple[NewChunk, ...]


@dataclass(frozen=True, kw_only=True)
class Change:
    """What becomes of a collection."""

    documents: Sequence[NewDocument]
    """In order of path: all of them where `whole`, else those that are new or other."""
    failed: Mapping[str, str]
    """Reasons by path."""
    gone: Sequence[str]
    whole: bool
    """Whether every chunk is put in place anew."""
    tidy: bool
    """Whether nothing of what goes may be left in the index of words."""


def put(record: Record, change: Change, *, weights: str) -> None:
    """Make it so; the caller holds a transaction and writes the collection's identity in it.

    Raises:
        NoRoomError: nothing may be kept of the transaction; ask again with all documents.
    """
    patch = _Patch(record)
    if change.whole:
        patch.clear()
    else:
        for path in (*change.gone, *change.failed, *(each.path for each in change.documents)):
            patch.take_out(path)
    for path in change.gone:
        patch.forget(path)
    for path, reason in change.failed.items():
        patch.fail(path, reason)
    for document in change.documents:
        patch.put_in(document, last=change.whole)
    patch.settle(tidy=change.tidy)
    settle(record, weights, everywhere=change.whole or change.tidy)


class _Patch:
    """The statements of one transaction."""

    def __init__(self, record: Record) -> None:
        self._record = record
        self._do = record.connection.execute
        self._do_many = record.connection.executemany
        self._files = Files(record)
        self._highest: int | None = None

    def clear(self) -> None:
        self._do("INSERT OR IGNORE INTO loose SELECT text_hash FROM chunks")
        self._do("DELETE FROM links")
        self._do("DELETE FROM levels")
        self._do("DELETE FROM chunks")
        self._do("INSERT INTO lexical(lexical) VALUES ('delete-all')")
        self._record.write_counter("residue", 0)

    def take_out(self, path: str) -> None:
        """The document's chunks and words; its text stays."""
        row = self._do("SELECT id, text FROM documents WHERE path = ?", (path,)).fetchone()
        if row is None or row[1] is None:
            return
        number, text = row
        chunks = self._record.chunks_of(path)
        self._do_many(
            "INSERT INTO lexical(lexical, rowid, text) VALUES ('delete', ?, ?)",
            [(chunk.id, embedded_text(text, chunk)) for chunk in chunks],
        )
        self._do("DELETE FROM chunks WHERE document = ?", (number,))
        gone = [(chunk.text_hash,) for chunk in chunks]
        self._do_many("INSERT OR IGNORE INTO loose VALUES (?)", gone)
        self._record.write_counter("residue", self._record.counter("residue") + len(chunks))

    def forget(self, path: str) -> None:
        self._forget_places(path)
        self._do("DELETE FROM documents WHERE path = ?", (path,))
        self._do("DELETE FROM files WHERE path = ?", (path,))

    def fail(self, path: str, reason: str) -> None:
        self._forget_places(path)
        self._upsert(path, None, None, "failed", reason)

    def put_in(self, document: NewDocument, *, last: bool) -> None:
        """The text where a new one is staged, then its chunks.

        Args:
            document: Comes after all that were put in before it.
            last: Whether it is the last of all so far.
        """
        text = self._text(document.path)
        (number,) = self._do("SELECT id FROM documents WHERE path = ?", (document.path,)).fetchone()
        first = self._after_all() if last else self._between(document.path, len(document.chunks))
        rows = list(enumerate(document.chunks, start=first))
        self._highest = first + len(rows) - 1
        self._do_many(
            "INSERT INTO chunks (id, document, start, end, headings, text_hash, before, after) "
            "VALUES (?, ?, ?, ?, ?, ?, ?, ?)",
            [
                (n, number, c.start, c.end, json.dumps(c.headings), c.text_hash, c.before, c.after)
                for n, c in rows
            ],
        )
        self._do_many(
            "INSERT INTO lexical(rowid, text) VALUES (?, ?)",
            [(n, embedded_text(text, c)) for n, c in rows],
        )

    def settle(self, *, tidy: bool) -> None:
        """What was staged is in place; the index of words is rid of what was taken out."""
        self._do(
            "UPDATE files SET state = 'indexed', text = NULL WHERE state IN ('parsed', 'embedded')"
        )
        residue = self._record.counter("residue")
        if residue and (tidy or residue > RESIDUE * self._record.count("chunks")):
            self._do("INSERT INTO lexical(lexical) VALUES ('optimize')")
            self._record.write_counter("residue", 0)

    def _text(self, path: str) -> str:
        if (staged := self._files.staged(path)) is None:
            return self._record.text(path) or ""
        self._upsert(path, staged.sha256, staged.text, "indexed", None)
        self._forget_places(path)
        said = [remark.as_json() for remark in staged.remarks]
        for table, places in (("pages", staged.pages), ("remarks", said)):
            if places:
                self._do(
                    f"INSERT INTO {table} SELECT id, ? FROM documents WHERE path = ?",
                    (json.dumps(places), path),
                )
        return staged.text

    def _forget_places(self, path: str) -> None:
        """Where its pages begin, and what it says of its units."""
        for table in ("pages", "remarks"):
            self._do(
                f"DELETE FROM {table} WHERE document = (SELECT id FROM documents WHERE path = ?)",
                (path,),
            )

    def _upsert(self, path: str, *values: str | None) -> None:
        self._do(
            "INSERT INTO documents (path, sha256, text, state, reason) VALUES (?, ?, ?, ?, ?) "
            "ON CONFLICT (path) DO UPDATE SET sha256 = excluded.sha256, text = excluded.text, "
            "state = excluded.state, reason = excluded.reason",
            (path, *values),
        )

    def _after_all(self) -> int:
        return 1 if self._highest is None else self._highest + 1 + GAP

    def _between(self, path: str, count: int) -> int:
        """The first number of as many chunks, after the document before and before the next."""
        before = max(self._bounds(path, "max", "<", "DESC"), default=0)
        after = next(self._bounds(path, "min", ">", "ASC"), None)
        if after is None:
            return before + 1 + (GAP if before else 0)
        room = after - before - 1
        if room < count:
            raise NoRoomError
        return before + 1 + min(STEP, (room - count) // 2)

    def _bounds(self, path: str, which: str, side: str, order: str) -> Iterator[int]:
        """The number of the nearest chunk on one side of a document."""
        row = self._do(
            f"SELECT (SELECT {which}(id) FROM chunks WHERE document = documents.id) AS bound "
            f"FROM documents WHERE path {side} ? AND bound IS NOT NULL ORDER BY path {order} "
            "LIMIT 1",
            (path,),
        ).fetchone()
        if row is not None:
            yield int(row[0])
