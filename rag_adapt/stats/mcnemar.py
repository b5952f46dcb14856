"""Power of the exact McNemar test, for right-or-wrong items that are independent.

It does not know the items, only their number, their discordance and the difference.
"""

from functools import lru_cache
from typing import Final

import numpy as np

from rag_adapt.stats.clusters import Numbers

_TAILS: Final = 8.0
"""Standard deviations of the number of discordant items beyond which chances are below 1e-14."""


def mcnemar_power(n: int, discordance: float, difference: float, alpha: float = 0.05) -> float:
    """Chance that the exact two-sided McNemar test of n items rejects at level alpha.

    Sums over the number m of discordant items, binomial with `discordance`, the chance that the
    fixed ones among m, binomial with share (discordance + difference) / (2 discordance), fall
    into the test's critical region (Connor 1987, without his normal approximation).

    Args:
        n: Items.
        discordance: Share of items where the arms truly differ; raised to `difference`, which
            cannot be without.
        difference: True difference of the arms, from 0 to 1.
        alpha: Two-sided level.
    """
    from scipy.special import betainc
    from scipy.stats import binom

    share = min(1.0, max(discordance, difference))
    if share <= 0.0:
        return 0.0
    middle, tail = n * share, _TAILS * (n * share * (1.0 - share)) ** 0.5 + _TAILS
    first, last = max(1, int(middle - tail)), min(n, int(middle + tail))
    counts = np.arange(first, last + 1, dtype=np.float64)
    critical = _critical(first, last, alpha)
    can, reached = critical <= counts, (share + difference) / (2.0 * share)
    counts, critical = counts[can], critical[can]
    over = betainc(critical, counts - critical + 1.0, reached)
    under = betainc(critical, counts - critical + 1.0, 1.0 - reached)
    return float((binom.pmf(counts, n, share) * (over + under)).sum())


def mcnemar_detectable(
    n: int, discordance: float, *, power: float = 0.8, alpha: float = 0.05
) -> float:
    """The smallest difference that the exact McNemar test of n items finds with this power.

    Args:
        n: Items.
        discordance: Share of items where the arms differ; as much as the difference needs is
            assumed where it is less.
        power: Chance of finding it.
        alpha: Two-sided level.

    Returns:
        In score; 1 where no difference reaches the power.
    """
    from scipy.optimize import brentq

    def excess(difference: float) -> float:
        return mcnemar_power(n, discordance, difference, alpha) - power

    if excess(1.0) <= 0.0:
        return 1.0
    return float(brentq(excess, 0.0, 1.0, xtol=1e-5))


@lru_cache(maxsize=256)
def _critical(first: int, last: int, alpha: float) -> Numbers:
    """For m = first..last discordant items, the fewest on one side that reject."""
    from scipy.stats import binom

    counts = np.arange(first, last + 1)
    found: Numbers = binom.isf(alpha / 2.0, counts, 0.5) + 1.0
    return found
