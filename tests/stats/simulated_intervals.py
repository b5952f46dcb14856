"""How often intervals of 95 % hold the truth, in settings like those of a run.

They do not know how an interval is made: the public functions make them all.
"""

from collections.abc import Callable
from functools import lru_cache, partial
from typing import Final, Literal, get_args

import numpy as np

from rag_adapt.core.types import Estimate
from rag_adapt.stats.decision import verdict
from rag_adapt.stats.interaction import SeedMeans, interaction
from rag_adapt.stats.intervals import mean_estimate, paired_difference
from tests.stats.simulated import RUNS, Case, World, differences, labels

KEPT: Final = (0.93, 0.97)
WIDE: Final = (0.97, 1.0)
"""Conservative, and said to be so in docs/statistics.md."""
Part = Literal["retrieval", "adapter", "interaction"]


def holds(estimate: Estimate, truth: float) -> bool:
    return estimate.low <= truth <= estimate.high


def of_mean(world: World) -> float:
    """Coverage of `mean_estimate`, with the levels that the world has."""
    chance, truth = np.random.default_rng(world.items), world.truth()
    clusters = labels(world.items // world.size, world.size)
    folds = world.fold_numbers().tolist() if world.folds > 1 else None
    scores = world.scores(chance, RUNS)
    by_item, by_seed = scores.mean(axis=1).tolist(), scores.mean(axis=2).tolist()
    return float(
        np.mean(
            [
                holds(mean_estimate(items, clusters, folds=folds, seed_means=seeds), truth)
                for items, seeds in zip(by_item, by_seed, strict=True)
            ]
        )
    )


def of_pair(world: World, shift: float) -> float:
    """Coverage of `paired_difference`: an untrained arm against one with the world's levels."""
    chance = np.random.default_rng(world.items)
    plain = World(items=world.items, size=world.size, level=world.level, clusters=world.clusters)
    truth = world.truth(shift) - plain.truth()
    clusters = labels(world.items // world.size, world.size)
    folds = world.fold_numbers().tolist() if world.folds > 1 else None
    untrained = plain.scores(chance, RUNS)[:, 0]
    trained = world.scores(chance, RUNS, shift)
    seeds = (trained.mean(axis=2) - untrained.mean(axis=1)[:, None]).tolist()
    pairs = zip(untrained.tolist(), trained.mean(axis=1).tolist(), seeds, strict=True)
    return float(
        np.mean(
            [
                holds(paired_difference(a, b, clusters, folds=folds, seed_means=means), truth)
                for a, b, means in pairs
            ]
        )
    )


def pairs_of(
    items: int, fixed: float, broken: float, judge: Callable[[Estimate], bool], *, rare: bool
) -> float:
    """Share of runs with these true shares of fixed and broken items that the judge affirms."""
    found = differences(np.random.default_rng(items), (RUNS, items), fixed, fixed + broken)
    clusters = labels(items)
    lost, gained = (found < 0).astype(float).tolist(), (found > 0).astype(float).tolist()
    return float(
        np.mean(
            [
                judge(paired_difference(a, b, clusters, rare=rare))
                for a, b in zip(lost, gained, strict=True)
            ]
        )
    )


def graded(items: int) -> float:
    scores = np.random.default_rng(items).beta(1.5, 1.0, (RUNS, items)).tolist()
    clusters = labels(items)
    return float(np.mean([holds(mean_estimate(one, clusters), 0.6) for one in scores]))


def two_repeats() -> float:
    """Coverage for 24 easy items, each a mean of two repeats whose noise is the sampling's."""
    world = World(items=24, level=3.0, seeds=2)
    scores = world.scores(np.random.default_rng(2), RUNS).mean(axis=1).tolist()
    truth, clusters = world.truth(), labels(24)
    return float(np.mean([holds(mean_estimate(one, clusters), truth) for one in scores]))


def effect(part: Part) -> float:
    return effects()[part]


@lru_cache(maxsize=1)
def effects() -> dict[str, float]:
    """Coverage of the effects in a two-by-two design with three training seeds."""
    world, plain = World(items=120, seeds=3, seed=0.2), World(items=120)
    chance, clusters = np.random.default_rng(8), labels(120)
    shifts = {"base": 0.0, "retrieval": 0.8, "adapter": 0.5, "both": 1.6}
    worlds = {"base": plain, "retrieval": plain, "adapter": world, "both": world}
    truth = {cell: worlds[cell].truth(shift) for cell, shift in shifts.items()}
    scores = {cell: worlds[cell].scores(chance, RUNS, shift) for cell, shift in shifts.items()}
    wanted = {
        "retrieval": (truth["retrieval"] - truth["base"] + truth["both"] - truth["adapter"]) / 2,
        "adapter": (truth["adapter"] - truth["base"] + truth["both"] - truth["retrieval"]) / 2,
        "interaction": truth["both"] - truth["adapter"] - truth["retrieval"] + truth["base"],
    }
    hits = dict.fromkeys(wanted, 0)
    for run in range(RUNS):
        cells = {cell: answers[run].mean(axis=0).tolist() for cell, answers in scores.items()}
        seeds = SeedMeans(
            adapter=scores["adapter"][run].mean(axis=1).tolist(),
            both=scores["both"][run].mean(axis=1).tolist(),
        )
        found = interaction(**cells, clusters=clusters, seed_means=seeds)
        for part, truth_of_part in wanted.items():
            hits[part] += holds(getattr(found, part), truth_of_part)
    return {part: count / RUNS for part, count in hits.items()}


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
    items: int, fixed: float, broken: float, bounds: tuple[float, float], *, rare: bool
) -> Case:
    truth = fixed - broken
    return Case(
        name=f"interval of a difference, {items} items, {fixed:.3f} fixed and {broken:.3f} broken"
        + (", rare" if rare else ""),
        measure=partial(
            pairs_of, items, fixed, broken, lambda found: holds(found, truth), rare=rare
        ),
        low=bounds[0],
        high=bounds[1],
    )


def _non_inferior(
    items: int, fixed: float, broken: float, bounds: tuple[float, float], *, rare: bool
) -> Case:
    return Case(
        name=f"falsely non-inferior, {items} items, {fixed:.3f} fixed and {broken:.3f} broken"
        + (", rare" if rare else ""),
        measure=partial(
            pairs_of,
            items,
            fixed,
            broken,
            lambda found: verdict(found, 1.0) == "non-inferior",
            rare=rare,
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
            measure=partial(effect, part),
            low=0.95,
            high=0.985,
        )
        for part in get_args(Part)
    ),
    _shares(60, 0.2, 0.1, KEPT, rare=False),
    _shares(100, 0.05, 0.10, KEPT, rare=False),
    _shares(100, 0.02, 0.07, KEPT, rare=False),
    _shares(100, 0.0, 0.05, (0.86, 0.90), rare=False),
    _shares(100, 0.0, 0.05, KEPT, rare=True),
    _shares(100, 0.02, 0.07, KEPT, rare=True),
    _shares(24, 0.02, 0.07, WIDE, rare=True),
    _non_inferior(200, 0.075, 0.125, (0.0, 0.035), rare=False),
    _non_inferior(100, 0.0, 0.05, (0.10, 0.13), rare=False),
    _non_inferior(100, 0.0, 0.05, (0.0, 0.04), rare=True),
)
