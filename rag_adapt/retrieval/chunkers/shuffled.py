"""Cuts in as many pieces of the same sizes as tension makes, at random places: its control.

It does not know what sentences say. Whatever search gains over this comes from where tension
cuts, not from how long its chunks are.
"""

import hashlib
import random
from dataclasses import dataclass, field
from typing import Final

from rag_adapt.retrieval.chunkers.sentences import Sentences
from rag_adapt.retrieval.chunkers.tension import TensionChunker
from rag_adapt.retrieval.protocols import ChunkSpan

ROUNDS: Final = 40
"""Exchanges of neighbours that are tried, for each chunk."""


@dataclass(frozen=True, kw_only=True)
class RandomChunker:
    """In each section the sizes that `like` chose, counted in sentences, in random order.

    Neighbouring sizes are exchanged at random, never beyond the budget: the result is the same
    for a seed and a text.
    """

    like: TensionChunker = field(default_factory=TensionChunker)
    seed: int = 0

    def spec(self) -> dict[str, object]:
        """See `Chunker.spec`."""
        return {"kind": "random", "like": self.like.spec(), "seed": self.seed, "version": 1}

    def chunk(self, text: str) -> tuple[ChunkSpan, ...]:
        """See `Chunker.chunk`."""
        digest = hashlib.sha256(f"{self.seed} {text}".encode("utf-8", "surrogatepass")).digest()
        draw = random.Random(digest)
        return tuple(
            span
            for section, cuts in self.like.cut(text)
            for span in section.spans(self._moved(section, cuts, draw))
        )

    def _moved(self, section: Sentences, cuts: list[int], draw: random.Random) -> list[int]:
        bounds = [0, *cuts, len(section)]
        for _ in range(ROUNDS * len(cuts)):
            at = draw.randrange(1, len(bounds) - 1)
            low, high = bounds[at - 1], bounds[at + 1]
            moved = low + high - bounds[at]
            if max(section.tokens(low, moved), section.tokens(moved, high)) <= self.like.tokens:
                bounds[at] = moved
        return bounds[1:-1]
