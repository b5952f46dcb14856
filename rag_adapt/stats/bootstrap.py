"""Percentile intervals by resampling, where one wants to see what few clusters can show.

It does not know what was measured. The same values and seed give the same interval.
"""

from collections.abc import Hashable, Sequence
from typing import Final

import numpy as np

from rag_adapt.core.types import Estimate
from rag_adapt.stats.clusters import Groups, Numbers, group

ROUNDS: Final = 10_000
_CHUNK: Final = 500
"""Rounds drawn at once, which bounds memory."""


def bootstrap_mean(
    values: Sequence[float],
    clusters: Sequence[Hashable],
    confidence: float = 0.95,
    *,
    seed: int = 0,
    rounds: int = ROUNDS,
) -> Estimate:
    """The mean of any numbers, also of paired differences, with a percentile interval.

    Whole clusters are drawn with replacement, then items within each drawn cluster, so that a
    handful of clusters does not hide the spread of items (method `bootstrap-clustered`; with one
    item per cluster plain `bootstrap`). One cluster shows nothing of the spread between clusters:
    there only items are drawn, and `clusters` of the estimate says so. Intervals from fewer than
    some twenty clusters are too narrow (Cameron, Gelbach and Miller 2008): look at a
    cluster-robust t interval, too.

    Args:
        values: One number per item.
        clusters: The cluster of each item.
        confidence: Coverage aimed at.
        seed: Of the draws.
        rounds: How many.

    Raises:
        ValueError: no values, or unequal lengths.
    """
    numbers = np.asarray(values, dtype=np.float64)
    if len(numbers) == 0:
        raise ValueError("there are no values to estimate from")
    if len(numbers) != len(clusters):
        raise ValueError(f"{len(numbers)} values, but {len(clusters)} clusters")
    groups = group(clusters)
    draw = np.random.default_rng(seed)
    if groups.single or groups.count == 1:
        means = _items(numbers, draw, rounds)
    else:
        means = _clusters(numbers, groups, draw, rounds)
    tail = (1.0 - confidence) / 2.0
    low, high = np.quantile(means, [tail, 1.0 - tail])
    mean = float(numbers.mean())
    return Estimate(
        value=mean,
        low=min(mean, float(low)),
        high=max(mean, float(high)),
        n=len(numbers),
        clusters=groups.count,
        method="bootstrap" if groups.single else "bootstrap-clustered",
    )


def _items(values: Numbers, draw: np.random.Generator, rounds: int) -> Numbers:
    """Means of resampled items; shape (rounds,)."""
    parts = [
        values[draw.integers(0, len(values), (min(_CHUNK, rounds - done), len(values)))].mean(
            axis=1
        )
        for done in range(0, rounds, _CHUNK)
    ]
    return np.concatenate(parts)


def _clusters(values: Numbers, groups: Groups, draw: np.random.Generator, rounds: int) -> Numbers:
    """Means over clusters drawn with replacement and items drawn within them; shape (rounds,)."""
    members = [values[groups.of_item == number] for number in range(groups.count)]
    sizes = groups.sizes()
    times = draw.multinomial(groups.count, np.full(groups.count, 1.0 / groups.count), rounds)
    totals = np.zeros(rounds)
    for number, own in enumerate(members):
        for copy in range(int(times[:, number].max())):
            drawn = np.flatnonzero(times[:, number] > copy)
            totals[drawn] += _items(own, draw, len(drawn)) * len(own)
    return totals / (times @ sizes)
