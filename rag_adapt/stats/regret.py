"""What choosing a route now may cost in score, on items and training seeds like those seen.

It does not know the routes beside their names, nor their prices. What is random here is seeded.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np

from rag_adapt.stats.clusters import Groups, Numbers, checked, group
from rag_adapt.stats.seeds import BySeed, seed_spread

PSEUDO: Final = 2
"""Pseudo-clusters: the weight of the prior, two as in Laplace's rule of succession."""
_BLOCK: Final = 250
"""Draws computed at once; it bounds the memory and changes no figure."""


@dataclass(frozen=True, kw_only=True)
class Regret:
    """What is known of one route's score, and of its shortfall to the best route."""

    score: float
    """Mean over the items seen."""
    expected: float
    """Expected shortfall to whichever route is truly the best, in score."""
    at_most: float
    """The shortfall that it will not exceed with 95 % probability."""


def regrets(
    scores: Mapping[str, Sequence[float]],
    clusters: Sequence[str],
    *,
    by_seed: Mapping[str, BySeed] | None = None,
    seed: int = 0,
    draws: int = 4000,
) -> dict[str, Regret]:
    """Expected regret of choosing each route, from the joint scores on the same items.

    A Bayesian bootstrap over clusters (Rubin 1981): each draw weighs the clusters by independent
    exponential variables, all routes alike, and takes every route's weighted mean. The bootstrap
    by itself has no spread where all scores are alike, so each draw also holds two
    pseudo-clusters of average size on which each route is right or wrong by the toss of a fair
    coin, independently: a Dirichlet process prior of weight two, Laplace's rule for each route.
    The regret of a route in a draw is the best mean of the draw minus its own.

    Routes with several training seeds also move by what training again would do
    (`rag_adapt.stats.seeds`), and means stay in [0, 1]. The expectation takes the spread between
    seeds as found, which is nearly unbiased; the bound draws it from Student's t, as a few seeds
    show it badly. One draw for both would overstate the expectation twofold with three seeds, or
    go beyond the bound in up to 13 % of runs (docs/statistics.md). A route with one seed is this
    very adapter, on new items.

    Args:
        scores: By route, one score in [0, 1] per item; the same items for all.
        clusters: The cluster of each item.
        by_seed: For routes with adapters, the scores by training seed, whose mean `scores` is.
        seed: Of the draws.
        draws: How many.

    Returns:
        By route, in the order given; empty where there is no route.

    Raises:
        ValueError: no items, unequal lengths, or a value outside [0, 1].
    """
    if not scores:
        return {}
    columns = np.stack([checked(values, clusters) for values in scores.values()], axis=1)
    groups = group(clusters)
    seeds = [_checked_seeds((by_seed or {}).get(name), clusters) for name in scores]
    drawn = _draw(columns, groups, seed, draws)
    noise = seed_spread(seeds, groups).noise(np.random.default_rng((seed, 1)), draws)
    expected = _shortfalls(drawn + noise.plain).mean(axis=0)
    at_most = np.quantile(_shortfalls(drawn + noise.heavy), 0.95, axis=0)
    means = columns.mean(axis=0)
    return {
        name: Regret(
            score=float(means[place]),
            expected=float(expected[place]),
            at_most=float(at_most[place]),
        )
        for place, name in enumerate(scores)
    }


def _checked_seeds(found: BySeed | None, clusters: Sequence[str]) -> BySeed | None:
    return found and {seed: checked(values, clusters).tolist() for seed, values in found.items()}


def _shortfalls(means: Numbers) -> Numbers:
    """Best mean minus own mean, by draw and route, with means kept in [0, 1]."""
    kept = means.clip(0.0, 1.0)
    found: Numbers = kept.max(axis=1, keepdims=True) - kept
    return found


def _draw(columns: Numbers, groups: Groups, seed: int, draws: int) -> Numbers:
    """Means of all routes on items like those seen; shape (draws, routes)."""
    chance = np.random.default_rng(seed)
    totals = np.stack([groups.totals(column) for column in columns.T], axis=1)
    sizes, size = groups.sizes(), len(columns) / groups.count
    blocks = []
    for start in range(0, draws, _BLOCK):
        count = min(_BLOCK, draws - start)
        weights = chance.standard_exponential((count, groups.count))
        beside = size * chance.standard_exponential((count, PSEUDO, 1))
        tosses = chance.integers(0, 2, (count, PSEUDO, columns.shape[1]))
        sums = weights @ totals + (beside * tosses).sum(axis=1)
        blocks.append(sums / (weights @ sizes + beside.sum(axis=(1, 2)))[:, None])
    return np.concatenate(blocks)
