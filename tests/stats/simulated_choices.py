"""Whether regret means what it says, and whether cross-fitting is fair.

They do not know how regret is sampled: a twin of the public function says it.
"""

from functools import lru_cache, partial
from typing import Final, Literal

import numpy as np

from tests.stats.simulated import RUNS, Case, World, logistic, right
from tests.stats.twins_of_intervals import regret_rows

DRAWS: Final = 100
"""Of each regret here; enough, as the figures are averages over runs."""
Reading = Literal["expected over realised", "beyond the bound"]


@lru_cache(maxsize=8)
def chosen(items: int, size: int, spread: float) -> tuple[float, float, float]:
    """Four arms whose log odds have this spread; the best-looking is chosen each time.

    Returns:
        Mean expected regret, mean realised regret, share of runs beyond the 95 % bound.
    """
    chance = np.random.default_rng(items)
    levels = chance.normal(0.5, 1.0, (RUNS, 1)) + chance.normal(0.0, spread, (RUNS, 4))
    own = 1.0 if size > 1 else 0.0
    table = World(items=1, difficulty=1.0, clusters=own)
    grid = np.linspace(-6.0, 7.0, 131)
    truths = np.interp(levels, grid, [table.truth(float(level)) for level in grid])
    shared = chance.standard_normal((RUNS, 1, items // size, size))
    leaning = own * chance.standard_normal((RUNS, 4, items // size, 1))
    scores = right(chance, logistic(levels[:, :, None, None] + shared + leaning))
    arms = scores.reshape(RUNS, 4, items)
    found, runs = regret_rows(arms, size, DRAWS), np.arange(RUNS)
    best = arms.mean(axis=2).argmax(axis=1)
    realised = truths.max(axis=1) - truths[runs, best]
    beyond = realised > found.at_most[runs, best]
    return float(found.expected[runs, best].mean()), float(realised.mean()), float(beyond.mean())


def regret(items: int, size: int, spread: float, reading: Reading) -> float:
    expected, realised, beyond = chosen(items, size, spread)
    return beyond if reading == "beyond the bound" else expected / realised


def cross_fitted() -> float:
    """Bias of a cross-fitted mean: each fold's choice among five prompts, blind to its items."""
    chance = np.random.default_rng(3)
    return _chosen_mean(chance, blind=True)


def chosen_on_the_test() -> float:
    """The same choice made on all items, its test items among them."""
    return _chosen_mean(np.random.default_rng(3), blind=False)


def _chosen_mean(chance: np.random.Generator, *, blind: bool) -> float:
    world = World(items=100, folds=5, fold=0.4, level=0.3)
    prompts = np.stack([world.scores(chance, RUNS)[:, 0] for _ in range(5)], axis=1)
    means = []
    for fold in range(world.folds):
        inside = world.fold_numbers() == fold
        judged = prompts[:, :, ~inside] if blind else prompts
        best = judged.mean(axis=2).argmax(axis=1)
        means.append(prompts[np.arange(RUNS), best][:, inside].mean(axis=1))
    return float(np.mean(means) - world.truth())


def _readings(most: float) -> tuple[tuple[Reading, float, float], ...]:
    return ("expected over realised", 0.85, most), ("beyond the bound", 0.0, 0.055)


CASES: Final = (
    *(
        Case(
            name=f"regret of the chosen arm, {items // size} clusters of {size}, spread {spread}: "
            f"{reading}",
            measure=partial(regret, items, size, spread, reading),
            low=low,
            high=high,
        )
        for items, size, spread, most in (
            (24, 1, 0.6, 1.5),
            (60, 1, 0.3, 1.25),
            (120, 4, 0.6, 1.6),
        )
        for reading, low, high in _readings(most)
    ),
    Case(name="cross-fitted mean: bias", measure=cross_fitted, low=-0.0025, high=0.0025),
    Case(
        name="not used: a prompt chosen on its own test items: bias",
        measure=chosen_on_the_test,
        low=0.01,
        high=0.2,
    ),
)
