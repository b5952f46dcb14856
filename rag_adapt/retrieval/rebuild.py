"""Restores what the record alone can give: words, vectors, links, Chroma. Nothing is embedded.

It does not know documents outside the record: where their texts or spans are damaged, a build must
read them again, and the audit afterwards says so.
"""

import sqlite3
from collections.abc import Iterator
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from rag_adapt.core.errors import CollectionError
from rag_adapt.retrieval.check import check_collection, meta_of
from rag_adapt.retrieval.chroma import CHROMA_FOLDER, cache_of, fill
from rag_adapt.retrieval.chroma_server import drop_caches
from rag_adapt.retrieval.chunk import embedded_text
from rag_adapt.retrieval.finding import Finding
from rag_adapt.retrieval.linking.store import kinds_of, needs_vectors, relink
from rag_adapt.retrieval.lock import writing
from rag_adapt.retrieval.loose import forget_gone, settle, under_way
from rag_adapt.retrieval.record import Meta, Record
from rag_adapt.retrieval.sqlite import open_reader, transaction, translated
from rag_adapt.retrieval.stamp import write_stamp

_BATCH: Final = 500


@dataclass(frozen=True, kw_only=True)
class Rebuilt:
    """What was restored."""

    collection: str
    chunks: int
    """Whose words are in the index of words again."""
    vectors: int
    """That the record lacked and embedders remembered."""
    dropped: int
    """Vectors that belonged to no chunk, or could be none; those of an update that was begun and
    not finished stay."""
    forgotten: int
    """Vectors that embedders remembered of texts that are gone."""
    chroma: bool
    """Whether Chroma was filled again; it is made when it is first wanted where there was none."""
    left: tuple[Finding, ...]
    """What is still wrong, with the remedy."""


def rebuild_collection(folder: Path, *, remembered: Path | None = None) -> Rebuilt:
    """Make the index of words, the vectors and Chroma's cache agree with the record again.

    Args:
        folder: `indexes/<name>`.
        remembered: The file in which embedders remember vectors: missing ones are taken from it,
            and those of texts that are gone leave it.

    Raises:
        CollectionError: no such collection, none that was finished, or its record is damaged.
        LockedError: somebody else writes there or has Chroma open on it.
        StorageError: the folder cannot be written.
    """
    Record.read(folder).close()
    with writing(folder):
        record = Record.write(folder)
        with closing(record):
            meta = meta_of(record)
            with translated(record.path), transaction(record.connection):
                dropped = _drop_vectors(record, meta)
                vectors = _recall_vectors(record, meta, remembered)
                chunks = _write_words(record)
                _link(record, meta)
            chroma = _refill(folder, record, meta)
            write_stamp(folder, meta)
            forgotten = 0 if under_way(record) else forget_gone(record, remembered)
    return Rebuilt(
        collection=folder.name,
        chunks=chunks,
        vectors=vectors,
        dropped=dropped,
        forgotten=forgotten,
        chroma=chroma,
        left=tuple(check_collection(folder, remembered=remembered)),
    )


def _drop_vectors(record: Record, meta: Meta) -> int:
    """Those without a chunk, and those of the wrong length; how many."""
    before = record.count("embeddings")
    record.connection.execute(
        "DELETE FROM embeddings WHERE weights = ? AND length(vector) <> ?",
        (meta.weights, meta.dimensions * 4),
    )
    if not under_way(record):
        settle(record, meta.weights, everywhere=True)
    return before - record.count("embeddings")


def _recall_vectors(record: Record, meta: Meta, remembered: Path | None) -> int:
    """Take missing vectors from what embedders remember; how many were there."""
    lacking = _lacking(record, meta)
    if not lacking or remembered is None or not remembered.is_file():
        return 0
    with closing(open_reader(remembered)) as cache, translated(remembered):
        found = list(_known(cache, meta, lacking))
    record.connection.executemany("INSERT INTO embeddings VALUES (?, ?, ?)", found)
    return len(found)


def _lacking(record: Record, meta: Meta) -> list[str]:
    """Hashes of the texts of chunks that have no vector."""
    rows = record.connection.execute(
        "SELECT DISTINCT text_hash FROM chunks WHERE NOT EXISTS (SELECT 1 FROM embeddings "
        "WHERE weights = ? AND embeddings.text_hash = chunks.text_hash)",
        (meta.weights,),
    )
    return [row[0] for row in rows]


def _known(
    cache: sqlite3.Connection, meta: Meta, hashes: list[str]
) -> Iterator[tuple[str, str, bytes]]:
    for text_hash in hashes:
        row = cache.execute(
            "SELECT vector FROM vectors WHERE weights = ? AND text_hash = ?",
            (meta.weights, text_hash),
        ).fetchone()
        if row is not None and len(row[0]) == meta.dimensions * 4:
            yield meta.weights, text_hash, row[0]


def _link(record: Record, meta: Meta) -> None:
    """Find levels and links anew, unless vectors are missing that this takes; the audit says so."""
    kinds = kinds_of(record)
    if kinds and not (needs_vectors(kinds) and _lacking(record, meta)):
        relink(record, meta, kinds)


def _write_words(record: Record) -> int:
    """Fill the index of words from the texts; of how many chunks."""
    record.connection.execute("INSERT INTO lexical(lexical) VALUES ('delete-all')")
    chunks = record.chunks()
    for first in range(0, len(chunks), _BATCH):
        part = chunks[first : first + _BATCH]
        texts = {path: record.text(path) or "" for path in {chunk.document for chunk in part}}
        record.connection.executemany(
            "INSERT INTO lexical(rowid, text) VALUES (?, ?)",
            [(each.id, embedded_text(texts[each.document], each)) for each in part],
        )
    record.write_counter("residue", 0)
    return len(chunks)


def _refill(folder: Path, record: Record, meta: Meta) -> bool:
    """Fill Chroma anew where it was used before; whether it was."""
    used = (folder / CHROMA_FOLDER).is_dir()
    drop_caches(folder)
    if not used:
        return False
    try:
        fill(cache_of(folder, meta), record, meta)
    except CollectionError:
        return False  # vectors are missing: the audit says which, and what to do
    return True
