"""The verdict on one contrast: a closed set of words.

It does not know the arms, nor how the interval and the p value were obtained.
"""

from typing import Final, Literal

from rag_adapt.core.types import Estimate

Verdict = Literal["better", "worse", "non-inferior", "undecided"]
LEVEL: Final = 0.05
"""Largest adjusted p value that decides."""
MARGIN: Final = 0.05
"""Largest loss, in score, that counts as no loss."""


def verdict(estimate: Estimate, p_holm: float, margin: float = MARGIN) -> Verdict:
    """What b - a allows one to say of b; the first that applies.

    - `better`: adjusted p at most 0.05 and lower bound above 0.
    - `worse`: adjusted p at most 0.05 and upper bound below 0.
    - `non-inferior`: lower bound above -margin.
    - `undecided`: all else. Never "equal".

    Args:
        estimate: b - a with its interval.
        p_holm: p value adjusted over the declared contrasts.
        margin: In score; above 0.
    """
    if p_holm <= LEVEL and estimate.low > 0.0:
        return "better"
    if p_holm <= LEVEL and estimate.high < 0.0:
        return "worse"
    if estimate.low > -margin:
        return "non-inferior"
    return "undecided"
