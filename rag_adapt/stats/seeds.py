"""How far a mean over training seeds may lie from what training again would give.

It does not know routes or intervals; it is handed scores by seed and draws joint noise.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from rag_adapt.stats.bounds import t_quantile
from rag_adapt.stats.clusters import TINY, Groups, Numbers, group, robust_variance

BySeed = Mapping[int, Sequence[float]]
"""For each training seed, one score in [0, 1] per item; the same items for all."""


@dataclass(frozen=True, kw_only=True)
class SeedSpread:
    """What training seeds do to the means of several routes."""

    loadings: Numbers
    """Shape (seeds, routes): a standard normal row times this has the means' covariance."""
    degrees: Numbers
    """Seeds less one, by route; zero where seeds add nothing."""

    def noise(self, chance: np.random.Generator, draws: int) -> "Noise":
        """Joint noise of all routes' means, with a known and with an estimated scale."""
        plain = chance.standard_normal((draws, len(self.loadings))) @ self.loadings
        return Noise(plain=plain, heavy=plain * _scales(chance, draws, self.degrees))


@dataclass(frozen=True, kw_only=True)
class Noise:
    """Draws of what seeds add to the means; shapes (draws, routes)."""

    plain: Numbers
    """Normal: as if the spread between seeds were known."""
    heavy: Numbers
    """Student's t: it had to be estimated from these few seeds."""


def seed_spread(routes: Sequence[BySeed | None], groups: Groups) -> SeedSpread:
    """The covariance of routes' means over training seeds, less what items alone explain.

    A route's deviations are its seeds' means from their own mean. Their products over
    S(S - 1) are an unbiased covariance of means over S seeds; seeds of one number pair up over
    routes, so that two routes with one adapter move together. Each variance also holds the noise
    of the items that seeds answer differently by chance, which a bootstrap over items counts
    already: deviations are shrunk by it.

    Args:
        routes: None, or one seed, adds nothing.
        groups: The cluster of each item.
    """
    numbers = sorted({seed for one in routes if one for seed in one})
    loadings = np.zeros((max(1, len(numbers)), len(routes)))
    degrees = np.zeros(len(routes))
    for place, one in enumerate(routes):
        if one is not None and len(one) > 1:
            rows = [numbers.index(seed) for seed in one]
            scores = np.asarray(list(one.values()), dtype=np.float64)
            loadings[rows, place] = _loadings(scores, groups)
            degrees[place] = len(one) - 1
    return SeedSpread(loadings=loadings, degrees=degrees)


def left_by_seeds(
    a: BySeed | None, b: BySeed | None, clusters: Sequence[str], confidence: float = 0.95
) -> float:
    """Half width of the interval of b - a that no number of further items would take away.

    It is Student's, of the difference over these training seeds; zero where neither route has
    several.

    Args:
        a: Scores by seed of the first route; None, or one seed, is a route that stays as it is.
        b: Of the second, on the same items.
        clusters: The cluster of each item.
        confidence: Coverage aimed at.
    """
    spread = seed_spread((a, b), group(clusters))
    degrees = spread.degrees[spread.degrees > 0]
    if not len(degrees):
        return 0.0
    apart = spread.loadings[:, 1] - spread.loadings[:, 0]
    return float(t_quantile(float(degrees.min()), confidence) * np.square(apart).sum() ** 0.5)


def _loadings(scores: Numbers, groups: Groups) -> Numbers:
    """Of one route, by seed; `scores` is (seeds, items)."""
    seeds = len(scores)
    apart = scores.mean(axis=1) - scores.mean()
    between = float(np.square(apart).sum()) / (seeds - 1)
    if between <= TINY:
        return np.zeros(seeds)
    chance = scores - scores.mean(axis=0) - apart[:, None]
    within = sum(robust_variance(row, groups) for row in chance) / (seeds - 1)
    kept = max(0.0, 1.0 - within / between)
    found: Numbers = apart * (kept / (seeds * (seeds - 1))) ** 0.5
    return found


def _scales(chance: np.random.Generator, draws: int, degrees: NDArray[np.float64]) -> Numbers:
    """Turns normal into t draws, routes of equal degrees together; shape (draws, routes)."""
    found = np.ones((draws, len(degrees)))
    for count in np.unique(degrees[degrees > 0]):
        scale = np.sqrt(count / chance.chisquare(count, draws))
        found[:, degrees == count] = scale[:, None]
    return found
