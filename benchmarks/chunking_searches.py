"""The ways of searching that `benchmarks.chunking` compares, by name.

It does not know questions or scores.
"""

import random
import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from functools import partial
from typing import Final, get_args

from rag_adapt.core.types import Passage
from rag_adapt.retrieval.collection import Collection
from rag_adapt.retrieval.fuse import FusionWeights, lend
from rag_adapt.retrieval.linking.follow import NOWHERE, SHARE, Following
from rag_adapt.retrieval.linking.registry import link_kinds
from rag_adapt.retrieval.protocols import Neighbour, SearchMode

DEPTH: Final = 200
"""Passages that are ranked before the budget cuts."""
CUTS: Final = (
    *("recursive", "packing", "fixed", "tension", "random"),
    *("tension-embedded", "random-embedded"),
)
MODES: Final = ("lexical", "dense", "fused")
"""`fused` with constant 10 and 0.3 of a score lent to the chunks before and after."""
HOW: Final = tuple(f"{mode}{links}" for mode in MODES for links in ("", "+links", "+shuffled"))
"""Every mode without links, with them, and with as many to other units."""
OWN: Final = ("fused(60,0)", "fused(10,0)", "fused(10,~0.3)")
"""Of the first way of cutting alone: the parts of `fused`; `~` lends to chunks drawn at random."""
FUSED: Final = FusionWeights(rank_constant=10, neighbours=0.3)
_HOW: Final = re.compile(
    r"(?P<mode>\w+)(?:\((?P<constant>\d+),(?P<random>~?)(?P<share>[\d.]+)\))?"
    r"(?:\+(?P<links>links|shuffled)(?:\((?P<lent>[\d.]+)\))?)?"
)


@dataclass(frozen=True, kw_only=True)
class Searches:
    """One way of searching one collection."""

    search: Callable[[str], Sequence[Passage]]
    texts: dict[str, str]


def searches_of(collection: Collection, how: str, kinds: str) -> Searches:
    """What a name such as `fused(10,0.3)+links(0.1)` stands for.

    Args:
        collection: Open, with links.
        how: The name.
        kinds: Of links that are followed, joined by `+`.
    """
    match = _HOW.fullmatch(how)
    assert match is not None, how
    weights, beside = FUSED, None
    if match["constant"]:
        share = float(match["share"])
        weights = FusionWeights(rank_constant=int(match["constant"]), neighbours=share)
        beside = Drawn(collection, share) if match["random"] else None
    following = NOWHERE
    if match["links"]:
        following = Following(
            kinds=link_kinds(kinds.replace("+", ",")),
            share=float(match["lent"] or SHARE),
            shuffle=0 if match["links"] == "shuffled" else None,
        )
    plain = replace(weights, neighbours=0.0) if beside else weights
    (mode,) = (each for each in get_args(SearchMode) if each == match["mode"])
    search = partial(collection.search, k=DEPTH, mode=mode, weights=plain, following=following)
    return Searches(
        search=search if beside is None else lambda query: beside.lent(search(query)),
        texts={document: collection.text(document) for document in collection.documents()},
    )


class Drawn:
    """A collection whose chunks are beside any others, drawn once at random.

    Args:
        collection: Open.
        share: Of a score that is lent to each of two others.
    """

    def __init__(self, collection: Collection, share: float) -> None:
        self._collection, self._share = collection, share
        self._spans = collection.spans()
        self._places = {(span.document, span.start): at for at, span in enumerate(self._spans)}
        self._beside = random.Random(0).sample(range(len(self._spans)), len(self._spans))

    def lent(self, found: Sequence[Passage]) -> Sequence[Passage]:
        """As neighbours get shares of scores, so these do."""
        at = [self._places[hit.document, hit.start] for hit in found]
        hits = [Neighbour(chunk=one, score=hit.score) for one, hit in zip(at, found, strict=True)]
        beside = {
            one: [
                self._beside[near] for near in (one - 1, one + 1) if 0 <= near < len(self._beside)
            ]
            for one in at
        }
        return [self._passage(hit) for hit in lend(hits, self._share, beside)[:DEPTH]]

    def _passage(self, hit: Neighbour) -> Passage:
        return replace(self._collection.passage(self._spans[hit.chunk]), score=hit.score)
