"""An interval for a difference that only a handful of items make.

It does not know scores other than right and wrong.
"""

import numpy as np

from rag_adapt.stats.bounds import Bounds, t_quantile
from rag_adapt.stats.clusters import Groups, Numbers, design_effect


def rare_bounds(differences: Numbers, groups: Groups, confidence: float = 0.95) -> Bounds:
    """Bonett and Price's interval for a paired difference of shares (2012).

    One more item fixed and one more broken are counted in, a Laplace correction: the interval
    keeps its width where no or few items differ. In clusters the counts are divided by the design
    effect; the quantile is Student's at G - 1 degrees of freedom.

    Args:
        differences: -1, 0 or 1 for each item.
        groups: The cluster of each item; at least two.
        confidence: Coverage aimed at.
    """
    design = design_effect(differences - differences.mean(), groups)
    n = len(differences) / design + 2.0
    fixed = (float(np.count_nonzero(differences > 0)) / design + 1.0) / n
    broken = (float(np.count_nonzero(differences < 0)) / design + 1.0) / n
    centre = fixed - broken
    half = t_quantile(groups.count - 1, confidence) * ((fixed + broken - centre**2) / n) ** 0.5
    return Bounds(low=max(-1.0, centre - half), high=min(1.0, centre + half))
