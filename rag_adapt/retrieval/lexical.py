"""Finds chunks by their words: BM25 over the record's FTS5 table.

It does not know vectors. A query is taken as words, never as FTS5's query language.
"""

import sqlite3
import unicodedata
from typing import Final

from rag_adapt.retrieval.protocols import Neighbour

MAX_WORDS: Final = 64
"""Different words of a query that are looked up; the rest is ignored."""


def match_expression(query: str) -> str | None:
    """The query's different words, each quoted, joined by OR; None where it has no word.

    >>> match_expression('what is "AND" (x*)?')
    '"what" OR "is" OR "and" OR "x"'
    """
    spaced = "".join(char if _belongs(char) else " " for char in query.lower())
    words = list(dict.fromkeys(spaced.split()))[:MAX_WORDS]
    return " OR ".join(f'"{word}"' for word in words) or None


def search_words(connection: sqlite3.Connection, query: str, k: int) -> tuple[Neighbour, ...]:
    """The `k` chunks with the highest BM25, best first; ties by chunk number.

    SQLite's BM25 is the negative of the usual score; here higher is better.
    """
    if (expression := match_expression(query)) is None:
        return ()
    rows = connection.execute(
        "SELECT rowid, rank FROM lexical WHERE lexical MATCH ? ORDER BY rank, rowid LIMIT ?",
        (expression, k),
    )
    return tuple(Neighbour(chunk=chunk, score=-rank) for chunk, rank in rows)


def _belongs(char: str) -> bool:
    kind = unicodedata.category(char)
    return kind[0] in "LNM" or kind == "Co"
