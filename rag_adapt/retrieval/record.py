"""The store of record: one SQLite file per collection with documents, chunks and embeddings.

It does not know models or files of a corpus. Writers put a whole collection in place in one
transaction; readers hold a snapshot, so they see one collection from beginning to end.
"""

import json
import sqlite3
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Final

import numpy as np

from rag_adapt.core.errors import CollectionError
from rag_adapt.retrieval.sqlite import (
    close_with,
    open_reader,
    open_writer,
    transaction,
    translated,
)

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from rag_adapt.retrieval.protocols import Vectors

RECORD_NAME: Final = "record.db"
SCHEMA_VERSION: Final = 4
READABLE: Final = ("1", "2", "3", "4")
"""Versions that readers know; a writer makes the newest of them, and loses nothing."""
_SCHEMA: Final = (
    "CREATE TABLE IF NOT EXISTS meta (key TEXT PRIMARY KEY, value TEXT NOT NULL) WITHOUT ROWID",
    "CREATE TABLE IF NOT EXISTS documents (id INTEGER PRIMARY KEY, path TEXT NOT NULL UNIQUE, "
    "sha256 TEXT, text TEXT, state TEXT NOT NULL CHECK (state IN ('indexed', 'failed')), "
    "reason TEXT)",
    "CREATE TABLE IF NOT EXISTS chunks (id INTEGER PRIMARY KEY, document INTEGER NOT NULL "
    "REFERENCES documents(id), start INTEGER NOT NULL, end INTEGER NOT NULL, "
    "headings TEXT NOT NULL, text_hash TEXT NOT NULL)",
    "CREATE TABLE IF NOT EXISTS embeddings (weights TEXT NOT NULL, text_hash TEXT NOT NULL, "
    "vector BLOB NOT NULL, PRIMARY KEY (weights, text_hash))",
    "CREATE VIRTUAL TABLE IF NOT EXISTS lexical USING fts5(text, content='', "
    "tokenize='porter unicode61 remove_diacritics 2')",
    # whatever asks for all documents reads this, and no text
    "CREATE INDEX IF NOT EXISTS documents_seen ON documents(state, path, sha256, reason)",
    "CREATE INDEX IF NOT EXISTS chunks_document ON chunks(document)",
    "CREATE INDEX IF NOT EXISTS chunks_text ON chunks(text_hash)",
    "CREATE TABLE IF NOT EXISTS pages (document INTEGER PRIMARY KEY REFERENCES documents(id), "
    "starts TEXT NOT NULL)",
    "CREATE TABLE IF NOT EXISTS files (path TEXT PRIMARY KEY, size INTEGER NOT NULL, "
    "mtime_ns INTEGER NOT NULL, raw TEXT, parser TEXT, state TEXT NOT NULL CHECK (state IN "
    "('pending', 'parsed', 'embedded', 'indexed', 'failed')), reason TEXT, notes TEXT NOT NULL, "
    "pages TEXT, sha256 TEXT, text TEXT, remarks TEXT)",
    "CREATE TABLE IF NOT EXISTS loose (text_hash TEXT PRIMARY KEY) WITHOUT ROWID",
    "CREATE TABLE IF NOT EXISTS remarks (document INTEGER PRIMARY KEY REFERENCES documents(id), "
    "said TEXT NOT NULL)",
    "CREATE TABLE IF NOT EXISTS levels (chunk INTEGER PRIMARY KEY REFERENCES chunks(id), "
    "level INTEGER NOT NULL CHECK (level BETWEEN 1 AND 4))",
    "CREATE TABLE IF NOT EXISTS links (source INTEGER NOT NULL REFERENCES chunks(id), "
    "target INTEGER NOT NULL REFERENCES chunks(id), kind TEXT NOT NULL, relation TEXT NOT NULL "
    "CHECK (relation IN ('connects_to', 'same_level_as')), weight REAL NOT NULL, "
    "PRIMARY KEY (source, target, kind)) WITHOUT ROWID",
)
_COLUMNS: Final = (
    ("files", "remarks", "TEXT"),
    ("chunks", "before", "INTEGER NOT NULL DEFAULT 0"),
    ("chunks", "after", "INTEGER NOT NULL DEFAULT 0"),
)
"""Of tables that older versions made without them."""
NOTE_UNUSED: Final = (
    "INSERT OR IGNORE INTO loose SELECT text_hash FROM embeddings WHERE NOT EXISTS "
    "(SELECT 1 FROM chunks WHERE chunks.text_hash = embeddings.text_hash)"
)
"""See `loose`: older versions did not note what they left."""


@dataclass(frozen=True, kw_only=True)
class Meta:
    """What a complete collection was built from."""

    content_hash: str
    """Of documents, chunker and weights: the collection's identity in run records."""
    generation: int
    """Counts the builds that replaced the content, from 1."""
    embedder: str
    """The embedder's name, for reading."""
    weights: str
    dimensions: int
    chunker: Mapping[str, object]
    """The chunker's spec."""


@dataclass(frozen=True, kw_only=True)
class DocumentRow:
    """A document of the record; a failed one has a reason and neither text nor hash."""

    path: str
    sha256: str | None
    text: str | None
    reason: str | None


@dataclass(frozen=True, kw_only=True)
class ChunkRow:
    """A chunk of the record."""

    id: int
    """Numbers grow in the order of documents and of spans; there are gaps between documents."""
    document: str
    start: int
    end: int
    headings: tuple[str, ...]
    text_hash: str
    """Key of its embedding."""
    before: int
    after: int
    """See `ChunkSpan`."""


class Record:
    """One collection's SQLite file, open either for reading or for writing."""

    def __init__(self, connection: sqlite3.Connection, *, path: Path) -> None:
        self.connection = connection
        self.path = path
        self._close = close_with(self, connection)

    @classmethod
    def read(cls, folder: Path) -> "Record":
        """Open a snapshot; it stays the same while others write.

        Raises:
            CollectionError: there is no such collection, or its file is damaged.
        """
        path = folder / RECORD_NAME
        if not path.is_file():
            raise CollectionError(
                f"there is no collection {folder.name!r} in {str(folder.parent)!r}",
                hint=f"Build it: `rag-adapt index build {folder.name} DIR`; "
                "`rag-adapt index list` shows what is there.",
            )
        return cls(open_reader(path), path=path)

    @classmethod
    def write(cls, folder: Path) -> "Record":
        """Open for writing, making the file if need be; the caller holds the folder's lock.

        Raises:
            CollectionError: the file is damaged or of another version.
        """
        path = folder / RECORD_NAME
        record = cls(open_writer(path), path=path)
        try:
            with translated(path):
                record._prepare()
        except BaseException:
            record.close()
            raise
        return record

    def close(self) -> None:
        """Close the file; the record cannot be used afterwards."""
        self._close()

    def meta(self) -> Meta | None:
        """What the collection was built from; None where no build was ever finished."""
        with translated(self.path):
            if not self.has("meta"):
                return None
            rows = dict(self.connection.execute("SELECT key, value FROM meta"))
        self._check_version(rows)
        if "content_hash" not in rows:
            return None
        return Meta(
            content_hash=rows["content_hash"],
            generation=int(rows["generation"]),
            embedder=rows["embedder"],
            weights=rows["weights"],
            dimensions=int(rows["dimensions"]),
            chunker=json.loads(rows["chunker"]),
        )

    def documents(self) -> tuple[DocumentRow, ...]:
        """All documents with their texts, in order of path; failed ones too."""
        with translated(self.path):
            rows = self.connection.execute(
                "SELECT path, sha256, text, reason FROM documents ORDER BY path"
            ).fetchall()
        return tuple(
            DocumentRow(path=path, sha256=sha256, text=text, reason=reason)
            for path, sha256, text, reason in rows
        )

    def paths(self, *, failed: bool = False) -> tuple[str, ...]:
        """Paths of the indexed documents, in order; on demand also of those that were left out."""
        states = "('indexed', 'failed')" if failed else "('indexed')"
        with translated(self.path):
            rows = self.connection.execute(
                f"SELECT path FROM documents WHERE state IN {states} ORDER BY path"
            ).fetchall()
        return tuple(row[0] for row in rows)

    def size(self) -> int:
        """Bytes on disk, with what is not yet folded into the main file."""
        waiting = self.path.with_name(f"{self.path.name}-wal")
        return sum(path.stat().st_size for path in (self.path, waiting) if path.is_file())

    def text(self, document: str) -> str | None:
        """The text of an indexed document; None where there is none of that name."""
        with translated(self.path):
            row = self.connection.execute(
                "SELECT text FROM documents WHERE path = ?", (document,)
            ).fetchone()
        return None if row is None else row[0]

    def pages(self, document: str) -> tuple[int, ...]:
        """Where the pages of a document begin, in characters; empty where it has none."""
        with translated(self.path):
            if not self.has("pages"):
                return ()
            row = self.connection.execute(
                "SELECT starts FROM pages JOIN documents ON documents.id = pages.document "
                "WHERE path = ?",
                (document,),
            ).fetchone()
        return () if row is None else tuple(json.loads(row[0]))

    def chunks(self, ids: Iterable[int] | None = None) -> tuple[ChunkRow, ...]:
        """These chunks in the order asked for, or all in the order of their numbers."""
        with translated(self.path):
            sql = self._chunks_sql()
            if ids is None:
                rows = self.connection.execute(f"{sql} ORDER BY chunks.id").fetchall()
            else:
                one = f"{sql} WHERE chunks.id = ?"
                rows = [self.connection.execute(one, (each,)).fetchone() for each in ids]
        return tuple(_chunk(row) for row in rows if row is not None)

    def chunks_of(self, document: str) -> tuple[ChunkRow, ...]:
        """The chunks of one document, in the order of their numbers."""
        with translated(self.path):
            sql = f"{self._chunks_sql()} WHERE documents.path = ? ORDER BY chunks.id"
            return tuple(_chunk(row) for row in self.connection.execute(sql, (document,)))

    def count(self, table: str) -> int:
        """Rows of `documents`, `chunks`, `embeddings` or `lexical`."""
        name = {"lexical": "lexical_docsize"}.get(table, table)
        with translated(self.path):
            return int(self.connection.execute(f'SELECT count(*) FROM "{name}"').fetchone()[0])

    def embedded(self, weights: str, hashes: Iterable[str]) -> frozenset[str]:
        """Those of the hashes whose vectors of these weights are here."""
        sql = "SELECT 1 FROM embeddings WHERE weights = ? AND text_hash = ?"
        with translated(self.path):
            return frozenset(
                each
                for each in hashes
                if self.connection.execute(sql, (weights, each)).fetchone() is not None
            )

    def matrix(self, meta: Meta) -> "tuple[NDArray[np.int64], Vectors]":
        """Chunk numbers, shape (n,), ascending, and their vectors, shape (n, d).

        Raises:
            CollectionError: a chunk lacks its vector, or one has the wrong length.
        """
        with translated(self.path):
            count, size, wrong = self.count("chunks"), meta.dimensions * 4, 0
            numbers = np.empty(count, dtype=np.int64)
            matrix = np.empty((count, meta.dimensions), dtype=np.float32)
            rows = self.connection.execute(
                "SELECT chunks.id, vector FROM chunks LEFT JOIN embeddings ON weights = ? "
                "AND embeddings.text_hash = chunks.text_hash ORDER BY chunks.id",
                (meta.weights,),
            )
            for place, (number, vector) in enumerate(rows):  # row by row: no copy of all vectors
                if vector is None or len(vector) != size:
                    wrong += 1
                    continue
                numbers[place], matrix[place] = number, np.frombuffer(vector, dtype=np.float32)
        if wrong:
            raise CollectionError(
                f"collection {self.path.parent.name!r} lacks the vectors of {wrong} chunks",
                hint=f"See `rag-adapt index check {self.path.parent.name}`.",
            )
        return numbers, matrix

    def vector(self, weights: str, text_hash: str) -> bytes:
        """One raw vector; empty where it is not here."""
        sql = "SELECT vector FROM embeddings WHERE weights = ? AND text_hash = ?"
        with translated(self.path):
            row = self.connection.execute(sql, (weights, text_hash)).fetchone()
        return b"" if row is None else bytes(row[0])

    def vectors(self, weights: str) -> dict[str, bytes]:
        """Raw vectors by text hash, for checking."""
        with translated(self.path):
            return dict(
                self.connection.execute(
                    "SELECT text_hash, vector FROM embeddings WHERE weights = ?", (weights,)
                )
            )

    def add_vectors(self, weights: str, hashes: Sequence[str], vectors: "Vectors") -> None:
        """Keep vectors at once, whether or not the build that asked for them comes to its end."""
        with translated(self.path), transaction(self.connection):
            self.connection.executemany(
                "INSERT OR IGNORE INTO embeddings VALUES (?, ?, ?)",
                [
                    (weights, text_hash, row.tobytes())
                    for text_hash, row in zip(hashes, vectors, strict=True)
                ],
            )

    def write_meta(self, meta: Meta) -> None:
        """Say what the collection was built from, inside the caller's transaction."""
        values = {
            "content_hash": meta.content_hash,
            "generation": str(meta.generation),
            "embedder": meta.embedder,
            "weights": meta.weights,
            "dimensions": str(meta.dimensions),
            "chunker": json.dumps(meta.chunker, sort_keys=True),
        }
        self.connection.executemany("INSERT OR REPLACE INTO meta VALUES (?, ?)", values.items())

    def counter(self, name: str) -> int:
        """A number that writers keep beside the identity; 0 where it was never written."""
        row = self.connection.execute("SELECT value FROM meta WHERE key = ?", (name,)).fetchone()
        return 0 if row is None else int(row[0])

    def write_counter(self, name: str, value: int) -> None:
        """See `counter`; inside the caller's transaction."""
        self.connection.execute("INSERT OR REPLACE INTO meta VALUES (?, ?)", (name, str(value)))

    def has(self, table: str) -> bool:
        """Whether the file has that table: records of older versions lack some."""
        sql = "SELECT 1 FROM sqlite_schema WHERE name = ?"
        return self.connection.execute(sql, (table,)).fetchone() is not None

    def _chunks_sql(self) -> str:
        beside = "before, after" if "before" in self._columns("chunks") else "0, 0"
        return (
            f"SELECT chunks.id, documents.path, start, end, headings, text_hash, {beside} "
            "FROM chunks JOIN documents ON documents.id = chunks.document"
        )

    def _columns(self, table: str) -> frozenset[str]:
        """Those that the file has: older versions lack some."""
        rows = self.connection.execute("SELECT name FROM pragma_table_info(?)", (table,))
        return frozenset(row[0] for row in rows)

    def _prepare(self) -> None:
        self._check_version(
            dict(self.connection.execute("SELECT key, value FROM meta")) if self.has("meta") else {}
        )
        with transaction(self.connection):
            older = self.has("embeddings") and not self.has("loose")
            for statement in _SCHEMA:
                self.connection.execute(statement)
            if older:
                self.connection.execute(NOTE_UNUSED)
            for table, column, kind in _COLUMNS:
                if column not in self._columns(table):
                    self.connection.execute(f"ALTER TABLE {table} ADD COLUMN {column} {kind}")
            self.connection.execute(
                "INSERT OR REPLACE INTO meta VALUES ('schema_version', ?)", (str(SCHEMA_VERSION),)
            )

    def _check_version(self, rows: Mapping[str, str]) -> None:
        version = rows.get("schema_version", str(SCHEMA_VERSION))
        if version not in READABLE:
            name = self.path.parent.name
            raise CollectionError(
                f"collection {name!r} has version {version!r}, which is newer than this program "
                f"({SCHEMA_VERSION})",
                hint="Use the version of rag-adapt that wrote it, or delete it with "
                f"`rm -r {self.path.parent}` and build it again: "
                f"`rag-adapt index build {name} DIR`.",
            )


def _chunk(row: tuple[int, str, int, int, str, str, int, int]) -> ChunkRow:
    number, document, start, end, headings, text_hash, before, after = row
    return ChunkRow(
        id=number,
        document=document,
        start=start,
        end=end,
        headings=tuple(json.loads(headings)),
        text_hash=text_hash,
        before=before,
        after=after,
    )
