"""Intervals: against scipy and statsmodels, at their edges, and by how often they cover."""

import math
from collections.abc import Sequence

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from rag_adapt.core.types import Estimate
from rag_adapt.stats.intervals import mean_estimate, paired_difference, wilson

SEEDS = 2000


def apart(count: int) -> list[str]:
    return [f"c{number}" for number in range(count)]


def grouped(count: int, size: int) -> list[str]:
    return [f"c{number // size}" for number in range(count * size)]


@pytest.mark.parametrize(("successes", "n"), [(0, 10), (10, 10), (1, 2), (37, 60), (999, 1000)])
def test_wilson_equals_scipy(successes: int, n: int) -> None:
    stats = pytest.importorskip("scipy.stats")

    expected = stats.binomtest(successes, n).proportion_ci(0.95, method="wilson")

    estimate = wilson(successes, n)
    assert estimate.low == pytest.approx(expected.low, abs=1e-12)
    assert estimate.high == pytest.approx(expected.high)
    assert (estimate.value, estimate.n, estimate.method) == (successes / n, n, "wilson")


@pytest.mark.parametrize(("successes", "n"), [(1, 0), (-1, 5), (6, 5)])
def test_counts_that_make_no_share_are_refused(successes: int, n: int) -> None:
    with pytest.raises(ValueError, match="make no share"):
        wilson(successes, n)


def test_right_and_wrong_answers_of_single_items_get_wilson() -> None:
    estimate = mean_estimate([1, 0, 1, 1], apart(4))

    assert estimate == wilson(3, 4)


def test_clustered_mean_equals_the_cluster_robust_regression_of_statsmodels() -> None:
    api = pytest.importorskip("statsmodels.api")
    values = [0.1, 0.5, 0.4, 0.9, 0.6, 0.2, 0.3]
    clusters = [0, 0, 1, 1, 1, 2, 3]

    fit = api.OLS(values, np.ones(7)).fit(
        cov_type="cluster", cov_kwds={"groups": np.array(clusters)}, use_t=True
    )
    low, high = fit.conf_int()[0]

    estimate = mean_estimate(values, list(map(str, clusters)))
    assert estimate.low == pytest.approx(low)
    assert estimate.high == pytest.approx(high)
    assert (estimate.clusters, estimate.method) == (4, "t-clustered")


def test_single_fractional_scores_get_the_t_interval_of_scipy() -> None:
    stats = pytest.importorskip("scipy.stats")
    values = [0.1, 0.5, 0.4, 0.9, 0.6]

    expected = stats.ttest_1samp(values, 0).confidence_interval(0.95)

    estimate = mean_estimate(values, apart(5))
    assert estimate.low == pytest.approx(expected.low)
    assert estimate.high == pytest.approx(expected.high)


def test_a_paired_difference_is_the_t_interval_of_scipy_where_items_are_single() -> None:
    stats = pytest.importorskip("scipy.stats")
    a, b = [0.0, 0.5, 1.0, 0.0, 0.2], [1.0, 0.5, 1.0, 0.3, 0.4]

    expected = stats.ttest_rel(b, a).confidence_interval(0.95)

    estimate = paired_difference(a, b, apart(5))
    assert estimate.value == pytest.approx(0.3)
    assert estimate.low == pytest.approx(expected.low)
    assert estimate.high == pytest.approx(expected.high)
    assert estimate.method == "t-paired"


def test_copies_of_an_item_in_one_cluster_add_nothing() -> None:
    once = mean_estimate([1, 0, 1, 1, 0, 1], apart(6))
    copied = mean_estimate([1, 0, 1, 1, 0, 1] * 5, apart(6) * 5)

    assert copied.n == 30
    assert copied.clusters == 6
    assert copied.high - copied.low >= once.high - once.low


def test_clusters_that_balance_themselves_are_not_more_than_their_items() -> None:
    balanced = mean_estimate([1, 0] * 10 + [1, 1], grouped(11, 2))
    single = mean_estimate([1, 0] * 10 + [1, 1], apart(22))

    assert balanced.high - balanced.low >= single.high - single.low


@pytest.mark.parametrize(
    ("values", "clusters", "low", "high"),
    [
        ([0.0] * 10, apart(10), 0.0, 0.2775),
        ([1.0] * 10, apart(10), 0.7225, 1.0),
        ([0.0] * 20, grouped(10, 2), 0.0, 0.3385),
        ([1.0] * 20, grouped(10, 2), 0.6615, 1.0),
        ([1.0, 0.0] * 10, grouped(10, 2), 0.2091, 0.7909),
        ([0.5] * 10, apart(10), 0.2091, 0.7909),
        ([1.0], ["a"], 0.0, 1.0),
        ([0.3], ["a"], 0.0, 1.0),
        ([1.0, 0.0, 1.0], ["a"] * 3, 0.0, 1.0),
    ],
    ids=[
        "none-right",
        "all-right",
        "none-right-clustered",
        "all-right-clustered",
        "all-clusters-alike",
        "all-scores-alike",
        "one-item",
        "one-fraction",
        "one-cluster",
    ],
)
def test_degenerate_samples_keep_an_honest_width(
    values: Sequence[float], clusters: Sequence[str], low: float, high: float
) -> None:
    estimate = mean_estimate(values, clusters)

    assert estimate.low == pytest.approx(low, abs=1e-4)
    assert estimate.high == pytest.approx(high, abs=1e-4)


@pytest.mark.parametrize(
    ("a", "b", "low", "high"),
    [
        ([0.0, 1.0] * 15, [0.0, 1.0] * 15, -0.1224, 0.1224),
        ([0.0] * 30, [1.0] * 30, 0.7552, 1.0),
        ([0.0], [1.0], -1.0, 1.0),
    ],
    ids=["no-item-differs", "every-item-gained", "one-item"],
)
def test_equal_differences_keep_an_honest_width(
    a: Sequence[float], b: Sequence[float], low: float, high: float
) -> None:
    estimate = paired_difference(a, b, apart(len(a)))

    assert estimate.low == pytest.approx(low, abs=1e-4)
    assert estimate.high == pytest.approx(high, abs=1e-4)
    assert estimate.method == "t-paired-degenerate"


@pytest.mark.parametrize(
    ("values", "clusters", "message"),
    [
        ([], [], "no values"),
        ([1.0], ["a", "b"], "1 values, but 2 clusters"),
        ([1.5], ["a"], "between 0 and 1"),
        ([math.nan], ["a"], "between 0 and 1"),
    ],
)
def test_values_that_are_no_scores_are_refused(
    values: list[float], clusters: list[str], message: str
) -> None:
    with pytest.raises(ValueError, match=message):
        mean_estimate(values, clusters)
    with pytest.raises(ValueError, match=message):
        paired_difference(values, values, clusters)


def test_more_confidence_makes_a_wider_interval() -> None:
    narrow = mean_estimate([1, 0, 1, 1, 0, 1], grouped(3, 2), confidence=0.8)
    wide = mean_estimate([1, 0, 1, 1, 0, 1], grouped(3, 2), confidence=0.99)

    assert wide.low < narrow.low < narrow.high < wide.high


SCORES = st.floats(min_value=0.0, max_value=1.0)
SAMPLES = st.lists(st.tuples(SCORES, SCORES, st.sampled_from("abcde")), min_size=1, max_size=20)


@settings(deadline=None)
@given(sample=SAMPLES)
def test_an_interval_holds_its_estimate_and_stays_in_range(
    sample: list[tuple[float, float, str]],
) -> None:
    a, b, clusters = map(list, zip(*sample, strict=True))

    mean = mean_estimate(a, clusters)
    difference = paired_difference(a, b, clusters)

    assert 0.0 <= mean.low <= mean.value + 1e-9
    assert mean.value - 1e-9 <= mean.high <= 1.0
    assert -1.0 <= difference.low <= difference.value + 1e-9
    assert difference.value - 1e-9 <= difference.high <= 1.0


@settings(deadline=None)
@given(sample=SAMPLES)
def test_swapping_the_arms_mirrors_the_difference(sample: list[tuple[float, float, str]]) -> None:
    a, b, clusters = map(list, zip(*sample, strict=True))

    forth, back = paired_difference(a, b, clusters), paired_difference(b, a, clusters)

    assert forth.value == pytest.approx(-back.value)
    assert forth.low == pytest.approx(-back.high)


def covers(estimate: Estimate, truth: float) -> bool:
    return estimate.low <= truth <= estimate.high


def answers(seed: int, share: float, count: int, size: int, spread: float) -> list[float]:
    """Right and wrong answers of clusters whose own rates vary (beta-binomial)."""
    chance = np.random.default_rng(seed)
    if spread == 0.0:
        return [float(x) for x in chance.random(count * size) < share]
    weight = (1.0 - spread) / spread
    rates = chance.beta(share * weight, (1.0 - share) * weight, count)
    return [float(x) for x in (chance.random((count, size)) < rates[:, None]).ravel()]


@pytest.mark.parametrize(
    ("share", "count", "size", "spread"),
    [(0.5, 60, 1, 0.0), (0.8, 100, 1, 0.0), (0.7, 60, 2, 0.3), (0.5, 25, 4, 0.5)],
    ids=["single", "single-unequal", "pairs", "fours"],
)
def test_95_percent_intervals_cover_92_to_98_percent(
    share: float, count: int, size: int, spread: float
) -> None:
    clusters = grouped(count, size)

    hits = sum(
        covers(mean_estimate(answers(seed, share, count, size, spread), clusters), share)
        for seed in range(SEEDS)
    )

    assert 0.92 <= hits / SEEDS <= 0.98


@pytest.mark.parametrize(("count", "size"), [(60, 1), (50, 2)], ids=["single", "pairs"])
def test_95_percent_intervals_of_differences_cover_92_to_98_percent(count: int, size: int) -> None:
    clusters = grouped(count, size)
    spread = 0.3 if size > 1 else 0.0

    hits = 0
    for seed in range(SEEDS):
        a = answers(2 * seed, 0.4, count, size, spread)
        b = answers(2 * seed + 1, 0.6, count, size, spread)
        hits += covers(paired_difference(a, b, clusters), 0.2)

    assert 0.92 <= hits / SEEDS <= 0.98
