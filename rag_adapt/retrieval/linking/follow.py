"""Follows links from what was found, one hop, and mixes levels.

It does not know where links are kept: it is handed those that lead from the hits.
"""

import random
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Final

from rag_adapt.core.errors import CollectionError
from rag_adapt.retrieval.linking.units import Level, Link, LinkKind
from rag_adapt.retrieval.protocols import Neighbour

FOLLOWED: Final = 20
"""Best hits from which links are followed."""
SHARE: Final = 0.3
RANKED: Final = 10
"""Constant by which ranks become scores where hits have others: 1 / (10 + rank)."""
ROUNDS: Final = 100
"""Draws by which a shuffled link is kept from leading to its own unit or to one twice."""


@dataclass(frozen=True, kw_only=True)
class Following:
    """Which links search follows and which levels it keeps; nothing by default.

    Raises:
        CollectionError: at construction, if `share` is out of range.
    """

    kinds: tuple[LinkKind, ...] = ()
    """Links of these kinds are followed, one hop from the best hits."""
    share: float = SHARE
    """Of a hit's score that a link of weight 1 lends to its target, above 0 and up to 1."""
    levels: tuple[Level, ...] = ()
    """Only units of these levels are kept, the best of each in turn; all where there are none."""
    shuffle: int | None = None
    """Seed of the control: every unit has as many links as before, to other units."""

    def __post_init__(self) -> None:
        if not 0.0 < self.share <= 1.0:
            raise CollectionError(
                f"a link cannot lend {self.share!r} of a score",
                hint=f"Give a number above 0 and up to 1: `--link-share {SHARE}`.",
            )


NOWHERE: Final = Following()


@dataclass(frozen=True, kw_only=True)
class Followed:
    """What is found with links."""

    hits: tuple[Neighbour, ...]
    """Best first, each chunk once."""
    by: Mapping[int, Link]
    """For each chunk that was not found by itself, the link that lent it most."""


def by_rank(hits: Sequence[Neighbour]) -> tuple[Neighbour, ...]:
    """Hits with scores that can be added up, whatever theirs are."""
    return tuple(
        replace(hit, score=1.0 / (RANKED + rank)) for rank, hit in enumerate(hits, start=1)
    )


def followed(hits: Sequence[Neighbour], links: Sequence[Link], share: float) -> Followed:
    """Every link lends its target a share of its source's score; best first, ties by number.

    A unit that several hits link to gets a share from each, found by itself or not.

    Args:
        hits: with scores of 0 or more.
        links: from hits.
        share: of a score, for a link of weight 1.
    """
    own = {hit.chunk: hit.score for hit in hits}
    scores = dict(own)
    most: dict[int, float] = {}
    by: dict[int, Link] = {}
    for link in links:
        lent = share * link.weight * own[link.source]
        scores[link.target] = scores.get(link.target, 0.0) + lent
        if link.target not in own and lent > most.get(link.target, 0.0):
            most[link.target], by[link.target] = lent, link
    ordered = sorted(scores.items(), key=lambda item: (-item[1], item[0]))
    return Followed(
        hits=tuple(Neighbour(chunk=chunk, score=score) for chunk, score in ordered), by=by
    )


def shuffled(links: Sequence[Link], seed: int) -> tuple[Link, ...]:
    """As many links from each unit and to each unit, but to others: targets change places.

    A link that would lead to its own unit, or where another of its kind leads already, draws
    again; one that never finds a place is left where it was.

    Args:
        links: All of a collection.
        seed: Of the draws.
    """
    draw = random.Random(seed)
    deal = _Deal(links)
    draw.shuffle(deal.targets)
    deal.count()
    for place in range(len(links)):
        for _ in range(ROUNDS):
            if deal.fits(place) or deal.exchanged(place, draw.randrange(len(links))):
                break
    return tuple(
        replace(link, target=target) for link, target in zip(links, deal.targets, strict=True)
    )


class _Deal:
    """Targets dealt out to links anew."""

    def __init__(self, links: Sequence[Link]) -> None:
        self._links = links
        self.targets = [link.target for link in links]
        self._times: Counter[tuple[int, str, int]] = Counter()

    def count(self) -> None:
        """See how often each pair occurs."""
        self._times = Counter(self._pair(place) for place in range(len(self._links)))

    def fits(self, place: int) -> bool:
        """Whether a link leads to another unit, and no other of its kind does the same."""
        other_unit = self.targets[place] != self._links[place].source
        return other_unit and self._times[self._pair(place)] == 1

    def exchanged(self, one: int, other: int) -> bool:
        """Exchange two targets, if both links fit then."""
        self._swap(one, other)
        if self.fits(one) and self.fits(other):
            return True
        self._swap(one, other)
        return False

    def _swap(self, one: int, other: int) -> None:
        for place in {one, other}:
            self._times[self._pair(place)] -= 1
        self.targets[one], self.targets[other] = self.targets[other], self.targets[one]
        for place in {one, other}:
            self._times[self._pair(place)] += 1

    def _pair(self, place: int) -> tuple[int, str, int]:
        link = self._links[place]
        return link.source, link.kind, self.targets[place]


def mixed(levels: Sequence[int]) -> tuple[int, ...]:
    """Places of hits, best first, in another order: the best of each level in turn.

    The level of the best hit begins.

    Args:
        levels: of each hit.

    >>> mixed([2, 2, 1])
    (0, 2, 1)
    """
    queues: dict[int, list[int]] = {}
    for place, level in enumerate(levels):
        queues.setdefault(level, []).append(place)
    rounds = max((len(queue) for queue in queues.values()), default=0)
    return tuple(
        queue[turn] for turn in range(rounds) for queue in queues.values() if turn < len(queue)
    )
