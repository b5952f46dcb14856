"""Takes vectors out of what embedders remember, so that no byte of them is left in the file.

It does not know collections, or why a text is to be forgotten.
"""

import sqlite3
from collections.abc import Callable, Sequence
from contextlib import closing
from pathlib import Path
from typing import Final

from rag_adapt.retrieval.sqlite import open_reader, open_writer, overwrite, transaction, translated

VECTORS: Final = "cache/embeddings.db"
"""Below a home: what embedders remember, under hashes of the texts."""
_WEIGHTS: Final = """WITH RECURSIVE known(weights) AS (
    SELECT min(weights) FROM vectors UNION ALL
    SELECT (SELECT min(weights) FROM vectors WHERE vectors.weights > known.weights) FROM known
    WHERE known.weights IS NOT NULL)
    SELECT weights FROM known WHERE weights IS NOT NULL"""
"""Each once, without looking at every row."""


def forget(cache: Path, hashes: Sequence[str]) -> int:
    """Delete the vectors of these texts, of all weights; how many there were.

    Raises:
        LockedError: another process is reading or writing the file; ask again.
        CollectionError: the file is damaged.
        StorageError: it cannot be written.
    """
    if not hashes or not cache.is_file():
        return 0
    return _deleted(
        cache,
        "DELETE FROM vectors WHERE weights = ? AND text_hash = ?",
        lambda weights: [(weights, each) for each in hashes],
    )


def forget_all(cache: Path) -> int:
    """Delete every vector; how many there were. Raises as `forget` does."""
    if not cache.is_file():
        return 0
    return _deleted(cache, "DELETE FROM vectors WHERE weights = ?", lambda weights: [(weights,)])


def count(cache: Path, hashes: Sequence[str]) -> int:
    """How many vectors of these texts are remembered, of all weights. Raises as `forget` does."""
    if not hashes or not cache.is_file():
        return 0
    with closing(open_reader(cache)) as connection, translated(cache):
        sql = "SELECT count(*) FROM vectors WHERE weights = ? AND text_hash = ?"
        return sum(
            int(connection.execute(sql, (weights, each)).fetchone()[0])
            for weights in _weights(connection)
            for each in hashes
        )


def _deleted(cache: Path, statement: str, rows: Callable[[str], list[tuple[str, ...]]]) -> int:
    with translated(cache), closing(open_writer(cache)) as connection:
        with transaction(connection):
            gone = sum(
                connection.executemany(statement, rows(weights)).rowcount
                for weights in _weights(connection)
            )
        overwrite(connection, cache)
    return gone


def _weights(connection: sqlite3.Connection) -> list[str]:
    known = connection.execute("SELECT 1 FROM sqlite_schema WHERE name = 'vectors'").fetchone()
    return [] if known is None else [row[0] for row in connection.execute(_WEIGHTS).fetchall()]
