"""Vectorised twins of the intervals and of regret, for thousands of simulated runs at once.

They do not know the simulations; each is compared with its public function on a sample. Clusters
are neighbouring items, all of one size.
"""

from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray
from scipy.special import ndtri, stdtrit

from rag_adapt.stats.regret import PSEUDO

Numbers = NDArray[np.float64]
Numbered = NDArray[np.intp]
_TINY: Final = 1e-12


@dataclass(frozen=True, kw_only=True)
class Rows:
    """An interval for each run; shapes (runs,)."""

    low: Numbers
    high: Numbers

    def hold(self, truth: float) -> float:
        """Share of the intervals that hold the truth."""
        return float(((self.low <= truth) & (truth <= self.high)).mean())


@dataclass(frozen=True, kw_only=True)
class _Spreads:
    items: Numbers
    variance: Numbers
    degrees: Numbers
    clusters: int


def mean_rows(
    values: Numbers,
    size: int = 1,
    *,
    folds: Numbered | None = None,
    seed_means: Numbers | None = None,
) -> Rows:
    """Twin of `mean_estimate`; `values` is (runs, items), `seed_means` (runs, seeds)."""
    mean, n = values.mean(axis=1), values.shape[1]
    spread = _spreads(values - mean[:, None], size, folds, seed_means)
    levels = folds is not None or seed_means is not None
    binary = np.isin(values, (0.0, 1.0)).all(axis=1)
    none = spread.variance <= _TINY
    effective = mean * (1.0 - mean) / np.where(none, 1.0, spread.variance)
    effective = np.where(binary, np.minimum(n, effective), effective)
    effective = np.where(none, spread.clusters, effective)
    quantile = stdtrit(np.where(none, spread.clusters - 1, spread.degrees), 0.975)
    if size == 1 and not levels:
        effective, quantile = (
            np.where(binary, n, effective),
            np.where(binary, ndtri(0.975), quantile),
        )
    found = _score(mean, effective, quantile)
    half = quantile * np.sqrt(spread.variance)
    graded = ~binary & ~none if not levels else np.zeros_like(none)
    return Rows(
        low=np.where(graded, np.maximum(0.0, mean - half), found.low),
        high=np.where(graded, np.minimum(1.0, mean + half), found.high),
    )


def contrast_rows(
    values: Numbers,
    size: int = 1,
    *,
    reach: float = 1.0,
    folds: Numbered | None = None,
    seed_means: Numbers | None = None,
) -> Rows:
    """Twin of `paired_difference` and of each effect of `interaction`."""
    mean = values.mean(axis=1)
    spread = _spreads(values - mean[:, None], size, folds, seed_means)
    half = stdtrit(spread.degrees, 0.975) * np.sqrt(spread.variance)
    low, high = np.maximum(-reach, mean - half), np.minimum(reach, mean + half)
    count = np.full(len(mean), float(spread.clusters))
    share = _score(np.zeros_like(mean), count, stdtrit(spread.clusters - 1, 0.975)).high
    least, most = mean - share * (mean + reach), mean + share * (reach - mean)
    alike = spread.items <= _TINY
    return Rows(
        low=np.where(alike, np.minimum(least, np.where(half > 0.0, low, least)), low),
        high=np.where(alike, np.maximum(most, np.where(half > 0.0, high, most)), high),
    )


def rare_rows(values: Numbers) -> Rows:
    """Twin of `paired_difference(rare=True)` for single items with differences -1, 0 and 1."""
    plain, items = contrast_rows(values), values.shape[1]
    up = ((values > 0).sum(axis=1) + 1.0) / (items + 2.0)
    down = ((values < 0).sum(axis=1) + 1.0) / (items + 2.0)
    half = stdtrit(items - 1, 0.975) * np.sqrt((up + down - (up - down) ** 2) / (items + 2.0))
    return Rows(
        low=np.minimum(plain.low, np.maximum(-1.0, up - down - half)),
        high=np.maximum(plain.high, np.minimum(1.0, up - down + half)),
    )


def _spreads(
    residuals: Numbers, size: int, folds: Numbered | None, seed_means: Numbers | None
) -> _Spreads:
    clusters = residuals.shape[1] // size
    items = _robust(residuals.reshape(len(residuals), clusters, size).sum(axis=2), residuals)
    variance, degrees = items, np.full(len(items), clusters - 1.0)
    if folds is not None:
        parts = [residuals[:, folds == fold].sum(axis=1) for fold in np.unique(folds)]
        between = _robust(np.stack(parts, axis=1), residuals)
        degrees = np.where(between > items, len(parts) - 1.0, degrees)
        variance = np.maximum(between, items)
    if seed_means is not None:
        seeds = seed_means.shape[1]
        extra = seed_means.var(axis=1, ddof=1) / seeds
        total = variance + extra
        parts_of = variance / degrees + extra / (seeds - 1.0)
        some = total > _TINY
        degrees = np.where(some, total / np.where(some, parts_of, 1.0), degrees)
        variance = total
    return _Spreads(items=items, variance=variance, degrees=degrees, clusters=clusters)


def _robust(totals: Numbers, residuals: Numbers) -> Numbers:
    groups = totals.shape[1]
    found: Numbers = np.square(totals).sum(axis=1) / residuals.shape[1] ** 2 * groups / (groups - 1)
    return found


def _score(share: Numbers, n: Numbers, quantile: Numbers | float) -> Rows:
    square = np.square(quantile)
    centre = share + square / (2.0 * n)
    half = np.sqrt(square * (share * (1.0 - share) / n + square / (4.0 * n**2)))
    scale = 1.0 + square / n
    return Rows(
        low=np.maximum(0.0, np.minimum((centre - half) / scale, share)),
        high=np.minimum(1.0, np.maximum((centre + half) / scale, share)),
    )


@dataclass(frozen=True, kw_only=True)
class Regrets:
    """Regret of every arm in every run; shapes (runs, arms)."""

    expected: Numbers
    at_most: Numbers


def regret_rows(
    scores: Numbers, size: int, draws: int, *, by_seed: Numbers | None = None
) -> Regrets:
    """Twin of `regrets` with the run's number for seed; `scores` is (runs, arms, items).

    `by_seed` is (runs, adapted, seeds, items) and is about the last `adapted` arms.
    """
    runs, arms, items = scores.shape
    totals = scores.reshape(runs, arms, items // size, size).sum(axis=3).transpose(0, 2, 1)
    means = np.stack([_draw(run, totals[run], size, draws) for run in range(runs)])
    plain, heavy = means, means
    if by_seed is not None:
        adapted, seeds = by_seed.shape[1], by_seed.shape[2]
        plain, heavy = means.copy(), means.copy()
        loadings = _loadings(by_seed, size)
        for run in range(runs):
            chance = np.random.default_rng((run, 1))
            noise = chance.standard_normal((draws, seeds)) @ loadings[run].T
            scale = np.sqrt((seeds - 1) / chance.chisquare(seeds - 1, draws))
            plain[run, :, arms - adapted :] += noise
            heavy[run, :, arms - adapted :] += noise * scale[:, None]
    return Regrets(
        expected=_shortfalls(plain).mean(axis=1),
        at_most=np.quantile(_shortfalls(heavy), 0.95, axis=1),
    )


def _shortfalls(means: Numbers) -> Numbers:
    kept = means.clip(0.0, 1.0)
    found: Numbers = kept.max(axis=2, keepdims=True) - kept
    return found


def _loadings(by_seed: Numbers, size: int) -> Numbers:
    """Shape (runs, adapted, seeds)."""
    runs, adapted, seeds, items = by_seed.shape
    apart = by_seed.mean(axis=3) - by_seed.mean(axis=(2, 3))[:, :, None]
    between = np.square(apart).sum(axis=2) / (seeds - 1)
    chance = by_seed - by_seed.mean(axis=2, keepdims=True) - apart[..., None]
    groups = items // size
    totals = chance.reshape(runs, adapted, seeds, groups, size).sum(axis=4)
    within = np.square(totals).sum(axis=(2, 3)) / items**2 * groups / (groups - 1) / (seeds - 1)
    some = between > _TINY
    kept = np.where(some, np.maximum(0.0, 1.0 - within / np.where(some, between, 1.0)), 0.0)
    found: Numbers = apart * np.sqrt(kept / (seeds * (seeds - 1)))[..., None]
    return found


def _draw(seed: int, totals: Numbers, size: int, draws: int) -> Numbers:
    """Means, shape (draws, arms); `draws` fits into one of the public function's blocks."""
    chance, (groups, arms) = np.random.default_rng(seed), totals.shape
    weights = chance.standard_exponential((draws, groups))
    beside = size * chance.standard_exponential((draws, PSEUDO, 1))
    tosses = chance.integers(0, 2, (draws, PSEUDO, arms))
    sums = weights @ totals + (beside * tosses).sum(axis=1)
    found: Numbers = sums / (size * weights.sum(axis=1) + beside.sum(axis=(1, 2)))[:, None]
    return found
