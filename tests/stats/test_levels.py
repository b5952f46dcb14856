"""Levels: what folds and seeds add, what they do not, and what the method says."""

import numpy as np
import pytest

from rag_adapt.stats.clusters import group
from rag_adapt.stats.interaction import SeedMeans, interaction
from rag_adapt.stats.intervals import mean_estimate, paired_difference
from rag_adapt.stats.levels import spread_of_mean
from tests.stats.simulated import labels

VALUES = [1.0, 1.0, 1.0, 0.0, 1.0, 0.0, 0.0, 0.0, 1.0, 0.0]
FOLDS = [0, 0, 0, 0, 0, 1, 1, 1, 1, 1]
ZEROS = [0.0] * 10


def test_one_fold_and_one_seed_add_nothing() -> None:
    clusters = labels(10)

    assert mean_estimate(VALUES, clusters, folds=[3] * 10, seed_means=[0.5]) == mean_estimate(
        VALUES, clusters
    )
    assert paired_difference(
        ZEROS, VALUES, clusters, folds=[3] * 10, seed_means=[0.5]
    ) == paired_difference(ZEROS, VALUES, clusters)


@pytest.mark.parametrize(
    ("folds", "seeds", "levels"),
    [
        (FOLDS, None, "+folds"),
        (None, [0.4, 0.6], "+seeds"),
        (FOLDS, [0.4, 0.6], "+folds+seeds"),
    ],
)
def test_the_method_names_the_levels(
    folds: list[int] | None, seeds: list[float] | None, levels: str
) -> None:
    mean = mean_estimate(VALUES, labels(10), folds=folds, seed_means=seeds)
    pair = paired_difference(ZEROS, VALUES, labels(10), folds=folds, seed_means=seeds)

    assert mean.method == "wilson-clustered" + levels
    assert pair.method == "t-paired" + levels


def test_folds_that_differ_take_the_place_of_items() -> None:
    residuals = np.array(VALUES) - 0.5

    spread = spread_of_mean(residuals, group(labels(10)), folds=FOLDS)

    assert spread.items == pytest.approx(0.25 / 9)
    assert spread.variance == pytest.approx(2 * (1.5**2 + 1.5**2) / 100)
    assert spread.degrees == 1.0


def test_folds_that_are_alike_add_nothing() -> None:
    residuals = np.array(VALUES) - 0.5

    spread = spread_of_mean(residuals, group(labels(10)), folds=[0, 1, 0, 0, 1, 0, 1, 1, 0, 1])

    assert spread.variance == spread.items
    assert (spread.degrees, spread.levels) == (9.0, "+folds")


def test_seeds_add_their_variance_and_their_degrees() -> None:
    residuals = np.array(VALUES) - 0.5
    means = [0.4, 0.5, 0.9]

    spread = spread_of_mean(residuals, group(labels(10)), seed_means=means)

    between = float(np.var(means, ddof=1)) / 3
    assert spread.variance == pytest.approx(0.25 / 9 + between)
    share = between / spread.variance
    assert 1.0 / spread.degrees == pytest.approx((1.0 - share) / 9 + share / 2)
    assert spread.degrees <= 1.0 / ((1.0 - share) ** 2 / 9 + share**2 / 2)


def test_seeds_that_differ_widen_the_interval_of_a_difference_as_students_t_says() -> None:
    stats = pytest.importorskip("scipy.stats")
    b = [0.45, 0.55] * 500

    found = paired_difference([0.5] * 1000, b, labels(1000), seed_means=[-0.2, 0.0, 0.2])

    expected = stats.t.interval(0.95, 2, 0.0, 0.2 / 3**0.5)
    assert found.high == pytest.approx(expected[1], rel=0.01)


def test_equal_items_keep_their_width_beside_seeds() -> None:
    alone = paired_difference(ZEROS, ZEROS, labels(10))
    seeds = paired_difference(ZEROS, ZEROS, labels(10), seed_means=[-0.01, 0.01])
    alike = paired_difference(ZEROS, ZEROS, labels(10), seed_means=[0.0, 0.0])

    assert seeds.low <= alone.low < 0.0 < alone.high <= seeds.high
    assert (alike.low, alike.method) == (alone.low, "t-paired-degenerate+seeds")


def test_all_right_under_folds_and_seeds_is_not_certain() -> None:
    found = mean_estimate([1.0] * 10, labels(10), folds=FOLDS, seed_means=[1.0, 1.0])

    assert (round(found.low, 2), found.high) == (0.66, 1.0)


def test_one_cluster_tells_nothing_however_many_seeds() -> None:
    found = mean_estimate([1.0, 0.0], ["a", "a"], seed_means=[0.4, 0.6])

    assert (found.low, found.high) == (0.0, 1.0)


def test_wrong_levels_are_refused() -> None:
    with pytest.raises(ValueError, match="10 values, but 2 folds"):
        mean_estimate(VALUES, labels(10), folds=[0, 1])
    with pytest.raises(ValueError, match="not finite"):
        mean_estimate(VALUES, labels(10), seed_means=[0.5, float("nan")])


def test_a_handful_of_broken_items_is_not_called_harmless_when_rare_ones_count() -> None:
    a, b = [1.0] * 100, [0.0] * 2 + [1.0] * 98

    plain = paired_difference(a, b, labels(100))
    rare = paired_difference(a, b, labels(100), rare=True)

    assert plain.low > -0.05 > rare.low
    assert rare.low == pytest.approx(-0.0585, abs=5e-4)
    assert (rare.value, rare.method) == (plain.value, "t-paired+rare")


def test_rare_changes_count_by_cluster_and_only_for_right_or_wrong() -> None:
    a, b = [1.0] * 30, [0.0] * 2 + [1.0] * 28
    single = paired_difference(a, b, labels(30), rare=True)
    copied = paired_difference(a * 4, b * 4, labels(30) * 4, rare=True)

    assert copied.low == pytest.approx(single.low, abs=0.01)
    assert paired_difference([0.5, 0.1], [0.5, 0.2], ["a", "b"], rare=True).method == "t-paired"
    assert paired_difference([1.0], [0.0], ["a"], rare=True).low == -1.0


def test_effects_of_a_two_by_two_design_are_contrasts_of_its_cells() -> None:
    cells = np.random.default_rng(0).random((4, 50))
    base, retrieval, adapter, both = (list(cell) for cell in cells)
    means = cells.mean(axis=1)

    found = interaction(base, retrieval, adapter, both, labels(50))

    assert found.interaction.value == pytest.approx(means[3] - means[2] - means[1] + means[0])
    assert found.retrieval.value == pytest.approx((means[1] - means[0] + means[3] - means[2]) / 2)
    assert found.adapter.value == pytest.approx((means[2] - means[0] + means[3] - means[1]) / 2)
    halves = list((cells[0] + cells[2]) / 2), list((cells[1] + cells[3]) / 2)
    assert found.retrieval.low == pytest.approx(paired_difference(*halves, labels(50)).low)


def test_an_interaction_may_reach_two_and_a_main_effect_one() -> None:
    ones, zeros = [1.0] * 12, [0.0] * 12

    found = interaction(ones, zeros, zeros, ones, labels(12))

    assert (found.interaction.value, found.interaction.high) == (2.0, 2.0)
    assert 0.5 < found.interaction.low < 2.0
    assert found.retrieval.value == found.adapter.value == 0.0


def test_an_interaction_counts_the_seeds_of_the_trained_cells() -> None:
    base, retrieval, adapter, both = np.random.default_rng(1).random((4, 60)).tolist()
    seeds = SeedMeans(adapter=[0.3, 0.5, 0.7], both=[0.5, 0.5, 0.5])

    plain = interaction(base, retrieval, adapter, both, labels(60))
    found = interaction(base, retrieval, adapter, both, labels(60), seed_means=seeds)

    assert found.interaction.method == "t-paired+seeds"
    assert found.interaction.high > plain.interaction.high
    assert found.retrieval.high > plain.retrieval.high


def test_cells_with_different_numbers_of_seeds_are_refused() -> None:
    with pytest.raises(ValueError, match="1 training seeds of one cell, 2 of the other"):
        interaction(
            [0.0], [0.0], [0.0], [0.0], ["a"], seed_means=SeedMeans(adapter=[0.1], both=[0.1, 0.2])
        )
