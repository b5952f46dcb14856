"""Verdicts: every word, and every boundary."""

import pytest

from rag_adapt.core.types import Estimate
from rag_adapt.stats.decision import Verdict, verdict

NEXT = 1e-12


@pytest.mark.parametrize(
    ("low", "high", "p", "expected"),
    [
        (0.02, 0.2, 0.01, "better"),
        (0.02, 0.2, 0.05, "better"),
        (0.02, 0.2, 0.05 + NEXT, "non-inferior"),
        (0.0, 0.2, 0.01, "non-inferior"),
        (-0.2, -0.02, 0.05, "worse"),
        (-0.2, -0.02, 0.06, "undecided"),
        (-0.2, 0.0, 0.01, "undecided"),
        (-0.04, -0.01, 0.01, "worse"),
        (-0.04, -0.01, 0.06, "non-inferior"),
        (-0.05 + NEXT, 0.3, 1.0, "non-inferior"),
        (-0.05, 0.3, 1.0, "undecided"),
        (-0.3, 0.3, 0.01, "undecided"),
        (0.0, 0.0, 1.0, "non-inferior"),
    ],
)
def test_a_verdict_follows_the_adjusted_p_value_and_the_bounds(
    low: float, high: float, p: float, expected: Verdict
) -> None:
    estimate = Estimate(value=(low + high) / 2, low=low, high=high, n=9, clusters=9, method="t")

    assert verdict(estimate, p) == expected


def test_a_smaller_margin_is_harder_to_meet() -> None:
    estimate = Estimate(value=0.0, low=-0.03, high=0.03, n=9, clusters=9, method="t")

    assert verdict(estimate, 1.0) == "non-inferior"
    assert verdict(estimate, 1.0, margin=0.02) == "undecided"
