"""Paired tests: against statsmodels and by hand, and what they do not depend on."""

import itertools
from collections.abc import Sequence

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from rag_adapt.stats.paired import FLIPS, paired_test, sign_flip_p
from tests.stats.simulated import labels


def listed(totals: Sequence[float]) -> float:
    """The p value from the list of all sign patterns, as a textbook writes it."""
    seen = abs(sum(totals)) - 1e-9
    patterns = list(itertools.product((-1.0, 1.0), repeat=len(totals)))
    far = [abs(float(np.dot(pattern, totals))) >= seen for pattern in patterns]
    return sum(far) / len(far)


@pytest.mark.parametrize(
    ("fixed", "broken"), [(0, 0), (1, 0), (5, 0), (6, 0), (3, 3), (15, 5), (5, 15), (130, 90)]
)
def test_single_right_or_wrong_items_get_the_exact_mcnemar_of_statsmodels(
    fixed: int, broken: int
) -> None:
    contingency = pytest.importorskip("statsmodels.stats.contingency_tables")
    a = [0.0] * fixed + [1.0] * broken + [1.0, 0.0]
    b = [1.0] * fixed + [0.0] * broken + [1.0, 0.0]

    test = paired_test(a, b, labels(len(a)))

    expected = contingency.mcnemar([[1, fixed], [broken, 1]], exact=True).pvalue
    assert test.name == "mcnemar-exact"
    assert test.p == pytest.approx(min(1.0, expected))
    assert (test.fixed, test.broken) == (fixed, broken)


def test_without_a_discordant_item_p_is_one() -> None:
    assert paired_test([1.0, 0.0], [1.0, 0.0], ["a", "b"]).p == 1.0
    assert paired_test([1.0, 0.0], [1.0, 0.0], ["a", "a"]).p == 1.0
    assert paired_test([0.5, 0.25], [0.5, 0.25], ["a", "b"]).p == 1.0


def test_mcnemar_is_the_sign_flip_test_of_single_right_or_wrong_items() -> None:
    differences = np.array([1.0] * 14 + [-1.0] * 5 + [0.0] * 11)

    a, b = (differences < 0).astype(float), (differences > 0).astype(float)

    assert sign_flip_p(differences) == pytest.approx(paired_test(list(a), list(b), labels(30)).p)


def test_one_cluster_of_two_is_enough_for_the_cluster_test() -> None:
    a, b = [0.0, 0.0, 0.0, 1.0], [1.0, 1.0, 1.0, 1.0]

    test = paired_test(a, b, ["a", "a", "b", "c"])

    assert test.name == "cluster-sign-flip"
    assert test.p == pytest.approx(0.5)
    assert (test.fixed, test.broken) == (3, 0)


def test_a_cluster_that_balances_itself_says_nothing() -> None:
    test = paired_test([0.0, 1.0], [1.0, 0.0], ["a", "a"])

    assert (test.p, test.fixed, test.broken) == (1.0, 1, 1)


def test_copies_of_an_item_in_its_cluster_do_not_lower_p() -> None:
    a, b = [0.0] * 5 + [1.0] * 5, [1.0] * 5 + [1.0] * 5

    once = paired_test(a, b, labels(10))
    copied = paired_test(a * 20, b * 20, labels(10) * 20)

    assert copied.p == pytest.approx(once.p)
    assert copied.name == "cluster-sign-flip"


def test_halves_from_two_repeats_are_graded_and_exact() -> None:
    a, b = [0.0, 0.5, 0.5, 0.0, 0.5], [0.5, 1.0, 1.0, 0.5, 0.0]

    test = paired_test(a, b, labels(5))

    assert test.name == "sign-flip"
    assert test.p == pytest.approx(listed([0.5, 0.5, 0.5, 0.5, -0.5]))
    assert (test.fixed, test.broken) == (4, 1)


@pytest.mark.parametrize("items", [3, 9, 14])
def test_few_graded_items_are_listed_exactly(items: int) -> None:
    scores = np.random.default_rng(items).random((2, items))

    test = paired_test(list(scores[0]), list(scores[1]), labels(items))

    assert test.p == pytest.approx(listed(list(scores[1] - scores[0])))


def test_many_graded_items_are_sampled_near_the_exact_p_value() -> None:
    totals = np.random.default_rng(0).normal(0.12, 0.4, 40).round(2)
    fine = np.append(totals, [1.0 / np.pi, -1.0 / np.pi])

    exact, sampled = sign_flip_p(np.append(totals, [0.32, -0.32]) * 0.5), sign_flip_p(fine)

    assert sampled == pytest.approx(exact, abs=0.01)
    assert (sampled * (FLIPS + 1)) % 1 == pytest.approx(0.0, abs=1e-6)


def test_a_sampled_p_value_is_never_zero() -> None:
    differences = np.random.default_rng(1).uniform(0.5, 1.0, 400)

    assert sign_flip_p(differences) == 1.0 / (FLIPS + 1)


def test_the_seed_decides_the_sampled_patterns() -> None:
    scores = np.random.default_rng(2).random((2, 50))
    a, b = list(scores[0]), list(scores[1])

    first, again = (paired_test(a, b, labels(50), seed=4) for _ in range(2))

    assert first == again
    assert first.p != paired_test(a, b, labels(50), seed=5).p


def test_the_order_of_items_does_not_matter() -> None:
    scores = np.random.default_rng(2).random((2, 50))
    order = np.random.default_rng(3).permutation(50)

    test = paired_test(list(scores[0]), list(scores[1]), labels(50))
    mixed = paired_test(list(scores[0][order]), list(scores[1][order]), labels(50))

    assert mixed == test


TOTALS = st.lists(st.integers(min_value=-4, max_value=4), min_size=1, max_size=10)


@given(totals=TOTALS)
def test_whole_totals_get_the_p_value_of_the_full_list(totals: list[int]) -> None:
    assert sign_flip_p(np.array(totals, dtype=float)) == pytest.approx(listed(totals))


SCORES = st.sampled_from([0.0, 0.25, 0.5, 1.0])
SAMPLES = st.lists(st.tuples(SCORES, SCORES, st.sampled_from("abcdef")), min_size=1, max_size=16)


@given(sample=SAMPLES)
def test_swapping_the_arms_keeps_p_and_swaps_fixed_and_broken(
    sample: list[tuple[float, float, str]],
) -> None:
    a, b, clusters = map(list, zip(*sample, strict=True))

    forth, back = paired_test(a, b, clusters), paired_test(b, a, clusters)

    assert forth.p == pytest.approx(back.p)
    assert 0.0 < forth.p <= 1.0
    assert (forth.fixed, forth.broken) == (back.broken, back.fixed)


def test_scores_that_are_none_are_refused() -> None:
    with pytest.raises(ValueError, match="between 0 and 1"):
        paired_test([1.0, 2.0], [0.0, 0.0], ["a", "b"])
    with pytest.raises(ValueError, match="no values"):
        paired_test([], [], [])
