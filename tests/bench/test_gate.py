"""A gate passes or fails only what the interval leaves no doubt about."""

import numpy as np
import pytest
from scipy import stats

from rag_adapt.bench.gate import Harm, ratio_harm, verdict


def test_equal_sizes_give_students_interval_of_the_mean() -> None:
    harms = [0.3, -0.1, 0.4, 0.2, 0.7]
    found = ratio_harm(harms, [1.0] * 5, list("abcde"))
    assert found is not None
    wanted = stats.t.interval(0.95, 4, loc=np.mean(harms), scale=stats.sem(harms))
    assert found.value == pytest.approx(0.3)
    assert (found.low, found.high) == pytest.approx(wanted)


def test_a_long_unit_weighs_more() -> None:
    found = ratio_harm([10.0, 0.0], [100.0, 900.0], ["a", "b"])
    assert found is not None
    assert found.value == pytest.approx(0.01)


def test_units_of_one_cluster_count_as_one() -> None:
    alone = ratio_harm([0.3, 0.1], [1.0, 1.0], ["a", "b"])
    copied = ratio_harm([0.3, 0.1] * 4, [1.0] * 8, ["a", "b"] * 4)
    assert alone == copied


def test_one_cluster_says_nothing_of_the_spread() -> None:
    found = ratio_harm([0.3, 0.1], [1.0, 1.0], ["a", "a"])
    assert found is not None
    assert (found.low, found.high) == (None, None)
    assert verdict(found, 0.05) == "undecided"


def test_without_size_there_is_no_harm_to_tell() -> None:
    assert ratio_harm([0.0], [0.0], ["a"]) is None
    assert ratio_harm([], [], []) is None
    assert verdict(None, 0.05) == "undecided"


def test_the_interval_covers_the_truth_as_often_as_it_says() -> None:
    chance = np.random.default_rng(5)
    runs, covered = 2000, 0
    for _ in range(runs):
        sizes = chance.integers(20, 120, 24).astype(float)
        harms = sizes * 0.1 + chance.normal(0, 1, 24) * np.sqrt(sizes)
        found = ratio_harm(harms.tolist(), sizes.tolist(), [str(n) for n in range(24)])
        assert found is not None
        assert found.low is not None
        assert found.high is not None
        covered += found.low <= 0.1 <= found.high
    assert 0.93 <= covered / runs <= 0.97


@pytest.mark.parametrize(
    ("low", "high", "wanted"),
    [
        pytest.param(0.06, 0.2, "failed", id="surely above"),
        pytest.param(-0.3, 0.04, "passed", id="surely below"),
        pytest.param(0.04, 0.06, "undecided", id="around the margin"),
        pytest.param(0.05, 0.06, "undecided", id="touching the margin"),
    ],
)
def test_the_whole_interval_decides(low: float, high: float, wanted: str) -> None:
    assert verdict(Harm(value=(low + high) / 2, low=low, high=high), 0.05) == wanted
