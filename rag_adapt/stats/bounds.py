"""Interval formulas: Wilson's score interval and Student's t, in a given range.

It does not know where a mean or its variance comes from.
"""

from dataclasses import dataclass


@dataclass(frozen=True, kw_only=True)
class Bounds:
    """The ends of an interval."""

    low: float
    high: float

    def around(self, other: "Bounds") -> "Bounds":
        """The smallest interval that holds both."""
        return Bounds(low=min(self.low, other.low), high=max(self.high, other.high))


def score_bounds(share: float, n: float, quantile: float) -> Bounds:
    """Wilson's interval; with Student's quantile for the normal's where `n` is an estimate."""
    square = quantile**2
    centre = share + square / (2.0 * n)
    half = (square * (share * (1.0 - share) / n + square / (4.0 * n**2))) ** 0.5
    scale = 1.0 + square / n
    low, high = (centre - half) / scale, (centre + half) / scale
    return Bounds(low=max(0.0, min(low, share)), high=min(1.0, max(high, share)))


def t_bounds(
    mean: float, variance: float, degrees: float, confidence: float, *, floor: float, ceiling: float
) -> Bounds:
    """Student's interval, cut to the range that the quantity has."""
    half = t_quantile(degrees, confidence) * variance**0.5
    return Bounds(low=max(floor, mean - half), high=min(ceiling, mean + half))


def t_quantile(degrees: float, confidence: float) -> float:
    """Student's two-sided quantile."""
    from scipy.special import stdtrit

    return float(stdtrit(degrees, 0.5 + confidence / 2.0))


def normal_quantile(confidence: float) -> float:
    """The normal distribution's two-sided quantile."""
    from scipy.special import ndtri

    return float(ndtri(0.5 + confidence / 2.0))


def clustered_share(share: float, effective: float, clusters: int, confidence: float) -> Bounds:
    """Wilson on an effective number of items, Student's quantile at G - 1; all for one cluster."""
    if clusters < 2:
        return Bounds(low=0.0, high=1.0)
    return score_bounds(share, effective, t_quantile(clusters - 1, confidence))
