"""Error rates, coverage, power and regret over 5,000 simulated runs each.

What they measured stands in docs/statistics.md; `python -m tests.stats.simulations` prints it.
"""

import numpy as np
import pytest

from rag_adapt.stats.multiplicity import holm
from rag_adapt.stats.paired import paired_test
from tests.stats.simulated import RUNS, Case, Numbers, labels
from tests.stats.simulations import CASES
from tests.stats.twins import grid_flip_ps, holm_rows, mcnemar_ps, sampled_flip_ps


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
