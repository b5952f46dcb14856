"""How often intervals of 95 % hold the truth, in settings like those of a run.

They do not know how an interval is made: twins of the public functions make them all.
"""

from collections.abc import Callable
from functools import partial
from typing import Final

import numpy as np

from rag_adapt.stats.decision import MARGIN
from tests.stats.simulated import RUNS, Case, Numbers, World, differences
from tests.stats.twins_of_intervals import Rows, contrast_rows, mean_rows, rare_rows

Interval = Callable[[Numbers], Rows]
KEPT: Final = (0.93, 0.97)
WIDE: Final = (0.97, 1.0)
"""Conservative, and said to be so in docs/statistics.md."""


def of_mean(world: World) -> float:
    """Coverage of `mean_estimate`, with the levels that the world has."""
    scores = world.scores(np.random.default_rng(world.items), RUNS)
    found = mean_rows(
        scores.mean(axis=1),
        world.size,
        folds=world.fold_numbers() if world.folds > 1 else None,
        seed_means=scores.mean(axis=2) if world.seeds > 1 else None,
    )
    return found.hold(world.truth())


def of_pair(world: World, shift: float) -> float:
    """Coverage of `paired_difference`: an untrained arm against one with the world's levels."""
    chance = np.random.default_rng(world.items)
    plain = World(items=world.items, size=world.size, level=world.level, clusters=world.clusters)
    untrained = plain.scores(chance, RUNS)[:, 0]
    trained = world.scores(chance, RUNS, shift)
    found = contrast_rows(
        trained.mean(axis=1) - untrained,
        world.size,
        folds=world.fold_numbers() if world.folds > 1 else None,
        seed_means=trained.mean(axis=2) - untrained.mean(axis=1, keepdims=True)
        if world.seeds > 1
        else None,
    )
    return found.hold(world.truth(shift) - plain.truth())


def of_shares(items: int, fixed: float, broken: float, interval: Interval) -> float:
    """Coverage for items of which these shares are truly fixed and broken."""
    found = differences(np.random.default_rng(items), (RUNS, items), fixed, fixed + broken)
    return interval(found).hold(fixed - broken)


def falsely_non_inferior(items: int, fixed: float, broken: float, interval: Interval) -> float:
    """Share of runs where the lower bound lies above the margin, though the truth does not."""
    found = differences(np.random.default_rng(items), (RUNS, items), fixed, fixed + broken)
    return float((interval(found).low > -MARGIN).mean())


def graded(items: int) -> float:
    scores = np.random.default_rng(items).beta(1.5, 1.0, (RUNS, items))
    return mean_rows(scores).hold(0.6)


def two_repeats() -> float:
    """Coverage for 24 easy items, each a mean of two repeats whose noise is the sampling's."""
    world = World(items=24, level=3.0, seeds=2)
    scores = world.scores(np.random.default_rng(2), RUNS)
    return mean_rows(scores.mean(axis=1)).hold(world.truth())


def effect(weights: tuple[float, float, float, float], reach: float) -> float:
    """Coverage of an effect of four cells, of which the two trained ones have three seeds."""
    world, plain = World(items=120, seeds=3, seed=0.2), World(items=120)
    chance, shifts = np.random.default_rng(8), (0.0, 0.8, 0.5, 1.6)
    worlds = (plain, plain, world, world)
    cells = [place.scores(chance, RUNS, shift) for place, shift in zip(worlds, shifts, strict=True)]
    truths = [place.truth(shift) for place, shift in zip(worlds, shifts, strict=True)]
    values = sum(weight * cell.mean(axis=1) for weight, cell in zip(weights, cells, strict=True))
    seeds = sum(weight * cell.mean(axis=2) for weight, cell in zip(weights, cells, strict=True))
    found = contrast_rows(np.asarray(values), reach=reach, seed_means=np.asarray(seeds))
    return found.hold(float(np.dot(weights, truths)))


def _mean(name: str, world: World, bounds: tuple[float, float] = KEPT) -> Case:
    return Case(
        name=f"interval of a mean, {name}",
        measure=partial(of_mean, world),
        low=bounds[0],
        high=bounds[1],
    )


def _pair(name: str, world: World, shift: float, bounds: tuple[float, float] = KEPT) -> Case:
    return Case(
        name=f"interval of a difference, {name}",
        measure=partial(of_pair, world, shift),
        low=bounds[0],
        high=bounds[1],
    )


def _shares(
    items: int, fixed: float, broken: float, bounds: tuple[float, float], *, rare: bool = False
) -> Case:
    return Case(
        name=f"interval of a difference, {items} items, {fixed:.3f} fixed and {broken:.3f} broken"
        + (", rare" if rare else ""),
        measure=partial(of_shares, items, fixed, broken, rare_rows if rare else contrast_rows),
        low=bounds[0],
        high=bounds[1],
    )


def _non_inferior(
    items: int, fixed: float, broken: float, bounds: tuple[float, float], *, rare: bool = False
) -> Case:
    return Case(
        name=f"falsely non-inferior, {items} items, {fixed:.3f} fixed and {broken:.3f} broken"
        + (", rare" if rare else ""),
        measure=partial(
            falsely_non_inferior, items, fixed, broken, rare_rows if rare else contrast_rows
        ),
        low=bounds[0],
        high=bounds[1],
    )


CASES: Final = (
    _mean("24 single items", World(items=24, level=0.5)),
    _mean("100 single items", World(items=100, level=0.5)),
    _mean("100 single items near 1", World(items=100, level=3.0)),
    _mean("50 clusters of 4", World(items=200, size=4, level=0.5, clusters=1.0)),
    _mean("60 clusters of 2 near 1", World(items=120, size=2, level=2.5, clusters=1.0)),
    Case(
        name="interval of a mean, 60 graded items",
        measure=partial(graded, 60),
        low=KEPT[0],
        high=KEPT[1],
    ),
    Case(
        name="known to be short: interval of a mean, 24 items near 1, means of 2 repeats",
        measure=two_repeats,
        low=0.85,
        high=0.90,
    ),
    _mean("300 items, 5 folds", World(items=300, level=0.5, folds=5, fold=0.3)),
    _mean("300 items, 5 folds that differ much", World(items=300, folds=5, fold=0.6)),
    _mean("300 items, 5 folds that do not differ", World(items=300, folds=5), (0.95, 0.985)),
    _mean("120 items, 3 seeds", World(items=120, level=0.5, seeds=3, seed=0.5)),
    _mean(
        "300 items, 2 seeds that differ much (too few seeds)",
        World(items=300, seeds=2, seed=0.8),
        (0.89, 0.93),
    ),
    _mean("300 items, 3 seeds that differ much", World(items=300, seeds=3, seed=0.8)),
    _mean("24 items near 1, 3 seeds", World(items=24, level=3.0, seeds=3, seed=0.5), WIDE),
    _mean("120 items, 3 seeds that do not differ", World(items=120, seeds=3), WIDE),
    _mean("300 items, 5 folds, 3 seeds", World(items=300, folds=5, fold=0.3, seeds=3, seed=0.6)),
    _pair("100 single items", World(items=100), 0.8),
    _pair("50 clusters of 4", World(items=200, size=4, clusters=1.0), 0.8),
    _pair("300 items, 5 folds", World(items=300, folds=5, fold=0.4), 0.8),
    _pair("300 items, 3 seeds", World(items=300, seeds=3, seed=0.5), 0.8),
    _pair(
        "300 items, 5 folds, 3 seeds",
        World(items=300, folds=5, fold=0.3, seeds=3, seed=0.6),
        1.0,
        (0.95, 0.985),
    ),
    *(
        Case(
            name=f"interval of an effect, 120 items, 3 seeds: {part}",
            measure=partial(effect, weights, reach),
            low=0.95,
            high=0.985,
        )
        for part, weights, reach in (
            ("retrieval", (-0.5, 0.5, -0.5, 0.5), 1.0),
            ("adapter", (-0.5, -0.5, 0.5, 0.5), 1.0),
            ("interaction", (1.0, -1.0, -1.0, 1.0), 2.0),
        )
    ),
    _shares(60, 0.2, 0.1, KEPT),
    _shares(100, 0.05, 0.10, KEPT),
    _shares(100, 0.02, 0.07, KEPT),
    _shares(100, 0.0, 0.05, (0.86, 0.90)),
    _shares(100, 0.0, 0.05, KEPT, rare=True),
    _shares(100, 0.02, 0.07, KEPT, rare=True),
    _shares(24, 0.02, 0.07, WIDE, rare=True),
    _non_inferior(200, 0.075, 0.125, (0.0, 0.035)),
    _non_inferior(100, 0.0, 0.05, (0.10, 0.13)),
    _non_inferior(100, 0.0, 0.05, (0.0, 0.04), rare=True),
)
