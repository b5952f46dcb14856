"""How much changes between one sentence and the next: a number for every gap.

It does not know where cuts will be made. Both forms compare the sentences before a gap with those
after it, as Hearst's TextTiling does (Computational Linguistics 23, 1997).
"""

import math
import re
from collections import Counter
from collections.abc import Sequence
from typing import TYPE_CHECKING, Final

import numpy as np

from rag_adapt.retrieval.protocols import Embedder

if TYPE_CHECKING:
    from numpy.typing import NDArray

WINDOW: Final = 4
"""Sentences on each side of a gap that are compared."""
_WORD: Final = re.compile(r"\w+")


def by_words(sentences: Sequence[str]) -> "NDArray[np.float64]":
    """One minus the cosine of the words on both sides, rare words counting more.

    Args:
        sentences: n of them.

    Returns:
        Shape (n - 1,), each in [0, 1].
    """
    counts = [Counter(_WORD.findall(sentence.lower())) for sentence in sentences]
    holding = Counter(word for count in counts for word in count)
    weight = {word: math.log(1.0 + len(counts) / n) for word, n in holding.items()}
    gaps = range(1, len(counts))
    return np.array(
        [
            1.0
            - _cosine(
                _words(counts[max(0, g - WINDOW) : g]), _words(counts[g : g + WINDOW]), weight
            )
            for g in gaps
        ],
        dtype=np.float64,
    )


def by_meaning(sentences: Sequence[str], embedder: Embedder) -> "NDArray[np.float64]":
    """One minus the cosine of the mean vectors on both sides.

    Args:
        sentences: n of them.
        embedder: is given all of them at once.

    Returns:
        Shape (n - 1,), each in [0, 2].
    """
    vectors = embedder.embed(list(sentences)).astype(np.float64)
    sums = np.vstack([np.zeros(vectors.shape[1]), np.cumsum(vectors, axis=0)])
    gaps = np.arange(1, len(vectors))
    before = sums[gaps] - sums[np.maximum(0, gaps - WINDOW)]
    after = sums[np.minimum(len(vectors), gaps + WINDOW)] - sums[gaps]
    lengths = np.linalg.norm(before, axis=1) * np.linalg.norm(after, axis=1)
    products = np.einsum("ij,ij->i", before, after)
    cosines = np.zeros_like(lengths)
    np.divide(products, lengths, out=cosines, where=lengths > 0.0)
    distances: NDArray[np.float64] = 1.0 - cosines
    return distances


def _words(counts: Sequence[Counter[str]]) -> Counter[str]:
    total: Counter[str] = Counter()
    for count in counts:
        total.update(count)
    return total


def _cosine(one: Counter[str], other: Counter[str], weight: dict[str, float]) -> float:
    shared = sum(n * other[word] * weight[word] ** 2 for word, n in one.items() if word in other)
    lengths = _length(one, weight) * _length(other, weight)
    return min(1.0, shared / lengths) if lengths > 0.0 else 0.0


def _length(words: Counter[str], weight: dict[str, float]) -> float:
    return math.sqrt(sum((n * weight[word]) ** 2 for word, n in words.items()))
