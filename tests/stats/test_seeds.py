"""What training seeds add: the covariance of means, less what items explain."""

import numpy as np
import pytest

from rag_adapt.stats.clusters import group
from rag_adapt.stats.seeds import left_by_seeds, seed_spread
from tests.stats.simulated import labels


def flat(*means: float, items: int = 50) -> dict[int, list[float]]:
    """Every item of a seed has its seed's mean, so that items explain nothing."""
    return {seed: [mean] * items for seed, mean in enumerate(means)}


def test_the_variance_is_that_of_a_mean_over_seeds() -> None:
    spread = seed_spread([flat(0.4, 0.5, 0.6)], group(labels(50)))

    assert np.square(spread.loadings).sum() == pytest.approx(np.var([0.4, 0.5, 0.6], ddof=1) / 3)
    assert spread.degrees.tolist() == [2.0]


def test_seeds_of_one_number_pair_up_over_routes() -> None:
    one, other = flat(0.4, 0.5, 0.6), flat(0.6, 0.5, 0.4)

    spread = seed_spread([None, one, other], group(labels(50)))

    covariance = spread.loadings.T @ spread.loadings
    assert covariance[0].tolist() == [0.0, 0.0, 0.0]
    assert covariance[1, 2] == pytest.approx(-covariance[1, 1])


def test_what_items_explain_is_taken_off_and_clusters_explain_more() -> None:
    chance = np.random.default_rng(0)
    drawn = (chance.random((3, 25)) < 0.5).astype(float)
    drawn[0], drawn[1] = drawn[0].clip(0.0, 0.9), drawn[1] * 0.2
    seeds = {seed: np.repeat(row, 4).tolist() for seed, row in enumerate(drawn)}

    whole = np.var([np.mean(row) for row in seeds.values()], ddof=1) / 3
    single = np.square(seed_spread([seeds], group(labels(100))).loadings).sum()
    clustered = np.square(seed_spread([seeds], group(labels(25, 4))).loadings).sum()

    assert 0 < clustered < single < whole


def test_noise_has_the_spread_it_was_made_for_and_a_heavier_twin() -> None:
    spread = seed_spread([None, flat(0.4, 0.5, 0.6)], group(labels(50)))

    noise = spread.noise(np.random.default_rng(1), 40_000)

    assert not noise.plain[:, 0].any()
    assert noise.plain[:, 1].std() == pytest.approx(0.1 / 3**0.5, rel=0.02)
    assert np.quantile(noise.heavy[:, 1], 0.975) == pytest.approx(4.303 * 0.1 / 3**0.5, rel=0.05)


def test_no_number_of_items_takes_away_what_seeds_leave() -> None:
    few = left_by_seeds(None, flat(0.4, 0.5, 0.6), labels(50))
    many = left_by_seeds(None, flat(0.4, 0.5, 0.6, items=5000), labels(5000))

    assert few == pytest.approx(many) == pytest.approx(4.303 * 0.1 / 3**0.5, rel=0.001)


@pytest.mark.parametrize(
    ("a", "b"),
    [
        pytest.param(None, None, id="no seeds"),
        pytest.param({}, flat(0.4), id="one seed"),
        pytest.param(flat(0.4, 0.6), flat(0.5, 0.7), id="always as far apart"),
    ],
)
def test_seeds_that_leave_the_difference_alone_leave_nothing(
    a: dict[int, list[float]] | None, b: dict[int, list[float]] | None
) -> None:
    assert left_by_seeds(a, b, labels(50)) == pytest.approx(0.0)
