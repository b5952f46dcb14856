"""Decides whether a harm stays within its margin: a ratio with its interval, and a verdict.

It does not know what was harmed or how it was measured; everything here is pure.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

Verdict = Literal["passed", "failed", "undecided"]


@dataclass(frozen=True, kw_only=True)
class Harm:
    """How much worse something became; larger is worse."""

    value: float
    low: float | None
    """Lower end of the 95 % interval; None where nothing is known of the spread."""
    high: float | None


def ratio_harm(
    harms: Sequence[float],
    sizes: Sequence[float],
    clusters: Sequence[str],
    confidence: float = 0.95,
) -> Harm | None:
    """Total harm over total size with a cluster-robust t interval.

    The residual of a cluster is its harm less the overall ratio times its size; the variance of
    the ratio is G/(G-1) times the sum of their squares over the squared total size (the
    linearised ratio estimator, Cochran 1977, with G clusters), Student's quantile at G-1.

    Args:
        harms: Summed harm of each unit (nats, bits): unit by unit the adapter minus the base.
        sizes: Size of each unit (bytes, tokens); units of size 0 say nothing and are left out.
        clusters: The cluster of each unit.
        confidence: Coverage aimed at.

    Returns:
        None where no unit has a size.
    """
    from scipy.special import stdtrit

    total = sum(sizes)
    if total <= 0:
        return None
    value = sum(harms) / total
    residuals: dict[str, float] = {}
    for harm, size, cluster in zip(harms, sizes, clusters, strict=True):
        if size > 0:
            residuals[cluster] = residuals.get(cluster, 0.0) + harm - value * size
    count = len(residuals)
    if count < 2:
        return Harm(value=value, low=None, high=None)
    spread = sum(residual**2 for residual in residuals.values()) * count / (count - 1)
    half = float(stdtrit(count - 1, 0.5 + confidence / 2)) * spread**0.5 / total
    return Harm(value=value, low=value - half, high=value + half)


def verdict(harm: Harm | None, margin: float) -> Verdict:
    """Failed if the harm is surely above the margin, passed if it is surely below."""
    if harm is None or harm.low is None or harm.high is None:
        return "undecided"
    if harm.low > margin:
        return "failed"
    return "passed" if harm.high < margin else "undecided"
