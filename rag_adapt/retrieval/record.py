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
SCHEMA_VERSION: Final = 1
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
)


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
    """Numbers follow the order of documents and of spans, from 1, without gaps."""
    document: str
    start: int
    end: int
    headings: tuple[str, ...]
    text_hash: str
    """Key of its embedding."""


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
            if not self._has("meta"):
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

    def paths(self) -> tuple[str, ...]:
        """Paths of the indexed documents, in order."""
        with translated(self.path):
            rows = self.connection.execute(
                "SELECT path FROM documents WHERE state = 'indexed' ORDER BY path"
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

    def chunks(self, ids: Iterable[int] | None = None) -> tuple[ChunkRow, ...]:
        """These chunks in the order asked for, or all in the order of their numbers."""
        sql = (
            "SELECT chunks.id, documents.path, start, end, headings, text_hash "
            "FROM chunks JOIN documents ON documents.id = chunks.document"
        )
        with translated(self.path):
            if ids is None:
                rows = self.connection.execute(f"{sql} ORDER BY chunks.id").fetchall()
            else:
                one = f"{sql} WHERE chunks.id = ?"
                rows = [self.connection.execute(one, (each,)).fetchone() for each in ids]
        return tuple(_chunk(row) for row in rows if row is not None)

    def count(self, table: str) -> int:
        """Rows of `documents`, `chunks`, `embeddings` or `lexical`."""
        name = {"lexical": "lexical_docsize"}.get(table, table)
        with translated(self.path):
            return int(self.connection.execute(f'SELECT count(*) FROM "{name}"').fetchone()[0])

    def embedded(self, weights: str) -> frozenset[str]:
        """Hashes of the texts whose vectors of these weights are here."""
        with translated(self.path):
            rows = self.connection.execute(
                "SELECT text_hash FROM embeddings WHERE weights = ?", (weights,)
            ).fetchall()
        return frozenset(row[0] for row in rows)

    def matrix(self, meta: Meta) -> "tuple[NDArray[np.int64], Vectors]":
        """Chunk numbers, shape (n,), ascending, and their vectors, shape (n, d).

        Raises:
            CollectionError: a chunk lacks its vector, or one has the wrong length.
        """
        with translated(self.path):
            rows = self.connection.execute(
                "SELECT chunks.id, vector FROM chunks LEFT JOIN embeddings ON weights = ? "
                "AND embeddings.text_hash = chunks.text_hash ORDER BY chunks.id",
                (meta.weights,),
            ).fetchall()
        size = meta.dimensions * 4
        if wrong := [row[0] for row in rows if row[1] is None or len(row[1]) != size]:
            raise CollectionError(
                f"collection {self.path.parent.name!r} lacks the vectors of {len(wrong)} chunks",
                hint=f"See `rag-adapt index check {self.path.parent.name}`.",
            )
        flat = np.frombuffer(b"".join(row[1] for row in rows), dtype=np.float32)
        chunks = np.array([row[0] for row in rows], dtype=np.int64)
        return chunks, flat.reshape(len(rows), meta.dimensions)

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

    def replace(
        self,
        meta: Meta,
        *,
        documents: Sequence[DocumentRow],
        chunks: Sequence[ChunkRow],
        searched: Sequence[str],
    ) -> None:
        """Put a whole collection in place of the old one, in one transaction.

        Args:
            meta: what it was built from.
            documents: indexed and failed ones.
            chunks: their embeddings are here already.
            searched: the text that lexical search sees, one per chunk.
        """
        with translated(self.path), transaction(self.connection):
            self._clear()
            self._insert(documents, chunks, searched)
            self._drop_orphans(meta.weights)
            self._write_meta(meta)

    def _prepare(self) -> None:
        self._check_version(
            dict(self.connection.execute("SELECT key, value FROM meta"))
            if self._has("meta")
            else {}
        )
        with transaction(self.connection):
            for statement in _SCHEMA:
                self.connection.execute(statement)
            self.connection.execute(
                "INSERT OR IGNORE INTO meta VALUES ('schema_version', ?)", (str(SCHEMA_VERSION),)
            )

    def _has(self, table: str) -> bool:
        sql = "SELECT 1 FROM sqlite_schema WHERE name = ?"
        return self.connection.execute(sql, (table,)).fetchone() is not None

    def _check_version(self, rows: Mapping[str, str]) -> None:
        version = rows.get("schema_version", str(SCHEMA_VERSION))
        if version != str(SCHEMA_VERSION):
            name = self.path.parent.name
            raise CollectionError(
                f"collection {name!r} has version {version!r}, not {SCHEMA_VERSION}",
                hint=f"Delete it with `rm -r {self.path.parent}` and build it again: "
                f"`rag-adapt index build {name} DIR`.",
            )

    def _clear(self) -> None:
        self.connection.execute("DELETE FROM chunks")
        self.connection.execute("DELETE FROM documents")
        self.connection.execute("INSERT INTO lexical(lexical) VALUES ('delete-all')")

    def _insert(
        self, documents: Sequence[DocumentRow], chunks: Sequence[ChunkRow], searched: Sequence[str]
    ) -> None:
        ids = {document.path: number for number, document in enumerate(documents, start=1)}
        self.connection.executemany(
            "INSERT INTO documents VALUES (?, ?, ?, ?, ?, ?)",
            [
                (
                    ids[d.path],
                    d.path,
                    d.sha256,
                    d.text,
                    "failed" if d.reason else "indexed",
                    d.reason,
                )
                for d in documents
            ],
        )
        self.connection.executemany(
            "INSERT INTO chunks VALUES (?, ?, ?, ?, ?, ?)",
            [
                (c.id, ids[c.document], c.start, c.end, json.dumps(c.headings), c.text_hash)
                for c in chunks
            ],
        )
        self.connection.executemany(
            "INSERT INTO lexical(rowid, text) VALUES (?, ?)",
            [(chunk.id, text) for chunk, text in zip(chunks, searched, strict=True)],
        )

    def _drop_orphans(self, weights: str) -> None:
        self.connection.execute(
            "DELETE FROM embeddings WHERE weights <> ? "
            "OR text_hash NOT IN (SELECT text_hash FROM chunks)",
            (weights,),
        )

    def _write_meta(self, meta: Meta) -> None:
        values = {
            "content_hash": meta.content_hash,
            "generation": str(meta.generation),
            "embedder": meta.embedder,
            "weights": meta.weights,
            "dimensions": str(meta.dimensions),
            "chunker": json.dumps(meta.chunker, sort_keys=True),
        }
        self.connection.executemany("INSERT OR REPLACE INTO meta VALUES (?, ?)", values.items())


def _chunk(row: tuple[int, str, int, int, str, str]) -> ChunkRow:
    number, document, start, end, headings, text_hash = row
    return ChunkRow(
        id=number,
        document=document,
        start=start,
        end=end,
        headings=tuple(json.loads(headings)),
        text_hash=text_hash,
    )
