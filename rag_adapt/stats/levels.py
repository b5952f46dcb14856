"""Variance of a mean over items, folds and training seeds, with its degrees of freedom.

It does not know what was measured, nor which interval is built on the variance.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from rag_adapt.stats.clusters import TINY, Groups, Numbers, group, robust_variance


@dataclass(frozen=True, kw_only=True)
class Spread:
    """How far a mean may be off, and how well that itself is known."""

    items: float
    """Cluster-robust variance of the mean over items."""
    variance: float
    """With folds and training seeds added."""
    degrees: float
    """Of freedom, for Student's quantile; zero where there is one cluster."""
    levels: str
    """What was counted beside the items: ``, `+folds`, `+seeds` or `+folds+seeds`."""

    @property
    def none(self) -> bool:
        """Whether nothing varies at any level."""
        return self.variance <= TINY


def spread_of_mean(
    residuals: Numbers,
    clusters: Groups,
    *,
    folds: Sequence[int] | None = None,
    seed_means: Sequence[float] | None = None,
) -> Spread:
    """Variance components of a mean, added up.

    - Items: cluster-robust (CR1), G - 1 degrees of freedom.
    - Folds, under cross-fitting: items of one fold share an adapter, so where the variance with
      folds for clusters is the larger, it takes the place of the items' (that is, the items'
      variance plus max(0, the difference)), with F - 1 degrees.
    - Training seeds: the variance between seed means over the number of seeds, S - 1 degrees.
      It also holds the items' noise of each seed once more: the sum errs on the wide side.

    The degrees of a sum are its parts' degrees in a harmonic mean weighted by their shares:
    1/df = sum(share / df). Satterthwaite's formula squares the shares; with three seeds, whose
    own share is so badly known, squares gave 92 % coverage (docs/statistics.md). Shares never
    give more degrees than squares do. One fold or one seed adds nothing.

    Args:
        residuals: Values minus their mean, one per item.
        clusters: Of the items.
        folds: The fold of each item.
        seed_means: The overall mean for each training seed.

    Raises:
        ValueError: folds and items differ in number, or a seed's mean is not finite.
    """
    items = robust_variance(residuals, clusters)
    base, degrees, levels = items, float(clusters.count - 1), ""
    parts = _fold_groups(folds, len(residuals))
    if parts is not None:
        between, levels = robust_variance(residuals, parts), "+folds"
        if between > items:
            base, degrees = between, float(parts.count - 1)
    seeds = _seed_variance(seed_means)
    if seeds is None:
        return Spread(items=items, variance=base, degrees=degrees, levels=levels)
    total = base + seeds.of_mean
    if degrees > 0.0 and total > TINY:
        degrees = total / (base / degrees + seeds.of_mean / seeds.degrees)
    return Spread(items=items, variance=total, degrees=degrees, levels=f"{levels}+seeds")


@dataclass(frozen=True, kw_only=True)
class _Seeds:
    of_mean: float
    degrees: float


def _fold_groups(folds: Sequence[int] | None, items: int) -> Groups | None:
    if folds is None:
        return None
    if len(folds) != items:
        raise ValueError(f"{items} values, but {len(folds)} folds")
    parts = group(folds)
    return parts if parts.count > 1 else None


def _seed_variance(seed_means: Sequence[float] | None) -> _Seeds | None:
    if seed_means is None or len(seed_means) < 2:
        return None
    means = np.asarray(seed_means, dtype=np.float64)
    if not bool(np.isfinite(means).all()):
        raise ValueError("a training seed's mean is not finite")
    return _Seeds(of_mean=float(means.var(ddof=1)) / len(means), degrees=float(len(means) - 1))
