"""Joins several rankings into one.

It does not know what is ranked or by whom: it sees numbers in an order.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Final

from rag_adapt.core.errors import CollectionError
from rag_adapt.retrieval.protocols import Neighbour

RANK_CONSTANT: Final = 10
"""How little a rank at the top counts more than the next: 60 in the paper, less finds more here
(`docs/retrieval.md`)."""
NEIGHBOURS: Final = 0.3
"""Share of its score that a chunk lends to those beside it: chosen with the constant."""


@dataclass(frozen=True, kw_only=True)
class FusionWeights:
    """How rankings are joined in fused search, and how much a chunk's surroundings count.

    Raises:
        CollectionError: at construction, if a number is negative, both rankings count nothing, or
            a neighbour would count more than the chunk itself.
    """

    dense: float = 1.0
    lexical: float = 1.0
    rank_constant: int = RANK_CONSTANT
    """See `reciprocal_rank_fusion`; small ones let the top ranks stand out."""
    neighbours: float = NEIGHBOURS
    """Share of its score, up to 1, that a chunk lends to the one before and the one after it."""

    def __post_init__(self) -> None:
        if self.rank_constant < 0:
            raise CollectionError(
                f"{self.rank_constant!r} cannot be the constant of rankings",
                hint=f"Give a number from 0 upwards: `--rank-constant {RANK_CONSTANT}`.",
            )
        if not 0.0 <= self.neighbours <= 1.0:
            raise CollectionError(
                f"a chunk cannot lend {self.neighbours!r} of its score to its neighbours",
                hint=f"Give a number from 0 to 1: `--neighbours {NEIGHBOURS}`.",
            )
        finite = all(0.0 <= each < float("inf") for each in (self.dense, self.lexical))
        if not finite or self.dense + self.lexical == 0.0:
            raise CollectionError(
                f"rankings cannot be joined with weights {self.dense!r} and {self.lexical!r}",
                hint="Give two numbers from 0 upwards, one of them above 0: "
                "`--dense-weight 1 --lexical-weight 1`.",
            )


EQUAL: Final = FusionWeights()


def reciprocal_rank_fusion(
    rankings: Sequence[Sequence[int]],
    *,
    constant: int = RANK_CONSTANT,
    weights: Sequence[float] | None = None,
) -> tuple[Neighbour, ...]:
    """Score each chunk with the sum of weight / (constant + rank), ranks from 1; best first.

    A chunk that a ranking lacks gets nothing from it; ties go to the smaller chunk number. A
    ranking of weight 0 is left out.
    Source: Cormack, Clarke, Büttcher, "Reciprocal rank fusion outperforms Condorcet and
    individual rank learning methods", SIGIR 2009.

    Args:
        rankings: chunk numbers, best first.
        constant: of the formula.
        weights: one for each ranking; all 1 where there are none.

    >>> [hit.chunk for hit in reciprocal_rank_fusion([[1, 2, 3], [2, 3]])]
    [2, 3, 1]
    """
    scores: dict[int, float] = {}
    factors = [1.0] * len(rankings) if weights is None else weights
    for ranking, weight in zip(rankings, factors, strict=True):
        for rank, chunk in enumerate(ranking if weight else (), start=1):
            scores[chunk] = scores.get(chunk, 0.0) + weight / (constant + rank)
    return _ordered(scores)


def lend(
    hits: Sequence[Neighbour], share: float, adjacent: Mapping[int, Sequence[int]]
) -> tuple[Neighbour, ...]:
    """Every chunk gets a share of the scores of those beside it; best first, ties by number.

    What answers a question seldom stands alone: a chunk between two good ones is likely good, and
    one that was not found itself is found through its neighbours.

    Args:
        hits: with scores of 0 or more.
        share: of a score that is lent to each neighbour.
        adjacent: for each hit the chunks before and after it in its document.

    >>> [hit.chunk for hit in lend([Neighbour(chunk=4, score=1.0)], 0.5, {4: [3, 5]})]
    [4, 3, 5]
    """
    scores = {hit.chunk: hit.score for hit in hits}
    for hit in hits:
        for chunk in adjacent[hit.chunk]:
            scores[chunk] = scores.get(chunk, 0.0) + share * hit.score
    return _ordered(scores)


def _ordered(scores: Mapping[int, float]) -> tuple[Neighbour, ...]:
    ordered = sorted(scores.items(), key=lambda item: (-item[1], item[0]))
    return tuple(Neighbour(chunk=chunk, score=score) for chunk, score in ordered)
