"""Cuts where what is said changes most, and again inside what is still too long.

It does not know search. `change` is high between two sentences whose neighbourhoods share little:
few words (lexical form) or little meaning (with an embedder).
"""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from rag_adapt.retrieval.chunk import DEFAULT_TOKENS
from rag_adapt.retrieval.chunkers.change import by_meaning, by_words
from rag_adapt.retrieval.chunkers.sentences import Sentences, check_tokens, sentences
from rag_adapt.retrieval.protocols import ChunkSpan, Embedder

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

SMALLEST: Final = 4
"""No cut leaves less than one part in this many of the budget, where another cut is possible."""


@dataclass(frozen=True, kw_only=True)
class TensionChunker:
    """Sections over the budget are cut at their highest local maximum of change, recursively.

    Raises:
        CollectionError: at construction, if `tokens` is out of range.
    """

    tokens: int = DEFAULT_TOKENS
    """The budget of a chunk."""
    embedder: Embedder | None = None
    """Compares meanings; without one, words are compared."""

    def __post_init__(self) -> None:
        check_tokens(self.tokens)

    def spec(self) -> dict[str, object]:
        """See `Chunker.spec`; the embedder's weights decide over the spans, too."""
        spec: dict[str, object] = {"kind": "tension", "tokens": self.tokens, "version": 1}
        if self.embedder is not None:
            spec["weights"] = self.embedder.identity.weights
        return spec

    def chunk(self, text: str) -> tuple[ChunkSpan, ...]:
        """See `Chunker.chunk`."""
        return tuple(span for section, cuts in self.cut(text) for span in section.spans(cuts))

    def cut(self, text: str) -> Iterator[tuple[Sentences, list[int]]]:
        """Each section with its cuts: numbers of the sentences before which they lie."""
        for section in sentences(text, self.tokens):
            if section.tokens(0, len(section)) <= self.tokens:
                yield section, []
                continue
            texts = section.texts()
            change = by_words(texts) if self.embedder is None else by_meaning(texts, self.embedder)
            yield section, recursive_cuts(section, change, self.tokens)


def recursive_cuts(section: Sentences, change: "NDArray[np.float64]", tokens: int) -> list[int]:
    """Cuts at maxima of change until every part fits.

    Args:
        section: n sentences.
        change: before each sentence but the first, shape (n - 1,).
        tokens: the budget of a part.
    """
    cuts: list[int] = []
    waiting = [(0, len(section))]
    while waiting:
        first, last = waiting.pop()
        if section.tokens(first, last) > tokens:
            cut = _highest(section, change, first, last, tokens // SMALLEST)
            cuts.append(cut)
            waiting += [(first, cut), (cut, last)]
    return sorted(cuts)


def _highest(
    section: Sentences, change: "NDArray[np.float64]", first: int, last: int, least: int
) -> int:
    """Where to cut: the highest local maximum that leaves enough on both sides; the first of
    equals; other places only where there is no such maximum."""
    inside = [
        cut
        for cut in range(first + 1, last)
        if section.tokens(first, cut) >= least and section.tokens(cut, last) >= least
    ] or list(range(first + 1, last))
    peaks = [cut for cut in inside if _is_peak(change, cut)]
    return max(peaks or inside, key=lambda cut: (change[cut - 1], -cut))


def _is_peak(change: "NDArray[np.float64]", cut: int) -> bool:
    here = change[cut - 1]
    before = change[cut - 2] if cut > 1 else -1.0
    after = change[cut] if cut < len(change) else -1.0
    return bool(here >= before and here >= after)
