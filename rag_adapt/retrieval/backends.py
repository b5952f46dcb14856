"""The vector indexes that a collection can be searched by, and which one is taken where.

It does not know what is searched for. A new index is its own file and one line of `BACKENDS`.
"""

from collections.abc import Callable
from contextlib import suppress
from typing import Final

from rag_adapt.core.errors import LockedError
from rag_adapt.retrieval.chroma_server import IndexGoneError
from rag_adapt.retrieval.exact import ExactIndex
from rag_adapt.retrieval.protocols import Backend, VectorIndex
from rag_adapt.retrieval.record import Meta, Record

EXACT_LIMIT: Final = 50_000
"""Chunks up to which `auto` takes exact search."""


def open_index(
    record: Record, meta: Meta, backend: Backend, *, exact_limit: int = EXACT_LIMIT
) -> VectorIndex:
    """The index that was asked for, over an open record.

    Args:
        record: Must stay open as long as the index.
        meta: Of the record.
        backend: `auto` is exact search up to `exact_limit` chunks and Chroma above; Chroma's server
            where another process holds the folder's lock, exact search where that fails, too.
        exact_limit: Chunks.

    Raises:
        CollectionError: the record lacks vectors.
        LockedError: Chroma was asked for and another process has it open, or fills it.
        IndexGoneError: the server was asked for and cannot be started.
    """
    if backend != "auto":
        return BACKENDS[backend](record, meta)
    if record.count("chunks") > exact_limit:
        for shared in ("chroma", "chroma-server"):
            with suppress(LockedError, IndexGoneError):
                return BACKENDS[shared](record, meta)
    return BACKENDS["exact"](record, meta)


def _open_exact(record: Record, meta: Meta) -> VectorIndex:
    chunks, matrix = record.matrix(meta)
    return ExactIndex(chunks=chunks, matrix=matrix)


def _open_chroma(record: Record, meta: Meta) -> VectorIndex:
    from rag_adapt.retrieval.chroma import ChromaIndex

    return ChromaIndex.open(record, meta)


def _open_chroma_server(record: Record, meta: Meta) -> VectorIndex:
    from rag_adapt.retrieval.chroma_server import ChromaServerIndex

    return ChromaServerIndex.open(record, meta)


BACKENDS: Final[dict[str, Callable[[Record, Meta], VectorIndex]]] = {
    "exact": _open_exact,
    "chroma": _open_chroma,
    "chroma-server": _open_chroma_server,
}
