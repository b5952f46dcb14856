"""Several tests at once: p values adjusted for the number of declared contrasts.

It does not know which contrasts they belong to.
"""

from collections.abc import Sequence


def holm(ps: Sequence[float]) -> list[float]:
    """Holm's step-down adjusted p values (Holm 1979), in the order given.

    A contrast is decided at 5 % exactly where its adjusted p is at most 0.05; then the chance of
    one or more false decisions in the family is at most 5 %, however the tests depend on one
    another.
    """
    from statsmodels.stats.multitest import multipletests

    if not ps:
        return []
    return [float(p) for p in multipletests(ps, method="holm")[1]]
