"""How a collection is searched, as one value: what a route is told and remembered by.

It does not know settings or collections.
"""

from dataclasses import dataclass
from typing import Final

from rag_adapt.retrieval.fuse import EQUAL, FusionWeights
from rag_adapt.retrieval.linking.follow import NOWHERE, Following
from rag_adapt.retrieval.linking.units import LinkKind
from rag_adapt.retrieval.protocols import SearchMode

FOR_LEVELS: Final[tuple[LinkKind, ...]] = ("headings",)
"""Links that are found where only levels are asked for: the cheapest."""


@dataclass(frozen=True, kw_only=True)
class SearchOptions:
    """How a collection is searched."""

    mode: SearchMode = "fused"
    weights: FusionWeights = EQUAL
    """Of `fused` search."""
    following: Following = NOWHERE

    @property
    def label(self) -> str:
        """All of it in words: part of a route's identity.

        >>> SearchOptions(mode="dense").label
        'dense'
        """
        parts: list[str] = [self.mode]
        if self.mode == "fused":
            weights = self.weights
            parts.append(f"constant {weights.rank_constant}")
            parts.append(f"neighbours {weights.neighbours:g}")
            if weights.dense != weights.lexical:
                parts.append(f"weights {weights.dense:g} and {weights.lexical:g}")
        if self.following.kinds:
            parts.append(f"links {'+'.join(self.following.kinds)} {self.following.share:g}")
        if self.following.levels:
            parts.append(f"levels {'+'.join(map(str, self.following.levels))}")
        return ", ".join(parts)

    @property
    def links(self) -> tuple[LinkKind, ...] | None:
        """What links a collection must have for it; None where it needs none."""
        if self.following.kinds:
            return self.following.kinds
        return FOR_LEVELS if self.following.levels else None


PLAIN: Final = SearchOptions()
