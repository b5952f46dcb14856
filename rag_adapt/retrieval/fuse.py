"""Joins several rankings into one.

It does not know what is ranked or by whom: it sees numbers in an order.
"""

from collections.abc import Sequence
from typing import Final

from rag_adapt.retrieval.protocols import Neighbour

RANK_CONSTANT: Final = 60
"""The constant of the paper: how little a rank at the top counts more than the next."""


def reciprocal_rank_fusion(
    rankings: Sequence[Sequence[int]], *, constant: int = RANK_CONSTANT
) -> tuple[Neighbour, ...]:
    """Score each chunk with the sum of 1 / (constant + rank), ranks from 1; best first.

    A chunk that a ranking lacks gets nothing from it; ties go to the smaller chunk number.
    Source: Cormack, Clarke, Büttcher, "Reciprocal rank fusion outperforms Condorcet and
    individual rank learning methods", SIGIR 2009.

    >>> [hit.chunk for hit in reciprocal_rank_fusion([[1, 2, 3], [2, 3]])]
    [2, 3, 1]
    """
    scores: dict[int, float] = {}
    for ranking in rankings:
        for rank, chunk in enumerate(ranking, start=1):
            scores[chunk] = scores.get(chunk, 0.0) + 1.0 / (constant + rank)
    ordered = sorted(scores.items(), key=lambda item: (-item[1], item[0]))
    return tuple(Neighbour(chunk=chunk, score=score) for chunk, score in ordered)
