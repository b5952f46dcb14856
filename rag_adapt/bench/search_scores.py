"""How well passages cover the places that answer a question: pure functions of spans.

It does not know search. Lengths are estimated tokens, as everywhere in retrieval.
"""

import math
from bisect import bisect_left
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Final

from rag_adapt.core.types import Span
from rag_adapt.retrieval.chunk import token_starts

FOUND: Final = 0.5
"""Share of a reference's tokens from which it counts as found."""
METRICS: Final = (
    *("recall", "precision", "mrr", "ndcg"),
    *("token_recall", "token_precision", "iou"),
)
Places = frozenset[tuple[str, int]]
"""Tokens: a document and the token's number in it."""


@dataclass(frozen=True, kw_only=True)
class Scores:
    """Of one question; each in [0, 1]."""

    recall: float
    """Share of the references that are found: half of their tokens lie in the passages."""
    precision: float
    """Share of the passages that hold any token of a reference."""
    mrr: float
    """One over the rank of the first such passage; 0 where there is none."""
    ndcg: float
    """Discounted gain over that of the best order of the collection's chunks, as many of them; a
    passage's gain is its share of the references' tokens."""
    token_recall: float
    """Share of the references' tokens that lie in the passages."""
    token_precision: float
    """Share of the passages' tokens that lie in the references."""
    iou: float
    """Tokens in both over tokens in either."""


class Ruler:
    """Turns spans of known texts into their tokens.

    Args:
        texts: parsed texts by document.
    """

    def __init__(self, texts: Mapping[str, str]) -> None:
        self._starts = {document: token_starts(text) for document, text in texts.items()}

    def places(self, span: Span) -> Places:
        """The tokens that begin inside a span; of part of a token, that token."""
        starts = self._starts[span.document]
        first, last = bisect_left(starts, span.start), bisect_left(starts, span.end)
        inside = range(first, last) or range(max(0, first - 1), max(1, first))
        return frozenset((span.document, number) for number in inside)


def score(
    references: Sequence[Places], passages: Sequence[Places], ideal: Sequence[float]
) -> Scores:
    """Compare passages, best first, with the references of a question.

    Args:
        references: at least one, none of them empty.
        passages: what was found.
        ideal: the gains of the collection's chunks, highest first; see `gains`.
    """
    wanted: Places = frozenset().union(*references)
    got: Places = frozenset().union(*passages)
    both = len(wanted & got)
    own = gains(wanted, passages)
    first = next((rank for rank, gain in enumerate(own, start=1) if gain > 0.0), None)
    best = _discounted(ideal[: len(passages)])
    return Scores(
        recall=sum(len(each & got) >= FOUND * len(each) for each in references) / len(references),
        precision=sum(gain > 0.0 for gain in own) / len(own) if own else 0.0,
        mrr=0.0 if first is None else 1.0 / first,
        ndcg=min(1.0, _discounted(own) / best) if best > 0.0 else 0.0,
        token_recall=both / len(wanted),
        token_precision=both / len(got) if got else 0.0,
        iou=both / len(wanted | got),
    )


def gains(wanted: Places, passages: Sequence[Places]) -> list[float]:
    """What each passage holds of the wanted tokens, as a share of them."""
    return [len(wanted & passage) / len(wanted) for passage in passages]


def _discounted(values: Sequence[float]) -> float:
    return sum(value / math.log2(rank + 1) for rank, value in enumerate(values, start=1))
