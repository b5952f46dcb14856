"""Finds a text's nearest near-duplicate among many, and texts that stand inside others.

It does not know what the texts are for. Where `near_duplicates` tells every pair, this tells one
match for each text, so that ten thousand texts that all resemble each other stay affordable.
"""

import re
from bisect import bisect_left
from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Final

from rag_adapt.skills.near_duplicates import THRESHOLD, NearPair, normal_form

EFFORT: Final = 256
"""Candidates compared for one text before the best match found so far is good enough."""
_ROUNDING: Final = 1e-9
_WIDE: Final = r"\u3040-\u30ff\u3400-\u9fff\uac00-\ud7af"
_WORD: Final = re.compile(rf"[{_WIDE}]|[^\W{_WIDE}]+|[^\w\s]")


Shingle = tuple[str, str, int]
"""Two neighbouring words, and how often they stood together before in the same text."""


def words(text: str) -> list[str]:
    """The words of a text's normal form.

    A Chinese, Japanese or Korean character counts as a word, and so does a symbol: a target in
    backticks is still found.
    """
    return _WORD.findall(normal_form(text))


@dataclass(frozen=True, kw_only=True)
class Nearest:
    """The match that was found for a text."""

    key: str
    similarity: float
    """Jaccard similarity of word pairs; 1 where the normal forms are equal."""


@dataclass(frozen=True, kw_only=True)
class Contained:
    """A text that stands word for word in another."""

    needle: str
    """Key of the contained text."""
    text: str
    """Key of the first text that contains it."""


@dataclass(frozen=True, kw_only=True)
class _Block:
    """Indexed texts that meet a query in the same place, so that one bound holds for all."""

    bound: float
    """The similarity that none of them exceeds."""
    members: Sequence[int]


class NearIndex:
    """Texts that can be asked for the one nearest to another.

    A word pair that a text repeats counts as often as it stands there: otherwise all texts of a
    small vocabulary (`True and not False or True`) would be duplicates of each other.

    Prefix and positional filtering (Xiao et al., "Efficient similarity joins for near-duplicate
    detection", 2008): shingles are ordered by rarity, two similar sets must share one of their
    rarest, and where the first shared one stands bounds what they can share at all.

    Args:
        texts: By key; of texts with the same normal form the first stands for all.
        threshold: Smallest Jaccard similarity of word pairs, in (0, 1].
    """

    def __init__(self, texts: Mapping[str, str], *, threshold: float = THRESHOLD) -> None:
        self._threshold = threshold
        self._by_form: dict[str, int] = {}
        self._keys: list[str] = []
        found: list[frozenset[Shingle]] = []
        for key, text in texts.items():
            form = normal_form(text)
            if form not in self._by_form:
                self._by_form[form] = len(self._keys)
                self._keys.append(key)
                found.append(_shingles(form))
        rarity = Counter(shingle for each in found for shingle in each)
        by_rarity = sorted(rarity, key=lambda shingle: (rarity[shingle], shingle))
        self._ranks = {shingle: rank for rank, shingle in enumerate(by_rarity)}
        self._sets = [frozenset(self._ranks[shingle] for shingle in each) for each in found]
        self._places: dict[int, dict[tuple[int, int], list[int]]] = defaultdict(dict)
        for number, each in enumerate(self._sets):
            for position, rank in enumerate(sorted(each)[: self._prefix(len(each))]):
                self._places[rank].setdefault((len(each), position), []).append(number)

    def nearest(self, text: str) -> Nearest | None:
        """The most similar text, or None where none reaches the threshold.

        Whether there is a match is exact; which of several is told, after `EFFORT` comparisons,
        is the best so far.
        """
        form = normal_form(text)
        if form in self._by_form:
            return Nearest(key=self._keys[self._by_form[form]], similarity=1.0)
        best, similarity, compared = -1, 0.0, set[int]()
        known, size = self._known(_shingles(form))
        for block in sorted(self._blocks(known, size), key=lambda block: -block.bound):
            if best >= 0 and (block.bound <= similarity or len(compared) >= EFFORT):
                break
            for number in block.members:
                if best >= 0 and (similarity >= block.bound or len(compared) >= EFFORT):
                    break
                if number not in compared:
                    compared.add(number)
                    value = self._similarity(known, size, number)
                    if value >= self._threshold and value > similarity:
                        best, similarity = number, value
        if best < 0:
            return None
        return Nearest(key=self._keys[best], similarity=similarity)

    def links(self) -> Iterator[NearPair]:
        """Pairs of indexed keys that connect all near-duplicates, directly or through others.

        At most one less than there are different texts: a text that is already connected with
        another is not compared with it. Keys of equal texts are not told.
        """
        groups = Groups(len(self._keys))
        for number, known in enumerate(self._sets):
            for block in self._blocks(known, len(known)):
                earlier = block.members[: bisect_left(block.members, number)]
                for other in groups.apart(number, earlier):
                    value = self._similarity(known, len(known), other)
                    if value >= self._threshold:
                        groups.join(number, other)
                        yield NearPair(
                            left=self._keys[number], right=self._keys[other], similarity=value
                        )

    def _prefix(self, size: int) -> int:
        """How many of the rarest shingles a similar set cannot do without sharing one."""
        return size - _ceiling(self._threshold * size) + 1

    def _known(self, found: Iterable[Shingle]) -> tuple[frozenset[int], int]:
        """The ranks of those shingles that the index has, and how many there are in all."""
        ranks = [self._ranks.get(shingle) for shingle in found]
        return frozenset(rank for rank in ranks if rank is not None), len(ranks)

    def _blocks(self, known: frozenset[int], size: int) -> Iterator[_Block]:
        unknown = size - len(known)
        for position, rank in enumerate(sorted(known), start=unknown):
            if position >= self._prefix(size):
                return
            for (other_size, other_position), members in self._places.get(rank, {}).items():
                shared = min(size - position, other_size - other_position)
                bound = shared / (size + other_size - shared)
                if bound >= self._threshold - _ROUNDING:
                    yield _Block(bound=bound, members=members)

    def _similarity(self, known: frozenset[int], size: int, number: int) -> float:
        shared = len(known & self._sets[number])
        return shared / (size + len(self._sets[number]) - shared)


class Groups:
    """Numbers that are joined into groups, transitively (union-find with path halving).

    Args:
        count: The numbers are 0 to `count` - 1, each at first a group of its own.
    """

    def __init__(self, count: int) -> None:
        self._parents = list(range(count))

    def root(self, number: int) -> int:
        """The smallest number of its group."""
        parents = self._parents
        while parents[number] != number:
            parents[number] = parents[parents[number]]
            number = parents[number]
        return number

    def apart(self, number: int, others: Iterable[int]) -> Iterator[int]:
        """Those of the others that are, when their turn comes, in another group."""
        parents = self._parents
        for other in others:
            root = parents[number]
            if parents[other] != root and self.root(other) != self.root(number):
                yield other

    def join(self, one: int, other: int) -> None:
        """Make their groups one."""
        first, second = sorted((self.root(one), self.root(other)))
        self._parents[second] = first


class Needles:
    """Texts that are looked for word for word in others.

    Compared are normal forms, word by word, so that `card` is not found in `cardboard`. Memory
    grows with the needles alone and time with the length of what is read.

    Args:
        texts: By key; those of fewer than `least` words are not looked for.
        least: Words from which a text is more than a common phrase; at least 1.
    """

    def __init__(self, texts: Mapping[str, str], *, least: int) -> None:
        self._least = least
        self._by_opening: dict[tuple[str, ...], list[tuple[str, list[str]]]] = defaultdict(list)
        for key, text in texts.items():
            wanted = words(text)
            if len(wanted) >= least:
                self._by_opening[tuple(wanted[:least])].append((key, wanted))

    def inside(self, text: str) -> Iterator[str]:
        """Keys of the needles that stand in the text, as often as they do."""
        read = words(text)
        for start in range(len(read) - self._least + 1):
            for key, wanted in self._by_opening.get(tuple(read[start : start + self._least]), ()):
                if read[start : start + len(wanted)] == wanted:
                    yield key


def contained(
    needles: Mapping[str, str], texts: Mapping[str, str], *, least: int
) -> Iterator[Contained]:
    """Every needle that stands word for word in a text, once; see `Needles`."""
    wanted = Needles(needles, least=least)
    told: set[str] = set()
    for place, text in texts.items():
        for key in wanted.inside(text):
            if key not in told:
                told.add(key)
                yield Contained(needle=key, text=place)


def _shingles(form: str) -> frozenset[Shingle]:
    """The numbered word pairs of a normal form; a lone word stands for itself."""
    read = form.split()
    seen: Counter[tuple[str, str]] = Counter()
    found = []
    for pair in pairwise(read) if len(read) > 1 else [("", form)]:
        found.append((*pair, seen[pair]))
        seen[pair] += 1
    return frozenset(found)


def _ceiling(value: float) -> int:
    return -int(-(value - _ROUNDING) // 1)
