"""Texts that may have outlived their chunks, noted in the record until their vectors are gone.

It does not know why a text goes. **A text is noted before it is embedded, and when its chunk is
taken out**: wherever a writer dies, the next one finds what is still to be forgotten.
"""

from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from rag_adapt.retrieval.embed import text_hash
from rag_adapt.retrieval.protocols import Embedder, EmbedderIdentity
from rag_adapt.retrieval.record import NOTE_UNUSED, Record
from rag_adapt.retrieval.remembered import forget
from rag_adapt.retrieval.sqlite import transaction, translated

if TYPE_CHECKING:
    from rag_adapt.retrieval.protocols import Vectors


class NotingEmbedder:
    """Notes every text before it embeds it: for chunkers, whose texts need not become chunks."""

    def __init__(self, embedder: Embedder, record: Record) -> None:
        self._embedder, self._record = embedder, record
        self._noted: set[str] = set()

    @property
    def identity(self) -> EmbedderIdentity:
        """See `Embedder.identity`."""
        return self._embedder.identity

    def embed(self, texts: Sequence[str]) -> "Vectors":
        """See `Embedder.embed`."""
        hashes = {text_hash(text) for text in texts} - self._noted
        note(self._record, hashes)
        self._noted |= hashes
        return self._embedder.embed(texts)


def note(record: Record, hashes: Iterable[str]) -> None:
    """Note texts that are about to be embedded, at once."""
    rows = [(each,) for each in sorted(hashes)]
    if rows:
        with translated(record.path), transaction(record.connection):
            record.connection.executemany("INSERT OR IGNORE INTO loose VALUES (?)", rows)


def settle(record: Record, weights: str, *, everywhere: bool) -> None:
    """Drop the record's vectors of texts that no chunk has, inside the caller's transaction.

    Texts that a chunk has are noted no longer; those that stay noted are to be forgotten.

    Args:
        record: Open for writing; its chunks are in place.
        weights: Of the collection; vectors of all others go.
        everywhere: Whether every vector is looked at, not those of noted texts alone.
    """
    do = record.connection.execute
    if everywhere:
        do(NOTE_UNUSED)
    # EXISTS, because IN would read all chunks: a sync costs what changed
    do(
        "DELETE FROM loose WHERE EXISTS "
        "(SELECT 1 FROM chunks WHERE chunks.text_hash = loose.text_hash)"
    )
    do("DELETE FROM embeddings WHERE weights < ? OR weights > ?", (weights, weights))
    do(
        "DELETE FROM embeddings WHERE weights = ? AND text_hash IN (SELECT text_hash FROM loose)",
        (weights,),
    )


def forget_gone(record: Record, remembered: Path | None, *, everywhere: bool = False) -> int:
    """Forget what no chunk has any more, here and in what embedders remember.

    Args:
        record: Open for writing, with nothing under way.
        remembered: The file of what embedders remember; None leaves it, and what is noted, to
            whoever knows it.
        everywhere: See `settle`.

    Returns:
        Vectors that embedders remembered.

    Raises:
        LockedError: another process is writing to that file; everything stays noted.
    """
    meta = record.meta()
    if meta is None:
        return 0
    with translated(record.path), transaction(record.connection):
        settle(record, meta.weights, everywhere=everywhere)
    gone = noted(record)
    if remembered is None or not gone:
        return 0
    count = forget(remembered, gone)
    with translated(record.path), transaction(record.connection):
        record.connection.executemany(
            "DELETE FROM loose WHERE text_hash = ?", [(each,) for each in gone]
        )
    return count


def under_way(record: Record) -> bool:
    """Whether an update was begun, and may yet need what is noted."""
    if not record.has("files"):
        return False
    with translated(record.path):
        row = record.connection.execute(
            "SELECT 1 FROM files WHERE state IN ('pending', 'parsed', 'embedded') LIMIT 1"
        ).fetchone()
    return row is not None


def noted(record: Record) -> list[str]:
    """Hashes of the texts that are noted, in order; none in records of older versions."""
    if not record.has("loose"):
        return []
    with translated(record.path):
        rows = record.connection.execute("SELECT text_hash FROM loose ORDER BY text_hash")
        return [row[0] for row in rows]
