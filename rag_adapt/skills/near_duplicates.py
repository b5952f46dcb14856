"""Finds texts that say nearly the same: by normal form, then by shared word pairs.

It does not know what the texts are for; skills check and the leak firewall decide what to do.
"""

import math
import unicodedata
from collections import Counter, defaultdict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import combinations, pairwise
from typing import Final

from rag_adapt.core.types import Item, Split

THRESHOLD: Final = 0.8
"""Jaccard similarity of word pairs from which two texts count as near-duplicates."""

Shingle = tuple[str, ...]
_SPLITS: Final[tuple[Split, ...]] = ("test", "dev", "train")


@dataclass(frozen=True, kw_only=True)
class NearPair:
    """Two texts that are nearly the same."""

    left: str
    """Key of the first text."""
    right: str
    """Key of the second text."""
    similarity: float
    """Jaccard similarity of their word pairs; 1 where the normal forms are equal."""


def normal_form(text: str) -> str:
    """Without case, punctuation, and differences of width or spacing; never empty for a text.

    Symbols such as `+` and `=` stay: they carry meaning that commas do not.
    """
    folded = unicodedata.normalize("NFKC", text).casefold()
    kept = "".join(" " if unicodedata.category(c).startswith("P") else c for c in folded)
    return " ".join(kept.split()) or " ".join(folded.split())


def shingles(text: str) -> frozenset[Shingle]:
    """The pairs of neighbouring words of a text's normal form; a lone word stands for itself."""
    words = normal_form(text).split()
    if len(words) < 2:
        return frozenset({tuple(words)})
    return frozenset(pairwise(words))


def near_duplicates(
    left: Mapping[str, str], right: Mapping[str, str], *, threshold: float = THRESHOLD
) -> Iterator[NearPair]:
    """Every pair of a left and a right text whose word pairs are similar enough.

    Prefix filtering (Chaudhuri et al. 2006; Bayardo et al. 2007) keeps this far from comparing
    all with all: two sets this similar must share one of their rarest shingles.

    Args:
        left: Texts by key.
        right: Texts by key.
        threshold: Smallest Jaccard similarity, in (0, 1].
    """
    sets = {form: shingles(form) for form in map(normal_form, (*left.values(), *right.values()))}
    rarity = Counter(shingle for found in sets.values() for shingle in found)
    keys_left, keys_right = _by_form(left), _by_form(right)
    index: dict[Shingle, list[str]] = defaultdict(list)
    for form in keys_right:
        for shingle in _prefix(sets[form], rarity, threshold):
            index[shingle].append(form)
    for form, keys in keys_left.items():
        found = sets[form]
        near = {other for shingle in _prefix(found, rarity, threshold) for other in index[shingle]}
        for other in sorted(near):
            similarity = _jaccard(found, sets[other])
            if similarity >= threshold:
                for key in keys:
                    for match in keys_right[other]:
                        yield NearPair(left=key, right=match, similarity=similarity)


def across_splits(items: Sequence[Item], *, threshold: float = THRESHOLD) -> Iterator[NearPair]:
    """Pairs of near-duplicate inputs in different splits, by item id; test items come left."""
    inputs: dict[Split, dict[str, str]] = {
        split: {item.id: item.input for item in items if item.split == split} for split in _SPLITS
    }
    for one, other in combinations(_SPLITS, 2):
        yield from near_duplicates(inputs[one], inputs[other], threshold=threshold)


def _by_form(texts: Mapping[str, str]) -> dict[str, list[str]]:
    keys: dict[str, list[str]] = defaultdict(list)
    for key, text in texts.items():
        keys[normal_form(text)].append(key)
    return keys


def _prefix(
    found: frozenset[Shingle], rarity: Mapping[Shingle, int], threshold: float
) -> list[Shingle]:
    """The rarest shingles, as many as a similar set cannot do without sharing one."""
    length = len(found) - math.ceil(threshold * len(found) - 1e-9) + 1
    return sorted(found, key=lambda shingle: (rarity[shingle], shingle))[:length]


def _jaccard(one: frozenset[Shingle], other: frozenset[Shingle]) -> float:
    shared = len(one & other)
    return shared / (len(one) + len(other) - shared)
