"""Retrieval and adapter together: two main effects and their interaction from four cells.

It does not know what the cells are beside their names, nor how they were scored.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np

from rag_adapt.core.types import Estimate
from rag_adapt.stats.clusters import Numbers, checked, group
from rag_adapt.stats.intervals import contrast_estimate

_RETRIEVAL: Final = (-0.5, 0.5, -0.5, 0.5)
"""Weights of the cells: neither, retrieval, adapter, both."""
_ADAPTER: Final = (-0.5, -0.5, 0.5, 0.5)
_INTERACTION: Final = (1.0, -1.0, -1.0, 1.0)


@dataclass(frozen=True, kw_only=True)
class Effects:
    """Effects in score, each with its interval."""

    retrieval: Estimate
    """Half of (retrieval - base) + (both - adapter): in [-1, 1]."""
    adapter: Estimate
    """Half of (adapter - base) + (both - retrieval): in [-1, 1]."""
    interaction: Estimate
    """(both - adapter) - (retrieval - base): in [-2, 2]; above 0 each helps the other."""


@dataclass(frozen=True, kw_only=True)
class SeedMeans:
    """Overall means of the two trained cells for each training seed, in the same order."""

    adapter: Sequence[float]
    both: Sequence[float]


def interaction(
    base: Sequence[float],
    retrieval: Sequence[float],
    adapter: Sequence[float],
    both: Sequence[float],
    clusters: Sequence[str],
    confidence: float = 0.95,
    *,
    folds: Sequence[int] | None = None,
    seed_means: SeedMeans | None = None,
) -> Effects:
    """Main effects and interaction of a two-by-two design on the same items.

    Each is the mean of a per-item contrast, so that items are their own control; the intervals
    are those of `rag_adapt.stats.intervals.paired_difference`.

    Args:
        base: Scores in [0, 1] with neither, one per item.
        retrieval: With retrieval alone.
        adapter: With the adapter alone.
        both: With both.
        clusters: The cluster of each item.
        confidence: Coverage aimed at, of each interval by itself.
        folds: Under cross-fitting, the fold of each item.
        seed_means: Of the cells with an adapter; the other two do not change with the seed.

    Raises:
        ValueError: no items, unequal lengths, or a value outside [0, 1].
    """
    groups = group(clusters)
    cells = np.stack([checked(cell, clusters) for cell in (base, retrieval, adapter, both)])
    by_seed = None if seed_means is None else _by_seed(cells, seed_means)

    def effect(weights: Sequence[float], reach: float) -> Estimate:
        seeds = None if by_seed is None else [float(x) for x in np.asarray(weights) @ by_seed]
        return contrast_estimate(
            np.asarray(weights) @ cells,
            groups,
            reach=reach,
            confidence=confidence,
            folds=folds,
            seed_means=seeds,
        )

    return Effects(
        retrieval=effect(_RETRIEVAL, 1.0),
        adapter=effect(_ADAPTER, 1.0),
        interaction=effect(_INTERACTION, 2.0),
    )


def _by_seed(cells: Numbers, seeds: SeedMeans) -> Numbers:
    """Means of the four cells for each seed; shape (4, seeds)."""
    if len(seeds.adapter) != len(seeds.both):
        raise ValueError(
            f"{len(seeds.adapter)} training seeds of one cell, {len(seeds.both)} of the other"
        )
    untrained = np.repeat(cells[:2].mean(axis=1, keepdims=True), len(seeds.adapter), axis=1)
    return np.vstack([untrained, seeds.adapter, seeds.both])
