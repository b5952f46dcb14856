"""Tests of two arms on the same items: exact McNemar, or signs of whole clusters flipped.

It does not know intervals or verdicts. What is random here is seeded.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final, Literal

import numpy as np

from rag_adapt.stats.clusters import Numbers, checked, group, is_binary

TestName = Literal["mcnemar-exact", "cluster-sign-flip", "sign-flip"]
FLIPS: Final = 19_999
"""Random sign patterns where there are too many to list; with the observed one 20,000."""
FEW: Final = 14
"""Non-zero clusters whose 2^14 sign patterns are all listed."""
FINEST: Final = 60
"""Totals that are whole numbers of 1/d, d up to this, have an exactly known distribution."""
CELLS: Final = 4_000_000
"""Work allowed to that distribution: clusters times the sum of totals."""
_ROUNDING: Final = 1e-9


@dataclass(frozen=True, kw_only=True)
class PairedTest:
    """Whether b differs from a more than chance would have it."""

    name: TestName
    p: float
    """Two-sided."""
    fixed: int
    """Items where b scored higher."""
    broken: int
    """Items where b scored lower."""


def paired_test(
    a: Sequence[float], b: Sequence[float], clusters: Sequence[str], *, seed: int = 0
) -> PairedTest:
    """Test whether b - a is zero.

    - 0/1 scores, one item per cluster: exact McNemar (`mcnemar-exact`), a binomial test on the
      items where the arms differ (McNemar 1947); 1 where none differs.
    - Several items in a cluster: the total of b - a of each cluster keeps its size and takes
      either sign (`cluster-sign-flip`); the p value is the share of sign patterns whose sum is
      at least as far from zero as the one seen.
    - Other scores, one item per cluster: the same with items for clusters (`sign-flip`).

    That share is exact where the totals lie on a grid (right-or-wrong items do, up to a few
    thousand) or where at most 14 differ from zero; else it is estimated from 19,999 seeded
    patterns, the observed one counted among them (Phipson and Smyth 2010). It depends neither on
    the items' order nor on the direction of the comparison.

    Args:
        a: Scores in [0, 1] of the first arm, one per item: means over repeats.
        b: Scores of the second arm on the same items.
        clusters: The cluster of each item.
        seed: Of the random sign patterns.

    Raises:
        ValueError: no items, unequal lengths, or a value outside [0, 1].
    """
    first, second, groups = checked(a, clusters), checked(b, clusters), group(clusters)
    differences = second - first
    fixed = int((differences > _ROUNDING).sum())
    broken = int((differences < -_ROUNDING).sum())
    if not groups.single:
        name: TestName = "cluster-sign-flip"
        p = sign_flip_p(groups.totals(differences), seed=seed)
    elif is_binary(first, second):
        name, p = "mcnemar-exact", _mcnemar_p(fixed, broken)
    else:
        name, p = "sign-flip", sign_flip_p(differences, seed=seed)
    return PairedTest(name=name, p=p, fixed=fixed, broken=broken)


def sign_flip_p(totals: Numbers, *, seed: int = 0) -> float:
    """Two-sided p value of a sum whose terms may each take either sign.

    Args:
        totals: One per independent unit; shape (units,).
        seed: Of the random sign patterns, where those are needed.
    """
    sizes = np.sort(np.abs(totals[np.abs(totals) > _ROUNDING]))
    seen = abs(float(totals.sum()))
    if len(sizes) == 0 or seen <= _ROUNDING:
        return 1.0
    scale = _grid(sizes)
    if scale is not None:
        return _grid_p(np.rint(sizes * scale).astype(np.int64), round(seen * scale))
    if len(sizes) <= FEW:
        return _listed_p(sizes, seen)
    return _sampled_p(sizes, seen, seed)


def _mcnemar_p(fixed: int, broken: int) -> float:
    from statsmodels.stats.contingency_tables import mcnemar

    if fixed + broken == 0:
        return 1.0
    return min(1.0, float(mcnemar([[0, fixed], [broken, 0]], exact=True).pvalue))


def _grid(sizes: Numbers) -> int | None:
    """The smallest d for which all sizes are whole numbers of 1/d; None if there is none."""
    for scale in range(1, FINEST + 1):
        scaled = sizes * scale
        if len(sizes) * float(scaled.sum()) > CELLS:
            return None
        if bool((np.abs(scaled - np.rint(scaled)) < _ROUNDING * scale).all()):
            return scale
    return None


def _grid_p(steps: np.ndarray[tuple[int], np.dtype[np.int64]], seen: int) -> float:
    """Exact, by convolution: chances of each sum of the steps that turn negative."""
    reach = int(steps.sum())
    chances = np.zeros(reach + 1)
    chances[0] = 1.0
    for step in steps:
        chances *= 0.5
        chances[step:] += chances[:-step].copy()
    far = np.abs(reach - 2 * np.arange(reach + 1)) >= seen
    return min(1.0, float(chances[far].sum()))


def _listed_p(sizes: Numbers, seen: float) -> float:
    """Exact, from the list of all sums."""
    turned = np.zeros(1)
    for size in sizes:
        turned = np.concatenate([turned, turned + size])
    reach = float(sizes.sum())
    return float((np.abs(reach - 2.0 * turned) >= seen - _ROUNDING * reach).mean())


def _sampled_p(sizes: Numbers, seen: float, seed: int) -> float:
    """From random sign patterns, eight units at a time: one random byte picks a partial sum."""
    chance = np.random.default_rng(seed)
    bits = np.unpackbits(np.arange(256, dtype=np.uint8)[:, None], axis=1).astype(np.float64)
    padded = np.zeros(-(-len(sizes) // 8) * 8)
    padded[: len(sizes)] = sizes
    sums = np.zeros(FLIPS)
    for eight in padded.reshape(-1, 8):
        partial = (2.0 * bits - 1.0) @ eight
        sums += np.take(partial, chance.integers(0, 256, FLIPS, dtype=np.uint8))
    far = int((np.abs(sums) >= seen - _ROUNDING * float(sizes.sum())).sum())
    return (1 + far) / (1 + FLIPS)
