"""Chroma as a cache of the record: filled from the record's vectors, never embedding itself.

The only module that imports chromadb. It does not know documents or texts: Chroma is given
numbers and vectors, so deleted text cannot linger in it. One process at a time has it open; the
folder's lock says which.
"""

import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import numpy as np

from rag_adapt.core.errors import CollectionError, MissingPackageError
from rag_adapt.retrieval.lock import acquire
from rag_adapt.retrieval.protocols import Neighbour
from rag_adapt.retrieval.record import Meta, Record

if TYPE_CHECKING:
    from filelock import BaseFileLock

    from rag_adapt.retrieval.protocols import Vectors

CHROMA_FOLDER: Final = "chroma"
COMPLETE: Final = "complete"
"""File in a cache's folder that says that every vector went in."""
_NAME: Final = "chunks"
_BATCH: Final = 2_000
_SETTINGS: Final = {
    "hnsw": {"space": "cosine", "ef_construction": 200, "ef_search": 200, "max_neighbors": 32}
}


@dataclass(frozen=True, kw_only=True)
class CachedVector:
    """What Chroma holds for one chunk."""

    chunk: int
    vector: "Vectors"
    """Shape (d,), as stored."""
    nearest: int | None
    """The chunk that Chroma finds for this vector; None where it finds nothing."""


class ChromaIndex:
    """Approximate search by HNSW; two builds of one index need not agree on every hit."""

    def __init__(self, *, client: Any, chunks: Any, lock: "BaseFileLock") -> None:
        self._client = client
        self._chunks = chunks
        self._lock = lock

    @classmethod
    def open(cls, record: Record, meta: Meta) -> "ChromaIndex":
        """Open the cache of this collection, filling it first where it is not complete.

        Raises:
            LockedError: another process writes to the folder or has Chroma open on it.
            MissingPackageError: chromadb is not installed.
        """
        folder = record.path.parent
        lock = acquire(folder)
        try:
            place = folder / CHROMA_FOLDER / meta.content_hash
            if not (place / COMPLETE).is_file():
                _fill(place, record, meta)
            client = _client(place)
            try:
                chunks = client.get_collection(_NAME, embedding_function=None)
            except BaseException:
                client.close()
                raise
        except BaseException:
            lock.release()
            raise
        return cls(client=client, chunks=chunks, lock=lock)

    def nearest(self, vector: "Vectors", k: int) -> tuple[Neighbour, ...]:
        """See `VectorIndex.nearest`; scores are cosines as Chroma rounds them."""
        found = self._chunks.query(
            query_embeddings=[vector], n_results=min(k, self.count()), include=["distances"]
        )
        hits = zip(found["ids"][0], found["distances"][0], strict=True)
        neighbours = (Neighbour(chunk=int(each), score=1.0 - float(far)) for each, far in hits)
        return tuple(sorted(neighbours, key=lambda hit: (-hit.score, hit.chunk)))

    def count(self) -> int:
        """Vectors that Chroma says it holds."""
        return int(self._chunks.count())

    def ids(self) -> frozenset[int]:
        """Chunk numbers that Chroma holds."""
        return frozenset(int(each) for each in self._chunks.get(include=[])["ids"])

    def sample(self, chunks: list[int]) -> Iterator[CachedVector]:
        """What is stored, and found, for these chunks; missing ones are passed over."""
        rows = self._chunks.get(ids=[str(each) for each in chunks], include=["embeddings"])
        for number, row in zip(rows["ids"], rows["embeddings"], strict=True):
            vector = np.asarray(row, dtype=np.float32)
            hits = self.nearest(vector, 1)
            nearest = hits[0].chunk if hits else None
            yield CachedVector(chunk=int(number), vector=vector, nearest=nearest)

    def close(self) -> None:
        """Close Chroma, then release the lock."""
        self._client.close()
        self._lock.release()


def is_complete(folder: Path, content_hash: str) -> bool:
    """Whether a collection's folder holds a whole cache of this content."""
    return (folder / CHROMA_FOLDER / content_hash / COMPLETE).is_file()


def _fill(place: Path, record: Record, meta: Meta) -> None:
    """Start from an empty folder: replaced content lowers recall, and half a cache is no use."""
    numbers, matrix = record.matrix(meta)
    shutil.rmtree(place.parent, ignore_errors=True)
    place.mkdir(parents=True)
    with _opened(place) as client:
        chunks = client.create_collection(_NAME, configuration=_SETTINGS, embedding_function=None)
        size = min(_BATCH, client.get_max_batch_size())
        for first in range(0, len(numbers), size):
            chunks.add(
                ids=[str(number) for number in numbers[first : first + size]],
                embeddings=matrix[first : first + size],
            )
    (place / COMPLETE).touch()


@contextmanager
def _opened(place: Path) -> Iterator[Any]:
    client = _client(place)
    try:
        yield client
    finally:
        client.close()


def _client(place: Path) -> Any:
    try:
        import chromadb
        from chromadb.config import Settings
    except ImportError as exc:
        raise MissingPackageError(
            "the backend 'chroma' needs chromadb",
            hint="Install it: `pip install 'chromadb>=1.5.9,<2'`, or use `--backend exact`.",
        ) from exc
    try:
        return chromadb.PersistentClient(
            path=str(place.absolute()), settings=Settings(anonymized_telemetry=False)
        )
    except (ValueError, chromadb.errors.ChromaError) as exc:
        raise CollectionError(
            f"Chroma cannot open {str(place)!r}: {exc}",
            hint=f"It is a cache: delete it with `rm -r {place.parent}` and search again.",
        ) from exc
