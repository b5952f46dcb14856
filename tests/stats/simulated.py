"""Simulated experiments with a known truth, and the form in which their outcome is judged.

It does not know the statistics; `python -m tests.stats.simulations` prints every case.
"""

from collections.abc import Callable
from dataclasses import dataclass
from functools import cache
from typing import Final

import numpy as np
from numpy.typing import NDArray

Numbers = NDArray[np.float64]
RUNS: Final = 5000
"""Simulated experiments of each case; a rate of 5 % is then known to 0.3 points."""


@dataclass(frozen=True, kw_only=True)
class Case:
    """One claim, and the figure that shows it."""

    name: str
    measure: Callable[[], float]
    low: float
    """Smallest figure that bears the claim out."""
    high: float


def labels(clusters: int, size: int = 1) -> list[str]:
    """The cluster of each of `clusters * size` items."""
    return [str(number // size) for number in range(clusters * size)]


def logistic(values: Numbers) -> Numbers:
    """From log odds to chances."""
    return 1.0 / (1.0 + np.exp(-values))


def right(chance: np.random.Generator, chances: Numbers) -> Numbers:
    """1 with the given chances, else 0."""
    return (chance.random(chances.shape) < chances).astype(np.float64)


def differences(
    chance: np.random.Generator, shape: tuple[int, ...], fixed: Numbers | float, discordance: float
) -> Numbers:
    """1 with chance `fixed`, -1 with the rest of the discordance, else 0."""
    drawn = chance.random(shape)
    return (drawn < fixed).astype(np.float64) - ((drawn >= fixed) & (drawn < discordance))


@cache
def quadrature() -> tuple[Numbers, Numbers]:
    """Nodes and weights of a standard normal expectation."""
    nodes, weights = np.polynomial.hermite_e.hermegauss(80)
    return nodes, weights


@dataclass(frozen=True, kw_only=True)
class World:
    """Where right-or-wrong answers come from; spreads are standard deviations of log odds."""

    items: int
    """Of each experiment."""
    size: int = 1
    """Items of a cluster."""
    level: float = 0.0
    """Log odds of an average item."""
    difficulty: float = 1.0
    """Spread of items, the same for all arms and seeds."""
    clusters: float = 0.0
    """Spread of clusters."""
    folds: int = 1
    fold: float = 0.0
    """Spread of the adapters of different folds."""
    seeds: int = 1
    seed: float = 0.0
    """Spread of training seeds."""

    def scores(self, chance: np.random.Generator, runs: int, shift: float = 0.0) -> Numbers:
        """Answers; shape (runs, seeds, items). Item i is in fold i // size % folds."""
        groups = self.items // self.size
        odds = self.level + shift + self.difficulty * chance.standard_normal((runs, 1, self.items))
        own = self.clusters * chance.standard_normal((runs, 1, groups))
        odds = odds + np.repeat(own, self.size, axis=2)
        odds = odds + self.seed * chance.standard_normal((runs, self.seeds, 1))
        adapters = self.fold * chance.standard_normal((runs, self.seeds, self.folds))
        return right(chance, logistic(odds + adapters[:, :, self.fold_numbers()]))

    def fold_numbers(self) -> NDArray[np.intp]:
        """The fold of each item."""
        return np.arange(self.items) // self.size % self.folds

    def truth(self, shift: float = 0.0) -> float:
        """The expected score over items, clusters, folds and seeds (by quadrature)."""
        nodes, weights = quadrature()
        spread = np.sqrt(self.difficulty**2 + self.clusters**2 + self.fold**2 + self.seed**2)
        expected = logistic(self.level + shift + spread * nodes) @ weights / weights.sum()
        return float(expected)
