"""How often the tests decide: wrongly where nothing differs, rightly at the printed effect.

They do not know how the tests work; vectorised twins stand in for them.
"""

from collections.abc import Callable
from functools import partial
from typing import Final

import numpy as np

from rag_adapt.stats.decision import verdict
from rag_adapt.stats.intervals import paired_difference
from rag_adapt.stats.power import detectable, items_to_decide
from tests.stats.simulated import RUNS, Case, Numbers, differences, labels, logistic, right
from tests.stats.twins import PAIRS, grid_flip_ps, holm_rows, mcnemar_ps, sampled_flip_ps

PLANTS: Final = 200
"""A/A data sets whose printed effects are averaged before one is planted."""


def four_arms(chance: np.random.Generator, clusters: int, size: int) -> Numbers:
    """Four equally good arms on shared items; shape (runs, 4, items)."""
    items = chance.normal(0.5, 1.0, (RUNS, 1, clusters, size))
    own = chance.normal(0.0, 1.2 if size > 1 else 0.0, (RUNS, 4, clusters, 1))
    return right(chance, logistic(items + own)).reshape(RUNS, 4, -1)


def false_verdicts(scores: Numbers, test: Callable[[Numbers], Numbers], size: int) -> float:
    """Share of runs where one of six verdicts on equal arms is `better` or `worse`."""
    ps = np.stack([test(scores[:, b] - scores[:, a]) for a, b in PAIRS], axis=1)
    adjusted = holm_rows(ps)
    clusters = labels(scores.shape[2] // size, size)
    decided = set()
    for run, pair in zip(*np.nonzero(adjusted <= 0.05), strict=True):
        a, b = (scores[run, arm].tolist() for arm in PAIRS[pair])
        found = verdict(paired_difference(a, b, clusters), float(adjusted[run, pair]))
        if found in ("better", "worse"):
            decided.add(run)
    return len(decided) / RUNS


def flips_of(size: int) -> Callable[[Numbers], Numbers]:
    """The cluster sign-flip test of clusters of this size."""
    return lambda found: grid_flip_ps(found.reshape(len(found), -1, size).sum(axis=2))


def single_items(items: int) -> float:
    scores = four_arms(np.random.default_rng(items), items, 1)
    return false_verdicts(scores, mcnemar_ps, 1)


def in_clusters(clusters: int, size: int) -> float:
    scores = four_arms(np.random.default_rng(clusters), clusters, size)
    return false_verdicts(scores, flips_of(size), size)


def clusters_ignored() -> float:
    scores = four_arms(np.random.default_rng(10), 10, 10)
    return float((mcnemar_ps(scores[:, 1] - scores[:, 0]) <= 0.05).mean())


def graded_items() -> float:
    scores = np.random.default_rng(5).beta(0.6, 0.6, (RUNS, 4, 24))
    return false_verdicts(scores, sampled_flip_ps, 1)


def printed(found: Numbers, clusters: list[str]) -> float:
    """The minimum detectable effect printed for these differences of 0/1 scores."""
    flat = found.ravel()
    return detectable(
        (flat < 0).astype(float).tolist(), (flat > 0).astype(float).tolist(), clusters
    )


def planted_single(items: int, discordance: float) -> float:
    chance = np.random.default_rng(items)
    each = round(items * discordance / 2)
    seen = np.repeat([1.0, -1.0, 0.0], [each, each, items - 2 * each])
    effect = printed(seen, labels(items))
    share = max(2 * each / items, effect)
    found = differences(chance, (RUNS, items), (share + effect) / 2, share)
    return float((mcnemar_ps(found) <= 0.05).mean())


def planted_clusters(clusters: int, size: int, discordance: float, tilt: float) -> float:
    """Clusters lean to one arm or the other by `tilt`."""
    chance = np.random.default_rng(clusters)

    def draw(runs: int, effect: float) -> Numbers:
        lean = chance.choice([-tilt, tilt], size=(runs, clusters, 1))
        shape = (runs, clusters, size)
        return differences(chance, shape, (discordance + effect) / 2 + lean, discordance)

    seen = draw(PLANTS, 0.0)
    effect = float(np.mean([printed(one, labels(clusters, size)) for one in seen]))
    return float((grid_flip_ps(draw(RUNS, effect).sum(axis=2)) <= 0.05).mean())


def planted_graded(items: int) -> float:
    chance = np.random.default_rng(items)
    seen = chance.beta(0.6, 0.6, (PLANTS, 2, items)).tolist()
    effect = float(np.mean([detectable(a, b, labels(items)) for a, b in seen]))
    scores = chance.beta(0.6, 0.6, (RUNS, 2, items))
    return float((sampled_flip_ps(scores[:, 1] - scores[:, 0] + effect) <= 0.05).mean())


def as_many_as_decide() -> float:
    """60 items, 11 fixed and 7 broken: as many items as are said to decide."""
    seen = np.repeat([1.0, -1.0, 0.0], [11, 7, 42])
    a, b = (seen < 0).astype(float).tolist(), (seen > 0).astype(float).tolist()
    needed = items_to_decide(a, b, labels(60)) or 0
    found = differences(np.random.default_rng(9), (RUNS, needed), 11 / 60, 18 / 60)
    return float((mcnemar_ps(found) <= 0.05).mean())


CASES: Final = (
    *(
        Case(
            name=f"A/A, {items} single items: a false verdict among six pairs",
            measure=partial(single_items, items),
            low=0.0,
            high=0.05,
        )
        for items in (40, 100, 200)
    ),
    *(
        Case(
            name=f"A/A, {clusters} clusters of {size}: a false verdict among six pairs",
            measure=partial(in_clusters, clusters, size),
            low=0.0,
            high=0.05,
        )
        for clusters, size in ((10, 10), (50, 4), (60, 2))
    ),
    Case(
        name="A/A, 24 graded items: a false verdict among six pairs",
        measure=graded_items,
        low=0.0,
        high=0.05,
    ),
    Case(
        name="not used: McNemar by item on 10 clusters of 10, one pair, no difference",
        measure=clusters_ignored,
        low=0.14,
        high=0.30,
    ),
    *(
        Case(
            name=f"planted mde, {items} single items, discordance {discordance:.2f}: power",
            measure=partial(planted_single, items, discordance),
            low=0.75,
            high=0.85,
        )
        for items, discordance in ((50, 0.32), (100, 0.3), (200, 0.1), (100, 0.0), (500, 0.3))
    ),
    *(
        Case(
            name=f"planted mde, {clusters} clusters of {size}, discordance {share:.2f}: power",
            measure=partial(planted_clusters, clusters, size, share, tilt),
            low=0.75,
            high=0.85,
        )
        for clusters, size, share, tilt in (
            (50, 4, 0.3, 0.08),
            (50, 2, 0.4, 0.1),
            (100, 3, 0.2, 0.05),
        )
    ),
    *(
        Case(
            name=f"planted mde, {items} graded items: power",
            measure=partial(planted_graded, items),
            low=0.75,
            high=0.85,
        )
        for items in (24, 60)
    ),
    Case(
        name="60 items, 11 fixed, 7 broken: power with the items said to decide",
        measure=as_many_as_decide,
        low=0.75,
        high=0.85,
    ),
)
