"""Means and differences with their intervals, for items that may come in clusters.

It does not know what was measured; every function is pure and needs no seed.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace

from rag_adapt.core.types import Estimate
from rag_adapt.stats.bounds import (
    Bounds,
    clustered_share,
    normal_quantile,
    score_bounds,
    t_bounds,
    t_quantile,
)
from rag_adapt.stats.clusters import TINY, Groups, Numbers, checked, group, is_binary
from rag_adapt.stats.levels import Spread, spread_of_mean
from rag_adapt.stats.rare import rare_bounds


def wilson(successes: int, n: int, confidence: float = 0.95) -> Estimate:
    """Share of successes with Wilson's score interval (Wilson 1927).

    Raises:
        ValueError: `n` is not positive, or successes are not between 0 and n.
    """
    if n < 1 or not 0 <= successes <= n:
        raise ValueError(f"{successes!r} successes of {n!r} make no share")
    bounds = score_bounds(successes / n, n, normal_quantile(confidence))
    return Estimate(
        value=successes / n, low=bounds.low, high=bounds.high, n=n, clusters=n, method="wilson"
    )


def mean_estimate(
    values: Sequence[float],
    clusters: Sequence[str],
    confidence: float = 0.95,
    *,
    folds: Sequence[int] | None = None,
    seed_means: Sequence[float] | None = None,
) -> Estimate:
    """Mean of scores in [0, 1] with an interval that knows which items are not independent.

    - 0/1 values, one item per cluster: Wilson.
    - 0/1 values in clusters: Wilson on the effective sample size p(1-p)/V, where V is the
      cluster-robust variance of the mean, with Student's quantile at G-1 degrees of freedom
      (Korn and Graubard 1998; never more effective items than items).
    - Other values: the cluster-robust t interval, clipped to [0, 1].
    - Several folds or training seeds, any values: Wilson on p(1-p)/V, where V also counts those
      levels (`rag_adapt.stats.levels`); a t interval would fail near 0 and 1, where adapters end.
    - V = 0 (every cluster alike): as many effective items as clusters.
    - One cluster: nothing is known of the spread, [0, 1].

    Args:
        values: One score per item, a mean over training seeds where there are several.
        clusters: The cluster of each item.
        confidence: Coverage aimed at.
        folds: Under cross-fitting, the fold of each item.
        seed_means: The overall mean for each training seed.

    Raises:
        ValueError: no values, unequal lengths, or a value outside [0, 1].
    """
    scores = checked(values, clusters)
    mean, groups, binary = float(scores.mean()), group(clusters), is_binary(scores)
    spread = spread_of_mean(scores - mean, groups, folds=folds, seed_means=seed_means)
    if binary and groups.single and groups.count > 1 and not spread.levels:
        return wilson(int(scores.sum()), len(scores), confidence)
    found = _bounds(mean, spread, groups, binary, confidence)
    return Estimate(
        value=mean,
        low=found.bounds.low,
        high=found.bounds.high,
        n=len(scores),
        clusters=groups.count,
        method=found.method,
    )


def paired_difference(
    a: Sequence[float],
    b: Sequence[float],
    clusters: Sequence[str],
    confidence: float = 0.95,
    *,
    folds: Sequence[int] | None = None,
    seed_means: Sequence[float] | None = None,
    rare: bool = False,
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
        folds: Under cross-fitting, the fold of each item.
        seed_means: The mean of b - a for each training seed.
        rare: For 0/1 scores, make it no narrower than Bonett and Price's interval (`+rare`):
            where a handful of items differ, all one way, the t interval alone covers down to
            88 % and calls b non-inferior too easily.

    Raises:
        ValueError: no items, unequal lengths, or a value outside [0, 1].
    """
    first, second, groups = checked(a, clusters), checked(b, clusters), group(clusters)
    estimate = contrast_estimate(
        second - first,
        groups,
        reach=1.0,
        confidence=confidence,
        folds=folds,
        seed_means=seed_means,
    )
    if not (rare and is_binary(first, second)) or groups.count < 2:
        return estimate
    wide = rare_bounds(second - first, groups, confidence)
    return replace(
        estimate,
        low=min(estimate.low, wide.low),
        high=max(estimate.high, wide.high),
        method=estimate.method + "+rare",
    )


def contrast_estimate(
    values: Numbers,
    groups: Groups,
    *,
    reach: float,
    confidence: float = 0.95,
    folds: Sequence[int] | None = None,
    seed_means: Sequence[float] | None = None,
) -> Estimate:
    """Mean of per-item contrasts in [-reach, reach]; see `paired_difference`.

    Args:
        values: One contrast per item.
        groups: The cluster of each item.
        reach: The largest contrast that scores in [0, 1] allow.
        confidence: Coverage aimed at.
        folds: Under cross-fitting, the fold of each item.
        seed_means: The mean contrast for each training seed.
    """
    mean = float(values.mean())
    spread = spread_of_mean(values - mean, groups, folds=folds, seed_means=seed_means)
    if groups.count < 2 or spread.none:
        bounds, method = _alike(mean, groups.count, reach, confidence), "t-paired-degenerate"
    else:
        bounds, method = _t(mean, spread, reach, confidence), "t-paired"
        if spread.items <= TINY:
            bounds = bounds.around(_alike(mean, groups.count, reach, confidence))
    return Estimate(
        value=mean,
        low=bounds.low,
        high=bounds.high,
        n=len(values),
        clusters=groups.count,
        method=method + spread.levels,
    )


@dataclass(frozen=True, kw_only=True)
class _Found:
    bounds: Bounds
    method: str


def _t(mean: float, spread: Spread, reach: float, confidence: float) -> Bounds:
    return t_bounds(mean, spread.variance, spread.degrees, confidence, floor=-reach, ceiling=reach)


def _alike(mean: float, count: int, reach: float, confidence: float) -> Bounds:
    """Every cluster has the same contrast; those that might not may lie anywhere."""
    share = clustered_share(0.0, count, count, confidence).high
    return Bounds(low=mean - share * (mean + reach), high=mean + share * (reach - mean))


def _bounds(mean: float, spread: Spread, groups: Groups, binary: bool, confidence: float) -> _Found:
    name = "wilson-clustered" + spread.levels
    if groups.count < 2 or spread.none:
        return _Found(
            bounds=clustered_share(mean, groups.count, groups.count, confidence), method=name
        )
    if not binary and not spread.levels:
        bounds = t_bounds(mean, spread.variance, spread.degrees, confidence, floor=0.0, ceiling=1.0)
        return _Found(bounds=bounds, method="t-clustered")
    effective = mean * (1.0 - mean) / spread.variance
    if binary:
        effective = min(len(groups.of_item), effective)
    quantile = t_quantile(spread.degrees, confidence)
    return _Found(bounds=score_bounds(mean, effective, quantile), method=name)
