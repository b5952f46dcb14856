"""Holm's adjustment: by hand."""

import pytest

from rag_adapt.stats.multiplicity import holm


@pytest.mark.parametrize(
    ("ps", "expected"),
    [
        ([], []),
        ([0.04], [0.04]),
        ([0.01, 0.04, 0.03], [0.03, 0.06, 0.06]),
        ([0.04, 0.001, 0.2, 0.012], [0.08, 0.004, 0.2, 0.036]),
        ([0.5, 0.9], [1.0, 1.0]),
    ],
    ids=["none", "one", "steps-never-fall", "order-is-kept", "at-most-one"],
)
def test_holm_multiplies_by_the_contrasts_that_remain(
    ps: list[float], expected: list[float]
) -> None:
    assert holm(ps) == pytest.approx(expected)
