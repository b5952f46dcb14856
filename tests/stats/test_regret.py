"""Regret: what it must be where it is known, and that it is never too sure."""

import numpy as np
import pytest

from rag_adapt.stats.regret import regrets
from tests.stats.simulated import labels


def test_a_route_that_is_always_right_is_hardly_regretted() -> None:
    found = regrets({"prompt": [0.0] * 60, "lora": [1.0] * 60}, labels(60))

    assert found["lora"].score == 1.0
    assert found["lora"].at_most < 0.01
    assert found["prompt"].expected == pytest.approx(60 / 62, abs=0.02)


@pytest.mark.parametrize("value", [0.0, 1.0, 0.4])
def test_scores_that_are_all_alike_leave_doubt(value: float) -> None:
    found = regrets({"rag": [value] * 24, "lora": [value] * 24}, labels(24))

    for choice in found.values():
        assert choice.score == pytest.approx(value)
        assert 0.005 < choice.expected < 0.05
        assert 0.02 < choice.at_most < 0.15


def test_the_doubt_over_equal_scores_is_that_of_laplaces_rule() -> None:
    chance = np.random.default_rng(0)
    found = regrets({"a": [1.0] * 30, "b": [1.0] * 30}, labels(30), draws=20_000)

    laplace = chance.beta(31, 1, (20_000, 2))

    shortfall = (laplace.max(axis=1) - laplace[:, 0]).mean()
    assert found["a"].expected == pytest.approx(shortfall, rel=0.5)


def test_regret_of_two_routes_is_that_of_their_difference() -> None:
    stats = pytest.importorskip("scipy.stats")
    chance = np.random.default_rng(1)
    scores = chance.beta(1.0, 1.0, (2, 400))
    gaps = scores[0] - scores[1]
    mean, error = float(gaps.mean()), float(gaps.std() / 20)

    found = regrets({"a": list(scores[0]), "b": list(scores[1])}, labels(400), draws=20_000)

    ratio = -mean / error
    expected = error * stats.norm.pdf(ratio) - mean * stats.norm.cdf(ratio)
    assert found["a"].expected == pytest.approx(expected, rel=0.1)
    assert found["a"].at_most == pytest.approx(max(0.0, -mean + 1.645 * error), rel=0.1)


def test_expected_regrets_differ_by_as_much_as_the_scores() -> None:
    drawn = np.random.default_rng(4).random((3, 200)).tolist()
    scores = dict(zip("abc", drawn, strict=True))

    found = regrets(scores, labels(200), draws=20_000)

    gap = found["a"].score - found["b"].score
    assert found["b"].expected - found["a"].expected == pytest.approx(gap, abs=0.003)


def test_items_in_clusters_leave_more_doubt() -> None:
    chance = np.random.default_rng(2)
    own = np.repeat(chance.random((2, 20)), 10, axis=1)
    scores = {"a": list(own[0]), "b": list(own[1])}

    single = regrets(scores, labels(200))
    clustered = regrets(scores, labels(20, 10))

    assert clustered["a"].at_most > 1.5 * single["a"].at_most


def test_copies_of_items_in_their_clusters_change_nothing() -> None:
    scores = np.random.default_rng(6).random((2, 30))

    once = regrets({"a": list(scores[0]), "b": list(scores[1])}, labels(30))
    copied = regrets(
        {"a": list(np.repeat(scores[0], 5)), "b": list(np.repeat(scores[1], 5))}, labels(30, 5)
    )

    assert copied["a"].expected == pytest.approx(once["a"].expected)
    assert copied["a"].at_most == pytest.approx(once["a"].at_most)


def seeded(*means: float) -> dict[int, list[float]]:
    """One adapter a seed, right on that share of 200 items, the same ones first."""
    return {seed: [float(n < 200 * mean) for n in range(200)] for seed, mean in enumerate(means)}


def over(seeds: dict[int, list[float]]) -> list[float]:
    return list(np.mean(list(seeds.values()), axis=0))


def test_training_seeds_that_differ_leave_more_doubt_in_both_figures() -> None:
    seeds = seeded(0.4, 0.6, 0.8)
    scores = {"prompt": [float(n >= 80) for n in range(200)], "lora": over(seeds)}

    known = regrets(scores, labels(200))["lora"]
    told = regrets(scores, labels(200), by_seed={"lora": seeds})["lora"]

    assert told.score == known.score
    assert told.expected > 1.3 * known.expected
    assert told.at_most > 1.3 * known.at_most


def test_the_spread_of_seeds_counts_as_in_a_normal_approximation() -> None:
    stats = pytest.importorskip("scipy.stats")
    seeds = {seed: [mean] * 400 for seed, mean in enumerate((0.40, 0.50, 0.60))}

    found = regrets(
        {"prompt": [0.5] * 400, "lora": over(seeds)},
        labels(400),
        by_seed={"lora": seeds},
        draws=20_000,
    )

    error = 0.1 / 3**0.5
    assert found["lora"].expected == pytest.approx(error * stats.norm.pdf(0.0), rel=0.05)
    assert found["lora"].at_most == pytest.approx(error * stats.t.ppf(0.95, 2), rel=0.05)


@pytest.mark.parametrize(
    "seeds",
    [
        pytest.param({0: [1.0, 0.0, 1.0, 0.0] * 10}, id="one seed is this adapter"),
        pytest.param({0: [1.0, 0.0] * 20, 1: [1.0, 0.0] * 20, 2: [1.0, 0.0] * 20}, id="alike"),
        pytest.param(
            {0: [1.0, 0.0] * 20, 1: [0.0, 1.0] * 19 + [1.0, 1.0]}, id="items explain it all"
        ),
        pytest.param({}, id="no adapter"),
    ],
)
def test_seeds_that_say_nothing_change_nothing(seeds: dict[int, list[float]]) -> None:
    scores = {"rag": [0.0, 1.0] * 20, "lora": over(seeds) if seeds else [0.5] * 40}

    assert regrets(scores, labels(40), by_seed={"lora": seeds}) == regrets(scores, labels(40))


def test_routes_with_one_adapter_move_together() -> None:
    seeds = seeded(0.4, 0.6, 0.8)
    scores = {"lora": over(seeds), "rag+lora-blind": over(seeds)}
    turned = {seed: seeds[2 - seed] for seed in seeds}

    together = regrets(scores, labels(200), by_seed={"lora": seeds, "rag+lora-blind": seeds})
    apart = regrets(scores, labels(200), by_seed={"lora": seeds, "rag+lora-blind": turned})

    assert together["lora"].expected < 0.2 * apart["lora"].expected


def test_routes_may_have_unequal_numbers_of_seeds() -> None:
    two, three = seeded(0.4, 0.6), seeded(0.3, 0.5, 0.7)
    scores = {"prompt": [0.5] * 200, "lora": over(two), "rag+lora": over(three)}

    found = regrets(scores, labels(200), by_seed={"lora": two, "rag+lora": three})

    assert all(0 < one.expected < one.at_most <= 1 for one in found.values())


def test_scores_of_a_seed_for_other_items_are_refused() -> None:
    with pytest.raises(ValueError, match="1 values, but 2 clusters"):
        regrets({"a": [1.0, 0.0]}, ["x", "y"], by_seed={"a": {0: [1.0], 1: [0.0, 1.0]}})


def test_one_route_is_never_regretted_and_no_route_has_none() -> None:
    assert regrets({}, []) == {}
    assert regrets({"only": [0.3, 0.9]}, ["x", "y"])["only"].expected == 0.0


def test_the_seed_decides_the_draws_and_blocks_do_not() -> None:
    scores = {"a": [0.0, 1.0, 1.0, 0.0], "b": [1.0, 1.0, 0.0, 0.0]}

    first = regrets(scores, labels(4), seed=1, draws=600)

    assert regrets(scores, labels(4), seed=1, draws=600) == first
    assert regrets(scores, labels(4), seed=2, draws=600) != first


def test_scores_of_different_items_are_refused() -> None:
    with pytest.raises(ValueError, match="1 values, but 2 clusters"):
        regrets({"a": [1.0, 0.0], "b": [1.0]}, ["x", "y"])
