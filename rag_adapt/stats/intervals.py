"""Means and paired differences with their intervals, for items that may come in clusters.

It does not know what was measured; every function is pure and needs no seed.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray

from rag_adapt.core.types import Estimate

Numbers = NDArray[np.float64]
_TINY: Final = 1e-12
"""Variances below this are zero but for rounding."""


def wilson(successes: int, n: int, confidence: float = 0.95) -> Estimate:
    """Share of successes with Wilson's score interval (Wilson 1927).

    Raises:
        ValueError: `n` is not positive, or successes are not between 0 and n.
    """
    from scipy.special import ndtri

    if n < 1 or not 0 <= successes <= n:
        raise ValueError(f"{successes!r} successes of {n!r} make no share")
    low, high = _score_interval(successes / n, n, float(ndtri(0.5 + confidence / 2.0)))
    return Estimate(
        value=successes / n,
        low=low,
        high=high,
        n=n,
        clusters=n,
        method="wilson",
    )


def mean_estimate(
    values: Sequence[float], clusters: Sequence[str], confidence: float = 0.95
) -> Estimate:
    """Mean of scores in [0, 1] with an interval that knows which items are not independent.

    - 0/1 values, one item per cluster: Wilson.
    - 0/1 values in clusters: Wilson on the effective sample size p(1-p)/V, where V is the
      cluster-robust variance of the mean, with Student's quantile at G-1 degrees of freedom
      (Korn and Graubard 1998; never more effective items than items).
    - Other values: the cluster-robust t interval, clipped to [0, 1].
    - V = 0 (every cluster alike): as many effective items as clusters.
    - One cluster: nothing is known of the spread, [0, 1].

    Args:
        values: One score per item.
        clusters: The cluster of each item.
        confidence: Coverage aimed at.

    Raises:
        ValueError: no values, unequal lengths, or a value outside [0, 1].
    """
    scores = _checked(values, clusters)
    mean, groups = float(scores.mean()), _groups(clusters)
    binary = bool(np.isin(scores, (0.0, 1.0)).all())
    if binary and groups.count == len(scores) > 1:
        return wilson(int(scores.sum()), len(scores), confidence)
    variance = _robust_variance(scores - mean, groups)
    low, high, method = _bounds(mean, variance, len(scores), groups.count, binary, confidence)
    return Estimate(
        value=mean, low=low, high=high, n=len(scores), clusters=groups.count, method=method
    )


def paired_difference(
    a: Sequence[float], b: Sequence[float], clusters: Sequence[str], confidence: float = 0.95
) -> Estimate:
    """Mean of b - a over the same items, with a cluster-robust t interval in [-1, 1].

    Where every item has the same difference d the t interval would have no width. Then the
    share of clusters that might differ is bounded by Wilson for 0 of G, and those clusters may
    lie anywhere: `t-paired-degenerate`.

    Args:
        a: Scores in [0, 1] of the first arm, one per item.
        b: Scores of the second arm on the same items.
        clusters: The cluster of each item.
        confidence: Coverage aimed at.

    Raises:
        ValueError: no items, unequal lengths, or a value outside [0, 1].
    """
    differences = _checked(b, clusters) - _checked(a, clusters)
    mean, groups = float(differences.mean()), _groups(clusters)
    variance = _robust_variance(differences - mean, groups)
    if variance > _TINY:
        half = _t_quantile(groups.count - 1, confidence) * variance**0.5
        low, high, method = max(-1.0, mean - half), min(1.0, mean + half), "t-paired"
    else:
        share = _clustered_interval(0.0, groups.count, groups.count, confidence)[1]
        low, high = mean - share * (mean + 1.0), mean + share * (1.0 - mean)
        method = "t-paired-degenerate"
    return Estimate(
        value=mean, low=low, high=high, n=len(differences), clusters=groups.count, method=method
    )


@dataclass(frozen=True, kw_only=True)
class _Groups:
    """Which cluster each item belongs to, as numbers from 0."""

    of_item: NDArray[np.intp]
    count: int


def _groups(clusters: Sequence[str]) -> _Groups:
    numbers: dict[str, int] = {}
    of_item = [numbers.setdefault(cluster, len(numbers)) for cluster in clusters]
    return _Groups(of_item=np.asarray(of_item, dtype=np.intp), count=len(numbers))


def _robust_variance(residuals: Numbers, groups: _Groups) -> float:
    """Variance of a mean from cluster totals: G/(G-1) * sum of squared totals / n^2 (CR1)."""
    if groups.count < 2:
        return 0.0
    totals = np.bincount(groups.of_item, weights=residuals)
    spread = float(np.square(totals).sum()) / len(residuals) ** 2
    return spread * groups.count / (groups.count - 1)


def _bounds(
    mean: float, variance: float, n: int, count: int, binary: bool, confidence: float
) -> tuple[float, float, str]:
    if count < 2:
        return 0.0, 1.0, "wilson-clustered"
    if variance <= _TINY:
        return *_clustered_interval(mean, count, count, confidence), "wilson-clustered"
    if binary:
        effective = min(n, mean * (1.0 - mean) / variance)
        return *_clustered_interval(mean, effective, count, confidence), "wilson-clustered"
    half = _t_quantile(count - 1, confidence) * variance**0.5
    return max(0.0, mean - half), min(1.0, mean + half), "t-clustered"


def _clustered_interval(
    share: float, effective: float, count: int, confidence: float
) -> tuple[float, float]:
    if count < 2:
        return 0.0, 1.0
    return _score_interval(share, effective, _t_quantile(count - 1, confidence))


def _score_interval(share: float, n: float, quantile: float) -> tuple[float, float]:
    """Wilson's interval; with Student's quantile for the normal's where `n` is an estimate."""
    square = quantile**2
    centre = share + square / (2.0 * n)
    half = (square * (share * (1.0 - share) / n + square / (4.0 * n**2))) ** 0.5
    scale = 1.0 + square / n
    low, high = (centre - half) / scale, (centre + half) / scale
    return max(0.0, min(low, share)), min(1.0, max(high, share))


def _t_quantile(degrees: int, confidence: float) -> float:
    from scipy.special import stdtrit

    return float(stdtrit(degrees, 0.5 + confidence / 2.0))


def _checked(values: Sequence[float], clusters: Sequence[str]) -> Numbers:
    numbers = np.asarray(values, dtype=np.float64)
    if len(numbers) == 0:
        raise ValueError("there are no values to estimate from")
    if len(numbers) != len(clusters):
        raise ValueError(f"{len(numbers)} values, but {len(clusters)} clusters")
    if not bool(((numbers >= 0.0) & (numbers <= 1.0)).all()):
        raise ValueError("values must lie between 0 and 1")
    return numbers
