"""A collection open for searching, and its face as a retriever.

It does not know how it was built. Several processes may read one while another builds it anew:
an open collection stays what it was.
"""

import asyncio
import json
import threading
from bisect import bisect_right
from collections.abc import Callable, Sequence
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING, Final, Self

import numpy as np

from rag_adapt.core.errors import CollectionError
from rag_adapt.core.types import Passage, Span
from rag_adapt.retrieval.backends import EXACT_LIMIT, open_index
from rag_adapt.retrieval.budget import within_budget
from rag_adapt.retrieval.catalog import CollectionInfo, collection_folder, describe
from rag_adapt.retrieval.embed import shown, suited
from rag_adapt.retrieval.fuse import EQUAL, FusionWeights, lend, reciprocal_rank_fusion
from rag_adapt.retrieval.lexical import search_words
from rag_adapt.retrieval.linking.follow import NOWHERE, Followed, Following
from rag_adapt.retrieval.linking.trail import Trail
from rag_adapt.retrieval.options import PLAIN, SearchOptions
from rag_adapt.retrieval.protocols import Backend, Embedder, Neighbour, SearchMode, VectorIndex
from rag_adapt.retrieval.query_log import note
from rag_adapt.retrieval.record import ChunkRow, Meta, Record
from rag_adapt.retrieval.refine import NOTHING, Refinement, refined
from rag_adapt.retrieval.sqlite import translated

if TYPE_CHECKING:
    from rag_adapt.retrieval.protocols import Vectors

__all__ = ["Collection", "CollectionRetriever", "collection_folder"]

FUSE_DEPTH: Final = 50
"""Hits that each ranking gives to the fusion, at least."""
_OWNERS: Final = "SELECT id, document FROM chunks WHERE id IN (SELECT value FROM json_each(?))"


class Collection:
    """Search over one collection; safe to use from several threads."""

    def __init__(
        self,
        *,
        record: Record,
        meta: Meta,
        embedder: Embedder | None,
        backend: Backend,
        exact_limit: int,
    ) -> None:
        self._record = record
        self._meta = meta
        self._embedder = embedder
        self._backend = backend
        self._exact_limit = exact_limit
        self._index: VectorIndex | None = None
        self._lock = threading.RLock()
        self._texts: dict[str, str] = {}
        self._trail = Trail(record)

    @classmethod
    def open(
        cls,
        folder: Path,
        embedder: Embedder | None = None,
        *,
        backend: Backend = "auto",
        exact_limit: int = EXACT_LIMIT,
    ) -> Self:
        """Open a snapshot of a collection; vectors are read at the first dense search.

        Args:
            folder: `indexes/<name>`.
            embedder: the one it was built with; None allows lexical search alone.
            backend: see `backends.open_index`.
            exact_limit: chunks.

        Raises:
            CollectionError: there is none, it was never finished, it is damaged, or it was
                built with other weights.
        """
        record = Record.read(folder)
        try:
            meta = _finished(record, folder)
            if embedder is not None:
                embedder = suited(embedder, meta.weights)
                _check_embedder(meta, embedder, folder)
        except BaseException:
            record.close()
            raise
        return cls(
            record=record,
            meta=meta,
            embedder=embedder,
            backend=backend,
            exact_limit=exact_limit,
        )

    @property
    def content_hash(self) -> str:
        """Identity of documents, chunker and weights, for run records."""
        return self._meta.content_hash

    def info(self) -> CollectionInfo:
        """Counts and identities."""
        with self._lock:
            return describe(self._record)

    def search(
        self,
        query: str,
        k: int,
        mode: SearchMode = "fused",
        *,
        weights: FusionWeights = EQUAL,
        budget_tokens: int | None = None,
        refinement: Refinement = NOTHING,
        following: Following = NOWHERE,
    ) -> tuple[Passage, ...]:
        """The `k` best passages, best first; fewer where the collection holds fewer.

        Scores are cosines (`dense`), BM25 (`lexical`) or sums of reciprocal ranks (`fused`, and
        wherever links are followed).
        Blocking: an event loop wants `CollectionRetriever`.

        Args:
            query: plain words.
            k: passages, at most.
            mode: how to search.
            weights: of the two rankings of `fused`.
            budget_tokens: estimated tokens of all passages together, at most; see
                `budget.within_budget`.
            refinement: what is done with the ranked passages.
            following: which links are followed before, and which levels are kept.

        Raises:
            CollectionError: dense search without an embedder, links or levels that the collection
                does not have, or the record is damaged.
            LockedError: Chroma was asked for and another process has it open.
            ValueError: k is below 1.
        """
        if k < 1:
            raise ValueError(f"k is {k}; ask for one passage at least")
        clean = query.encode("utf-8", "replace").decode()
        hits = self._ranked(clean, self._depth(k, refinement, following), mode, weights)
        with self._lock:
            ranked = self._trail.extended(hits, following, mode)
        rows, found = self._passages(ranked, refinement)
        best = refined(query, found, k, refinement, lambda at: self._vectors([rows[n] for n in at]))
        shown = best if budget_tokens is None else within_budget(best, budget_tokens)
        note(self._record.path.parent, query, mode, shown)
        return shown

    def _depth(self, k: int, refinement: Refinement, following: Following) -> int:
        """How many hits must be ranked; all of them where some are left out afterwards."""
        if refinement.only or following.levels:
            with self._lock:
                return max(k, self._record.count("chunks"))
        return refinement.depth(max(k, FUSE_DEPTH) if following.kinds else k)

    def _ranked(
        self, query: str, depth: int, mode: SearchMode, weights: FusionWeights
    ) -> tuple[Neighbour, ...]:
        if mode == "fused":
            return self._fused(query, depth, weights)
        return tuple(_MODES[mode](self, query, depth))

    def _passages(
        self, ranked: Followed, refinement: Refinement
    ) -> tuple[list[ChunkRow], list[Passage]]:
        """The hits in documents that are kept, as rows and as passages."""
        with self._lock:
            rows = self._record.chunks(hit.chunk for hit in ranked.hits)
            pairs = [
                (
                    row,
                    self._trail.passage(
                        self._cut(row.document, row.start, row.end, hit.score),
                        ranked.by.get(hit.chunk),
                    ),
                )
                for row, hit in zip(rows, ranked.hits, strict=True)
                if refinement.keeps(row.document)
            ]
        return [row for row, _ in pairs], [passage for _, passage in pairs]

    def _vectors(self, rows: Sequence[ChunkRow]) -> "Vectors":
        """Their vectors, shape (n, d)."""
        with self._lock:
            raw = [self._record.vector(self._meta.weights, row.text_hash) for row in rows]
        if any(len(each) != self._meta.dimensions * 4 for each in raw):
            name = self._record.path.parent.name
            raise CollectionError(
                f"collection {name!r} lacks vectors of chunks that were found",
                hint=f"See `rag-adapt index check {name}`.",
            )
        flat = np.frombuffer(b"".join(raw), dtype=np.float32)
        return flat.reshape(len(rows), self._meta.dimensions)

    def spans(self) -> tuple[Span, ...]:
        """Where all chunks stand, in order."""
        with self._lock:
            rows = self._record.chunks()
        return tuple(Span(document=row.document, start=row.start, end=row.end) for row in rows)

    def documents(self) -> tuple[str, ...]:
        """Paths of the indexed documents, in order."""
        with self._lock:
            return self._record.paths()

    def text(self, document: str) -> str:
        """The parsed text of a document.

        Raises:
            CollectionError: it is not in the collection.
        """
        with self._lock:
            if document not in self._texts:
                text = self._record.text(document)
                if text is None:
                    raise self._no_document(document)
                self._texts[document] = text
            return self._texts[document]

    def page(self, document: str, start: int) -> int | None:
        """The page, from 1, on which a character of a document is; None where it has no pages."""
        with self._lock:
            return bisect_right(self._record.pages(document), start) or None

    def passage(self, span: Span) -> Passage:
        """The text at a span, for the oracle arm.

        Raises:
            CollectionError: no such document, or the span leaves it.
        """
        text = self.text(span.document)
        if not 0 <= span.start < span.end <= len(text):
            raise CollectionError(
                f"span {span.start}-{span.end} is not inside document {span.document!r} of "
                f"{len(text)} characters",
                hint="Correct the item's gold span: characters of the parsed text, end excluded.",
            )
        return self._cut(span.document, span.start, span.end, 0.0)

    def close(self) -> None:
        """Close files and release the lock on Chroma, if it was taken."""
        with self._lock:
            if self._index is not None:
                self._index.close()
                self._index = None
            self._record.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()

    def _cut(self, document: str, start: int, end: int, score: float) -> Passage:
        text = self.text(document)[start:end]
        return Passage(document=document, start=start, end=end, text=text, score=score)

    def _dense(self, query: str, k: int) -> tuple[Neighbour, ...]:
        if self._embedder is None:
            raise CollectionError(
                f"collection {self._record.path.parent.name!r} was opened without an embedder",
                hint="Search it with `--mode lexical`, or name its embedder with --embedder NAME.",
            )
        vector = self._embedder.embed([query])[0]
        with self._lock:
            if self._index is None:
                self._index = self._open_index()
            return self._index.nearest(vector, k)

    def _lexical(self, query: str, k: int) -> tuple[Neighbour, ...]:
        with self._lock, translated(self._record.path):
            return search_words(self._record.connection, query, k)

    def _fused(self, query: str, k: int, weights: FusionWeights) -> tuple[Neighbour, ...]:
        depth = max(k, FUSE_DEPTH)
        found = (self._dense(query, depth), self._lexical(query, depth))
        rankings = [[hit.chunk for hit in hits] for hits in found]
        joined = reciprocal_rank_fusion(
            rankings, constant=weights.rank_constant, weights=(weights.dense, weights.lexical)
        )
        if weights.neighbours:
            joined = lend(joined, weights.neighbours, self._adjacent(joined))
        return joined[:k]

    def _adjacent(self, hits: Sequence[Neighbour]) -> dict[int, list[int]]:
        """The chunks before and after each hit in its document; their numbers have no gaps."""
        near = {hit.chunk + step for hit in hits for step in (-1, 0, 1)}
        with self._lock, translated(self._record.path):
            document = dict(self._record.connection.execute(_OWNERS, (json.dumps(sorted(near)),)))
        return {
            hit.chunk: [
                chunk
                for chunk in (hit.chunk - 1, hit.chunk + 1)
                if document.get(chunk) == document[hit.chunk]
            ]
            for hit in hits
        }

    def _open_index(self) -> VectorIndex:
        return open_index(self._record, self._meta, self._backend, exact_limit=self._exact_limit)

    def _no_document(self, document: str) -> CollectionError:
        return CollectionError(
            f"collection {self._record.path.parent.name!r} has no document {document!r}",
            hint="Its documents are: " + ", ".join(self.documents()[:10]),
        )


class CollectionRetriever:
    """A collection as `core.protocols.Retriever`: blocking work goes to a thread."""

    def __init__(self, collection: Collection, options: SearchOptions = PLAIN) -> None:
        self.collection = collection
        self.options = options

    async def search(self, query: str, k: int) -> tuple[Passage, ...]:
        """See `Retriever.search`."""
        how = self.options
        return await asyncio.to_thread(
            self.collection.search,
            query,
            k,
            how.mode,
            weights=how.weights,
            following=how.following,
        )


_MODES: Final[dict[SearchMode, Callable[[Collection, str, int], Sequence[Neighbour]]]] = {
    "dense": Collection._dense,
    "lexical": Collection._lexical,
}


def _finished(record: Record, folder: Path) -> Meta:
    meta = record.meta()
    if meta is None:
        raise CollectionError(
            f"collection {folder.name!r} is not finished: its build is running or was interrupted",
            hint=f"Wait for it, or go on with it: `rag-adapt index build {folder.name} DIR`.",
        )
    return meta


def _check_embedder(meta: Meta, embedder: Embedder, folder: Path) -> None:
    given = embedder.identity
    if given.weights == meta.weights:
        return
    raise CollectionError(
        f"collection {folder.name!r} was built with embedder {meta.embedder!r} (weights "
        f"{shown(meta.weights)}), not with {given.name!r} (weights {shown(given.weights)})",
        hint=f"Search it with `--embedder {meta.embedder}` (and RAG_ADAPT_EMBEDDER_PRECISION=auto, "
        "which takes the one that it was built in), or build it again: "
        f"`rag-adapt index build {folder.name} DIR --embedder {given.name}`.",
    )
