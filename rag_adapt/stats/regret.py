"""What choosing a route now may cost in score, on items like those seen.

It does not know the routes beside their names, nor their prices. What is random here is seeded.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np

from rag_adapt.stats.clusters import Groups, Numbers, checked, group

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

    It speaks of these very adapters and prompts on new items; other training seeds are not in it.

    Args:
        scores: By route, one score in [0, 1] per item; the same items for all.
        clusters: The cluster of each item.
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
    short = _shortfalls(columns, group(clusters), seed, draws)
    expected, at_most = short.mean(axis=0), np.quantile(short, 0.95, axis=0)
    means = columns.mean(axis=0)
    return {
        name: Regret(
            score=float(means[place]),
            expected=float(expected[place]),
            at_most=float(at_most[place]),
        )
        for place, name in enumerate(scores)
    }


def _shortfalls(columns: Numbers, groups: Groups, seed: int, draws: int) -> Numbers:
    """Best mean minus own mean, by draw and route; shape (draws, routes)."""
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
        means = sums / (weights @ sizes + beside.sum(axis=(1, 2)))[:, None]
        blocks.append(means.max(axis=1, keepdims=True) - means)
    return np.concatenate(blocks)
