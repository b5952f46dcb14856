"""Error rates, coverage, power and regret over 5,000 simulated runs each.

What they measured stands in docs/statistics.md; `python -m tests.stats.simulations` prints it.
"""

import numpy as np
import pytest

from rag_adapt.core.types import Estimate
from rag_adapt.stats.interaction import SeedMeans, interaction
from rag_adapt.stats.intervals import mean_estimate, paired_difference
from rag_adapt.stats.multiplicity import holm
from rag_adapt.stats.paired import paired_test
from rag_adapt.stats.regret import regrets
from tests.stats.simulated import RUNS, Case, Numbers, World, labels
from tests.stats.simulations import CASES
from tests.stats.twins import grid_flip_ps, holm_rows, mcnemar_ps, sampled_flip_ps
from tests.stats.twins_of_intervals import (
    Rows,
    contrast_rows,
    mean_rows,
    rare_rows,
    regret_rows,
)


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.name)
def test_a_simulated_figure_bears_its_claim_out(case: Case) -> None:
    assert RUNS == 5000
    assert case.low <= case.measure() <= case.high


def public_ps(scores: Numbers, clusters: list[str]) -> list[float]:
    return [paired_test(list(a), list(b), clusters).p for a, b in scores]


def test_the_twin_of_mcnemar_equals_the_public_test() -> None:
    scores = np.random.default_rng(0).integers(0, 2, (20, 2, 30)).astype(float)

    assert mcnemar_ps(scores[:, 1] - scores[:, 0]) == pytest.approx(public_ps(scores, labels(30)))


def test_the_twin_of_the_cluster_test_equals_the_public_test() -> None:
    scores = np.random.default_rng(1).integers(0, 2, (20, 2, 60)).astype(float)

    totals = (scores[:, 1] - scores[:, 0]).reshape(20, 15, 4).sum(axis=2)

    assert grid_flip_ps(totals) == pytest.approx(public_ps(scores, labels(15, 4)))


def test_the_twin_of_the_sampled_test_equals_the_public_test() -> None:
    scores = np.random.default_rng(2).random((20, 2, 30))

    twin = sampled_flip_ps(scores[:, 1] - scores[:, 0])

    assert twin == pytest.approx(public_ps(scores, labels(30)), abs=2e-4)


def test_the_twin_of_holm_equals_the_public_adjustment() -> None:
    ps = np.random.default_rng(3).random((20, 6)) ** 3

    assert holm_rows(ps) == pytest.approx(np.array([holm(list(row)) for row in ps]))


WORLDS = (
    World(items=24, level=2.5),
    World(items=40, size=4, clusters=1.0),
    World(items=40, folds=5, fold=0.5),
    World(items=40, size=2, clusters=1.0, seeds=3, seed=0.5),
    World(items=40, level=3.0, folds=5, fold=0.5, seeds=2, seed=0.5),
)
NAMES = ["single", "clusters", "folds", "seeds", "all levels"]


def assert_equal(rows: Rows, public: list[Estimate]) -> None:
    assert rows.low == pytest.approx([found.low for found in public])
    assert rows.high == pytest.approx([found.high for found in public])


@pytest.mark.parametrize("world", WORLDS, ids=NAMES)
def test_the_twins_of_intervals_equal_the_public_ones(world: World) -> None:
    scores = world.scores(np.random.default_rng(5), 20)
    values, seeds = scores.mean(axis=1), scores.mean(axis=2)
    clusters = labels(world.items // world.size, world.size)
    several = seeds if world.seeds > 1 else None
    folds = world.fold_numbers() if world.folds > 1 else None
    numbers = world.fold_numbers().tolist()
    half = np.full(world.items, 0.5)

    means = mean_rows(values, world.size, folds=folds, seed_means=several)
    gaps = None if several is None else several - 0.5
    pairs = contrast_rows(values - 0.5, world.size, folds=folds, seed_means=gaps)

    runs = list(zip(values.tolist(), seeds.tolist(), strict=True))
    assert_equal(means, [mean_estimate(v, clusters, folds=numbers, seed_means=s) for v, s in runs])
    assert_equal(
        pairs,
        [
            paired_difference(
                half.tolist(), v, clusters, folds=numbers, seed_means=[mean - 0.5 for mean in s]
            )
            for v, s in runs
        ],
    )


def test_the_twin_of_the_interval_for_rare_changes_equals_the_public_one() -> None:
    scores = np.random.default_rng(6).random((20, 2, 30)) < 0.95
    a, b = scores[:, 0].astype(float), scores[:, 1].astype(float)

    pairs = zip(a.tolist(), b.tolist(), strict=True)
    assert_equal(rare_rows(b - a), [paired_difference(*p, labels(30), rare=True) for p in pairs])


def test_the_twin_of_effects_equals_the_public_interaction() -> None:
    cells = np.random.default_rng(7).random((20, 4, 3, 30))
    cells[:, :2] = cells[:, :2, :1]
    means = cells.mean(axis=2)

    rows = contrast_rows(
        means[:, 3] - means[:, 2] - means[:, 1] + means[:, 0],
        reach=2.0,
        seed_means=np.einsum("c,rcsi->rs", [1.0, -1.0, -1.0, 1.0], cells) / 30,
    )

    public = []
    for run, (base, retrieval, adapter, both) in enumerate(means.tolist()):
        by_seed = cells[run].mean(axis=2).tolist()
        seeds = SeedMeans(adapter=by_seed[2], both=by_seed[3])
        found = interaction(base, retrieval, adapter, both, labels(30), seed_means=seeds)
        public.append(found.interaction)
    assert_equal(rows, public)


@pytest.mark.parametrize("size", [1, 3], ids=["single", "threes"])
def test_the_twin_of_regret_equals_the_public_one(size: int) -> None:
    scores = np.random.default_rng(8).random((5, 4, 30))

    rows = regret_rows(scores, size, 100)

    for run, arms in enumerate(scores.tolist()):
        named = {str(arm): values for arm, values in enumerate(arms)}
        found = regrets(named, labels(30 // size, size), seed=run, draws=100).values()
        assert rows.expected[run] == pytest.approx([one.expected for one in found])
        assert rows.at_most[run] == pytest.approx([one.at_most for one in found])


@pytest.mark.parametrize("size", [1, 3], ids=["single", "threes"])
def test_the_twin_of_regret_with_training_seeds_equals_the_public_one(size: int) -> None:
    cells = np.random.default_rng(9).random((5, 4, 3, 30))
    cells[:, :2] = cells[:, :2, :1]
    scores = cells.mean(axis=2)

    rows = regret_rows(scores, size, 100, by_seed=cells[:, 2:])

    for run, arms in enumerate(scores.tolist()):
        named = {str(arm): values for arm, values in enumerate(arms)}
        by_seed = {str(arm): dict(enumerate(cells[run, arm].tolist())) for arm in (2, 3)}
        clusters = labels(30 // size, size)
        public = regrets(named, clusters, by_seed=by_seed, seed=run, draws=100)
        found = public.values()
        assert rows.expected[run] == pytest.approx([one.expected for one in found])
        assert rows.at_most[run] == pytest.approx([one.at_most for one in found])
