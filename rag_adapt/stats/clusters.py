"""Items that are not independent of one another, and what that does to the variance of a mean.

It does not know what was measured, nor what the groups are: clusters, folds or anything else.
"""

from collections.abc import Hashable, Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray

Numbers = NDArray[np.float64]
TINY: Final = 1e-12
"""Variances below this are zero but for rounding."""


@dataclass(frozen=True, kw_only=True)
class Groups:
    """Which group each item belongs to, as numbers from 0."""

    of_item: NDArray[np.intp]
    count: int

    @property
    def single(self) -> bool:
        """Whether every group holds one item."""
        return self.count == len(self.of_item)

    def totals(self, values: Numbers) -> Numbers:
        """The sum of the values of each group; shape (count,)."""
        return np.bincount(self.of_item, weights=values, minlength=self.count).astype(np.float64)

    def sizes(self) -> Numbers:
        """Items of each group; shape (count,)."""
        return np.bincount(self.of_item, minlength=self.count).astype(np.float64)


def group(labels: Sequence[Hashable]) -> Groups:
    """Number the groups in the order in which they first appear."""
    numbers: dict[Hashable, int] = {}
    of_item = [numbers.setdefault(label, len(numbers)) for label in labels]
    return Groups(of_item=np.asarray(of_item, dtype=np.intp), count=len(numbers))


def robust_variance(residuals: Numbers, groups: Groups) -> float:
    """Variance of a mean from group totals: G/(G-1) * sum of squared totals / n^2 (CR1).

    Zero for one group, whose spread cannot be seen.
    """
    if groups.count < 2:
        return 0.0
    spread = float(np.square(groups.totals(residuals)).sum()) / len(residuals) ** 2
    return spread * groups.count / (groups.count - 1)


def single_variance(residuals: Numbers) -> float:
    """Variance of a mean as if all items were independent; zero for one item."""
    n = len(residuals)
    return float(np.square(residuals).sum()) / (n * max(1, n - 1))


def design_effect(residuals: Numbers, groups: Groups) -> float:
    """How many times the variance of independent items the cluster-robust one is; at least 1.

    Where nothing varies it is the mean cluster size, as if clusters were copies of one item.
    """
    alone = single_variance(residuals)
    if alone <= TINY:
        return len(residuals) / groups.count
    return max(1.0, robust_variance(residuals, groups) / alone)


def checked(values: Sequence[float], clusters: Sequence[Hashable]) -> Numbers:
    """Scores as an array.

    Raises:
        ValueError: no values, unequal lengths, or a value outside [0, 1].
    """
    numbers = np.asarray(values, dtype=np.float64)
    if len(numbers) == 0:
        raise ValueError("there are no values to estimate from")
    if len(numbers) != len(clusters):
        raise ValueError(f"{len(numbers)} values, but {len(clusters)} clusters")
    if not bool(((numbers >= 0.0) & (numbers <= 1.0)).all()):
        raise ValueError("values must lie between 0 and 1")
    return numbers


def is_binary(*arrays: Numbers) -> bool:
    """Whether every value of every array is 0 or 1."""
    return all(bool(((array == 0.0) | (array == 1.0)).all()) for array in arrays)
