"""How large a difference this many items can show, and how many items a difference needs.

It does not know verdicts or arms. Every function is pure and needs no seed.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import lru_cache
from math import ceil, log2
from typing import Final

import numpy as np

from rag_adapt.stats.clusters import checked, design_effect, group, is_binary, single_variance
from rag_adapt.stats.mcnemar import mcnemar_detectable, mcnemar_power

POWER: Final = 0.8
ALPHA: Final = 0.05
MOST: Final = 1_000_000
"""Items beyond which a contrast counts as not decidable."""
_ROUNDING: Final = 1e-9


def detectable(
    a: Sequence[float],
    b: Sequence[float],
    clusters: Sequence[str],
    *,
    power: float = POWER,
    alpha: float = ALPHA,
) -> float:
    """The smallest true difference that a test of as many such items finds with this power.

    - 0/1 scores, one item per cluster: the exact McNemar test at the observed discordance.
    - All else: Student's test on clusters, whose power the sign-flip tests share. Right-or-wrong
      items keep their observed discordance and design effect (the cluster-robust variance over
      that of independent items, at least 1), other scores their observed spread.

    A difference needs items that differ: where those seen are too few to carry it, more of their
    average size are assumed.

    Args:
        a: Scores in [0, 1] of the first arm, one per item.
        b: Scores of the second arm on the same items.
        clusters: The cluster of each item.
        power: Chance of finding it.
        alpha: Two-sided level of the test.

    Returns:
        In score, at most 1; 1 also where so few clusters show no difference whatever it is
        (fewer than six at 5 %).

    Raises:
        ValueError: no items, unequal lengths, or a value outside [0, 1].
    """
    seen = _observe(a, b, clusters)
    if seen.clusters < _fewest(alpha):
        return 1.0
    if seen.exact:
        return mcnemar_detectable(seen.items, seen.discordance, power=power, alpha=alpha)
    shift = _noncentrality(seen.clusters - 1, power, alpha) ** 2
    rate = shift * seen.design / seen.items
    carried = seen.typical * rate / (1.0 + rate)
    square = rate * seen.discordance / (1.0 + rate) if seen.binary else shift * seen.variance
    return float(min(1.0, max(carried, square**0.5) + seen.step / seen.items))


def items_to_decide(
    a: Sequence[float],
    b: Sequence[float],
    clusters: Sequence[str],
    *,
    power: float = POWER,
    alpha: float = ALPHA,
) -> int | None:
    """How many items, all told, would show the observed difference with this power.

    The observed difference is taken for the true one, which flatters it where it was chosen for
    being large. New items are assumed to be like those seen, and clusters as large.

    Args:
        a: Scores in [0, 1] of the first arm, one per item.
        b: Scores of the second arm on the same items.
        clusters: The cluster of each item.
        power: Chance of deciding.
        alpha: Two-sided level; over the number of contrasts for the first of Holm's steps.

    Returns:
        None where the observed difference is zero or would take more than a million items.

    Raises:
        ValueError: no items, unequal lengths, or a value outside [0, 1].
    """
    seen = _observe(a, b, clusters)
    if abs(seen.difference) <= _ROUNDING:
        return None
    least, size = _fewest(alpha), seen.items / seen.clusters

    def enough(count: int) -> bool:
        if seen.exact:
            return mcnemar_power(count, seen.discordance, abs(seen.difference), alpha) >= power
        gap = abs(seen.difference) - seen.step / (count * size)
        shift = _noncentrality(count - 1, power, alpha)
        return gap > 0.0 and count * gap**2 >= seen.clusters * seen.variance * shift**2

    count = _smallest(enough, least, int(MOST / size))
    return None if count is None else ceil(count * size - _ROUNDING)


@dataclass(frozen=True, kw_only=True)
class _Seen:
    """What the items at hand tell of their differences b - a."""

    items: int
    clusters: int
    binary: bool
    exact: bool
    """Whether McNemar's test applies."""
    difference: float
    discordance: float
    """Share of items that differ."""
    typical: float
    """Size of a difference where there is one, large ones weighing more."""
    variance: float
    """Of the mean, cluster-robust; never below that of independent items."""
    design: float
    """How many times the variance of independent items that is."""

    @property
    def step(self) -> float:
        """Items by which an exact test of whole items falls short of Student's, on average.

        Sums of right-or-wrong items move in steps of two; the next one that rejects lies half a
        step beyond the quantile.
        """
        return 1.0 if self.binary else 0.0


def _observe(a: Sequence[float], b: Sequence[float], clusters: Sequence[str]) -> _Seen:
    first, second, groups = checked(a, clusters), checked(b, clusters), group(clusters)
    differences = second - first
    mean = float(differences.mean())
    design = design_effect(differences - mean, groups)
    sizes, binary = np.abs(differences), is_binary(first, second)
    total = float(sizes.sum())
    return _Seen(
        items=len(differences),
        clusters=groups.count,
        binary=binary,
        exact=binary and groups.single,
        difference=mean,
        discordance=float((sizes > _ROUNDING).mean()),
        typical=float(np.square(sizes).sum()) / total if total > _ROUNDING else 1.0,
        variance=design * single_variance(differences - mean),
        design=design,
    )


def _fewest(alpha: float) -> int:
    """Clusters below which no sign pattern is rare enough: 2 * 2^-G > alpha."""
    return ceil(1.0 - log2(alpha))


@lru_cache(maxsize=4096)
def _noncentrality(degrees: int, power: float, alpha: float) -> float:
    """True difference over its standard error at which Student's test has this power."""
    from scipy.optimize import brentq
    from scipy.stats import nct, t

    critical = float(t.isf(alpha / 2.0, degrees))
    return float(brentq(lambda shift: float(nct.sf(critical, degrees, shift)) - power, 0.0, 100.0))


def _smallest(enough: Callable[[int], bool], least: int, most: int) -> int | None:
    """The smallest count that is enough, if more of it always is; None beyond `most`."""
    low, high = least - 1, least
    while not enough(high):
        low, high = high, 2 * high
        if low >= most:
            return None
    while high - low > 1:
        middle = (low + high) // 2
        low, high = (low, middle) if enough(middle) else (middle, high)
    return high if high <= most else None
