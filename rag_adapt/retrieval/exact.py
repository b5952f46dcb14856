"""Exact search: one matrix product over all vectors.

It does not know where vectors or chunks are kept.
"""

from typing import TYPE_CHECKING

import numpy as np

from rag_adapt.retrieval.protocols import Neighbour

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from rag_adapt.retrieval.protocols import Vectors


class ExactIndex:
    """All vectors in memory: the answer is exact, and the same on every machine but for rounding.

    Args:
        chunks: chunk numbers in ascending order, shape (n,).
        matrix: their vectors, shape (n, d), L2-normalised.
    """

    def __init__(self, *, chunks: "NDArray[np.int64]", matrix: "Vectors") -> None:
        self._chunks = chunks
        self._matrix = matrix

    def nearest(self, vector: "Vectors", k: int) -> tuple[Neighbour, ...]:
        """See `VectorIndex.nearest`; scores are cosines."""
        scores = self._matrix @ vector
        rows = top_rows(scores, k)
        return tuple(
            Neighbour(chunk=int(self._chunks[row]), score=float(scores[row])) for row in rows
        )

    def close(self) -> None:
        """Nothing is held but memory."""


def top_rows(scores: "Vectors", k: int) -> "NDArray[np.int64]":
    """Positions of the `k` highest scores, highest first, equal ones by position.

    A partition alone would choose freely among scores equal to the k-th: all of those are kept
    until the sort.
    """
    if k < len(scores):
        threshold = np.partition(scores, len(scores) - k)[len(scores) - k]
        candidates = np.flatnonzero(scores >= threshold)
    else:
        candidates = np.arange(len(scores))
    order = np.argsort(-scores[candidates], kind="stable")[:k]
    return candidates[order]
