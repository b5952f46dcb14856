"""Intervals by resampling."""

import numpy as np
import pytest

from rag_adapt.stats.bootstrap import bootstrap_mean
from rag_adapt.stats.intervals import mean_estimate


def test_independent_items_get_the_width_that_theory_expects() -> None:
    values = np.random.default_rng(1).normal(0.2, 1.0, 400)
    found = bootstrap_mean(list(values), range(400))
    assert (found.n, found.clusters, found.method) == (400, 400, "bootstrap")
    assert found.value == pytest.approx(values.mean())
    assert found.high - found.low == pytest.approx(2 * 1.96 / 20, rel=0.12)


def test_items_that_go_together_widen_it() -> None:
    values = [0.0] * 50 + [1.0] * 50 + [0.2] * 50 + [0.9] * 50
    clusters = [str(number // 50) for number in range(200)]
    alone = bootstrap_mean(values, range(200))
    together = bootstrap_mean(values, clusters)
    assert together.method == "bootstrap-clustered"
    assert together.high - together.low > 3 * (alone.high - alone.low)


def test_it_agrees_with_the_t_interval_where_there_are_many_clusters() -> None:
    draw = np.random.default_rng(2)
    means = np.clip(draw.normal(0.5, 0.15, 60), 0.1, 0.9).repeat(8)
    values = [float(each) for each in np.clip(means + draw.normal(0, 0.05, 480), 0, 1)]
    clusters = [str(number // 8) for number in range(480)]
    ours, theirs = bootstrap_mean(values, clusters), mean_estimate(values, clusters)
    assert ours.high - ours.low == pytest.approx(theirs.high - theirs.low, rel=0.15)


def test_few_clusters_do_not_hide_the_spread_of_items() -> None:
    clusters = ["a", "b"] * 10
    found = bootstrap_mean([0.0, 0.0, 1.0, 1.0] * 5, clusters)
    assert found.low < 0.4 < 0.6 < found.high


def test_of_one_cluster_only_items_are_drawn() -> None:
    found = bootstrap_mean([0.0, 1.0] * 20, ["a"] * 40)
    assert (found.clusters, found.method) == (1, "bootstrap-clustered")
    assert 0.3 < found.low < 0.5 < found.high < 0.7


def test_the_same_seed_gives_the_same_interval() -> None:
    values, clusters = [0.1, 0.7, 0.4, 0.9], ["a", "a", "b", "c"]
    assert bootstrap_mean(values, clusters) == bootstrap_mean(values, clusters)


@pytest.mark.parametrize(("values", "clusters"), [([], []), ([1.0], ["a", "b"])])
def test_values_and_clusters_must_match(values: list[float], clusters: list[str]) -> None:
    with pytest.raises(ValueError, match="values"):
        bootstrap_mean(values, clusters)
