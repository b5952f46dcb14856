"""Detectable effects and needed items: against the reference table, statsmodels and each other."""

import numpy as np
import pytest

from rag_adapt.stats.mcnemar import mcnemar_detectable, mcnemar_power
from rag_adapt.stats.paired import paired_test
from rag_adapt.stats.power import MOST, detectable, items_to_decide
from tests.stats.simulated import labels


def arms(fixed: int, broken: int, alike: int) -> tuple[list[float], list[float]]:
    """Scores of a and b with these counts of items."""
    a = [0.0] * fixed + [1.0] * broken + [1.0] * alike
    return a, [1.0] * fixed + [0.0] * broken + [1.0] * alike


@pytest.mark.parametrize(
    ("n", "points"), [(50, 22.0), (100, 16.0), (200, 11.0), (500, 7.0), (1000, 4.9)]
)
def test_the_reference_table_of_discordance_030_is_met(n: int, points: float) -> None:
    assert 100.0 * mcnemar_detectable(n, 0.30) == pytest.approx(points, rel=0.02)


@pytest.mark.parametrize(("n", "points"), [(60, 27.5), (100, 22.5)])
def test_the_first_of_six_steps_asks_for_more(n: int, points: float) -> None:
    found = 100.0 * mcnemar_detectable(n, 0.40, alpha=0.05 / 6)

    assert found == pytest.approx(points, rel=0.03)


def test_power_is_the_sum_over_all_tables() -> None:
    stats = pytest.importorskip("scipy.stats")
    n, share, gap = 17, 0.5, 0.3
    chances = [(share + gap) / 2, (share - gap) / 2, 1 - share]
    expected = 0.0
    for fixed in range(n + 1):
        for broken in range(n + 1 - fixed):
            a, b = arms(fixed, broken, n - fixed - broken)
            if paired_test(a, b, labels(n)).p <= 0.05:
                counts = [fixed, broken, n - fixed - broken]
                expected += stats.multinomial.pmf(counts, n, chances)

    assert mcnemar_power(n, share, gap) == pytest.approx(expected, abs=1e-12)


def test_five_items_reach_no_power_whatever_differs() -> None:
    assert mcnemar_detectable(5, 0.30) == 1.0


def test_power_at_no_difference_is_at_most_the_level() -> None:
    assert mcnemar_power(200, 0.3, 0.0) <= 0.05
    assert mcnemar_power(200, 0.0, 0.0) == 0.0


def test_a_pair_is_given_the_effect_of_its_own_items_and_discordance() -> None:
    a, b = arms(15, 15, 70)

    assert detectable(a, b, labels(100)) == mcnemar_detectable(100, 0.30)


def test_arms_that_never_differ_still_have_a_detectable_effect() -> None:
    a, b = arms(0, 0, 100)

    assert detectable(a, b, labels(100)) == pytest.approx(0.0789, abs=1e-3)


@pytest.mark.parametrize("size", [1, 2], ids=["single", "pairs"])
def test_five_clusters_detect_nothing(size: int) -> None:
    a, b = arms(5 * size, 0, 0)

    assert detectable(a, b, labels(5, size)) == 1.0


def test_six_items_detect_only_that_all_differ() -> None:
    a, b = arms(3, 3, 0)

    assert 0.9 < detectable(a, b, labels(6)) < 1.0


def test_graded_items_get_students_power_of_statsmodels() -> None:
    power = pytest.importorskip("statsmodels.stats.power")
    scores = np.random.default_rng(0).beta(2.0, 2.0, (2, 30))
    spread = float((scores[1] - scores[0]).std(ddof=1))

    effect = power.TTestPower().solve_power(None, nobs=30, alpha=0.05, power=0.8)

    found = detectable(list(scores[0]), list(scores[1]), labels(30))
    assert found == pytest.approx(effect * spread, rel=1e-5)


def test_clusters_that_move_as_one_count_as_one() -> None:
    scores = np.random.default_rng(1).random((2, 30))

    single = detectable(list(scores[0]), list(scores[1]), labels(30))
    copied = detectable(list(np.repeat(scores[0], 4)), list(np.repeat(scores[1], 4)), labels(30, 4))

    assert copied == pytest.approx(single, rel=1e-6)


def test_clusters_that_balance_themselves_are_not_more_than_their_items() -> None:
    a, b = [0.0, 1.0] * 30, [1.0, 0.0] * 30

    assert detectable(a, b, labels(30, 2)) >= detectable(a, b, labels(60)) * 0.95


def test_a_few_graded_differences_do_not_promise_a_tiny_effect() -> None:
    a, b = [0.5] * 100, [0.5] * 97 + [0.7, 0.7, 0.3]

    assert detectable(a, b, labels(100)) > 7 * 0.2 / 100


def test_right_or_wrong_clusters_of_one_size_come_near_mcnemar_when_independent() -> None:
    chance = np.random.default_rng(2)
    differences = chance.permutation(np.repeat([1.0, -1.0, 0.0], [45, 45, 210]))
    a, b = list((differences < 0) * 1.0), list((differences > 0) * 1.0)

    single, pairs = detectable(a, b, labels(300)), detectable(a, b, labels(150, 2))

    assert pairs == pytest.approx(single, rel=0.1)


@pytest.mark.parametrize("size", [1, 3], ids=["single", "threes"])
def test_as_many_items_as_decide_detect_the_observed_difference(size: int) -> None:
    a, b = arms(24, 12, 84)
    order = np.random.default_rng(5).permutation(120)
    a, b = [a[i] for i in order], [b[i] for i in order]

    needed = items_to_decide(a, b, labels(120 // size, size))

    assert needed is not None
    copies = needed // 120
    clusters = labels(120 * copies // size, size)
    assert detectable(a * copies, b * copies, clusters) == pytest.approx(0.1, rel=0.1)


def test_graded_items_that_decide_follow_students_power() -> None:
    power = pytest.importorskip("statsmodels.stats.power")
    scores = np.random.default_rng(3).random((2, 20))
    gaps = scores[1] - scores[0]

    expected = power.TTestPower().solve_power(
        abs(gaps.mean()) / gaps.std(ddof=1), alpha=0.05, power=0.8
    )

    assert items_to_decide(list(scores[0]), list(scores[1]), labels(20)) == int(np.ceil(expected))


def test_a_stricter_level_needs_more_items() -> None:
    a, b = arms(10, 4, 46)

    plain = items_to_decide(a, b, labels(60))
    strict = items_to_decide(a, b, labels(60), alpha=0.05 / 6)

    assert plain is not None
    assert strict is not None
    assert strict > plain


def test_no_difference_and_a_tiny_one_cannot_be_decided() -> None:
    a, b = arms(3, 3, 10)
    none = items_to_decide(a, b, labels(16))

    a, b = arms(1001, 1000, 0)
    tiny = items_to_decide(a, b, labels(2001))

    scores = np.random.default_rng(0).random(50)
    hair = items_to_decide(
        list(scores), [*scores[1:25], scores[0], *scores[26:], scores[25] - 1e-5], labels(50)
    )

    assert (none, tiny, hair) == (None, None, None)
    assert MOST == 1_000_000


@pytest.mark.parametrize(
    ("b", "size", "needed"),
    [(1.0, 1, 6), (0.6, 1, 6), (1.0, 5, 30)],
    ids=["right-or-wrong", "graded", "clusters"],
)
def test_a_difference_without_spread_needs_six_clusters(b: float, size: int, needed: int) -> None:
    a = [0.0 if b == 1.0 else 0.5] * (10 * size)

    assert items_to_decide(a, [b] * (10 * size), labels(10, size)) == needed
