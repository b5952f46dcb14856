"""Chroma as a cache of the record: filled from the record's vectors, never embedding itself.

The only module that imports chromadb. It does not know documents or texts: Chroma is given
numbers and vectors, so deleted text cannot linger in it. One process at a time has it open; the
folder's lock says which.
"""

import os
import shutil
import sqlite3
from collections.abc import Iterator, Sequence
from contextlib import closing, contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import numpy as np

from rag_adapt.core.errors import CollectionError, MissingPackageError
from rag_adapt.retrieval.lock import acquire
from rag_adapt.retrieval.protocols import Neighbour
from rag_adapt.retrieval.record import Meta, Record
from rag_adapt.retrieval.seal import SEAL, Content, broken, is_sealed, seal

if TYPE_CHECKING:
    from filelock import BaseFileLock

    from rag_adapt.retrieval.protocols import Vectors

CHROMA_FOLDER: Final = "chroma"
COMPLETE: Final = SEAL
"""File in a cache's folder that says that every vector went in, and what the files were then."""
DATABASE: Final = "chroma.sqlite3"
"""Chroma's own database; it is written whenever it is opened."""
CHUNKS: Final = "chunks"
"""The name of the one collection in a cache."""
_BATCH: Final = 5_000
_SETTINGS: Final = {
    "space": "cosine",
    "ef_construction": 200,
    "ef_search": 200,
    "max_neighbors": 32,
}


class ChromaIndex:
    """Approximate search by HNSW; two builds of one index need not agree on every hit."""

    def __init__(self, *, client: Any, chunks: Any, lock: "BaseFileLock") -> None:
        self._client = client
        self._chunks = chunks
        self._lock = lock
        self._count = int(chunks.count())

    @classmethod
    def open(cls, record: Record, meta: Meta) -> "ChromaIndex":
        """Open the cache of this collection, filling it first where it is not whole.

        Raises:
            LockedError: another process writes to the folder or has Chroma open on it.
            MissingPackageError: chromadb is not installed.
        """
        folder = record.path.parent
        with _kept(acquire(folder)) as lock:
            place = cache_of(folder, meta)
            if any(True for _ in damage(place, record, meta, quick=True)):
                shutil.rmtree(place.parent, ignore_errors=True)
                fill(place, record, meta)
            client, chunks = _opened(place)
        return cls(client=client, chunks=chunks, lock=lock)

    @classmethod
    def open_as_it_is(cls, record: Record, meta: Meta) -> "ChromaIndex":
        """Open the cache without mending it.

        Raises:
            LockedError: another process writes to the folder or has Chroma open on it.
            CollectionError: Chroma cannot open it.
        """
        folder = record.path.parent
        with _kept(acquire(folder)) as lock:
            client, chunks = _opened(cache_of(folder, meta))
        return cls(client=client, chunks=chunks, lock=lock)

    def nearest(self, vector: "Vectors", k: int) -> tuple[Neighbour, ...]:
        """See `VectorIndex.nearest`; scores are cosines as Chroma rounds them."""
        found = self._chunks.query(
            query_embeddings=[vector], n_results=min(k, self._count), include=["distances"]
        )
        return neighbours(found["ids"][0], found["distances"][0])

    def count(self) -> int:
        """Vectors that Chroma says it holds."""
        return int(self._chunks.count())

    def ids(self) -> frozenset[int]:
        """Chunk numbers that Chroma holds."""
        return frozenset(int(each) for each in self._chunks.get(include=[])["ids"])

    def vectors(self, chunks: Sequence[int]) -> "dict[int, Vectors]":
        """What is stored for these chunks, each of shape (d,); missing ones are passed over."""
        found: dict[int, Vectors] = {}
        for first in range(0, len(chunks), _BATCH):
            part = [str(each) for each in chunks[first : first + _BATCH]]
            rows = self._chunks.get(ids=part, include=["embeddings"])
            for number, row in zip(rows["ids"], rows["embeddings"], strict=True):
                found[int(number)] = np.asarray(row, dtype=np.float32)
        return found

    def close(self) -> None:
        """Close Chroma, then release the lock."""
        self._client.close()
        self._lock.release()


def cache_of(folder: Path, meta: Meta) -> Path:
    """Where the cache of a collection's content lies."""
    return folder / CHROMA_FOLDER / meta.content_hash


def damage(place: Path, record: Record, meta: Meta, *, quick: bool = False) -> Iterator[str]:
    """What is wrong with the files of a cache, one sentence each; Chroma is not asked.

    Args:
        place: The cache's folder.
        record: What it ought to be a cache of.
        meta: Of the record.
        quick: Whether an index file with its old size and time is believed to be the old one.
    """
    yield from broken(place, _content(record, meta), quick=quick)
    database = place / DATABASE
    if not database.is_file():
        return
    try:
        with closing(sqlite3.connect(f"{database.absolute().as_uri()}?mode=ro", uri=True)) as found:
            (said,) = found.execute("PRAGMA quick_check(1)").fetchone()
    except sqlite3.DatabaseError as exc:
        said = str(exc)
    if said != "ok":
        yield f"its database is damaged: {said}"


def is_complete(folder: Path, content_hash: str) -> bool:
    """Whether a collection's folder holds a cache of this content that was finished."""
    return is_sealed(folder / CHROMA_FOLDER / content_hash)


def neighbours(ids: Sequence[str], distances: Sequence[float]) -> tuple[Neighbour, ...]:
    """Chroma's answer to one vector as ours: best first, equal ones by number."""
    hits = zip(ids, distances, strict=True)
    found = (Neighbour(chunk=int(each), score=1.0 - float(far)) for each, far in hits)
    return tuple(sorted(found, key=lambda hit: (-hit.score, hit.chunk)))


def server_environment() -> dict[str, str]:
    """What Chroma's server needs beside our own environment: no reports home, no log of queries."""
    return {**os.environ, "ANONYMIZED_TELEMETRY": "FALSE", "RUST_LOG": "error"}


def fill(place: Path, record: Record, meta: Meta) -> None:
    """Fill a cache from the record's vectors and seal it; the caller sees to it that he is alone.

    It starts from an empty folder: replaced content lowers recall, and half a cache is no use.

    Raises:
        CollectionError: the record lacks vectors.
        MissingPackageError: chromadb is not installed.
    """
    numbers, matrix = record.matrix(meta)
    shutil.rmtree(place, ignore_errors=True)
    place.mkdir(parents=True)
    parts = -(-len(numbers) // _BATCH)
    # every batch is as long as what Chroma waits for before it writes its index to the disk, so
    # that at the end all of it is there
    settings = {**_SETTINGS, "sync_threshold": max(2, len(numbers) // parts)}
    client = _client(place)
    try:
        chunks = client.create_collection(
            CHUNKS, configuration={"hnsw": settings}, embedding_function=None
        )
        for rows in np.array_split(np.arange(len(numbers)), parts):
            chunks.add(ids=[str(number) for number in numbers[rows]], embeddings=matrix[rows])
    finally:
        client.close()
    seal(place, _content(record, meta), living=frozenset({DATABASE}))


def _content(record: Record, meta: Meta) -> Content:
    return Content(
        content_hash=meta.content_hash,
        generation=meta.generation,
        chunks=record.count("chunks"),
    )


@contextmanager
def _kept(lock: "BaseFileLock") -> "Iterator[BaseFileLock]":
    """Release the lock if the block fails, and only then."""
    try:
        yield lock
    except BaseException:
        lock.release()
        raise


def _opened(place: Path) -> tuple[Any, Any]:
    """A client and the cache's one collection."""
    client = _client(place)
    try:
        with _translated(place):
            return client, client.get_collection(CHUNKS, embedding_function=None)
    except BaseException:
        client.close()
        raise


def _client(place: Path) -> Any:
    try:
        import chromadb
        from chromadb.config import Settings
    except ImportError as exc:
        raise MissingPackageError(
            "the backend 'chroma' needs chromadb",
            hint="Install it: `pip install 'chromadb>=1.5.9,<2'`, or use `--backend exact`.",
        ) from exc
    with _translated(place):
        return chromadb.PersistentClient(
            path=str(place.absolute()), settings=Settings(anonymized_telemetry=False)
        )


@contextmanager
def _translated(place: Path) -> Iterator[None]:
    """Raise our error for what Chroma says about its files."""
    from chromadb.errors import ChromaError

    try:
        yield
    except (ValueError, ChromaError) as exc:
        raise CollectionError(
            f"Chroma cannot open {str(place)!r}: {exc}",
            hint=f"It is a cache: `rag-adapt index rebuild {place.parents[1].name}` fills it anew.",
        ) from exc
