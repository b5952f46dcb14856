"""Times the statistics of a large run, and compares them with plain loops over items.

It does not know reports or runs. Run `python -m benchmarks.statistics`; no model is needed. The
loops are timed on a part of the work and scaled up, as whole they would take minutes.
"""

import random
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from itertools import combinations
from typing import Final

import numpy as np

from rag_adapt.stats.intervals import mean_estimate, paired_difference
from rag_adapt.stats.multiplicity import holm
from rag_adapt.stats.paired import FLIPS, paired_test
from rag_adapt.stats.power import detectable
from rag_adapt.stats.regret import regrets

ARMS: Final = 12
ITEMS: Final = 1000
DRAWS: Final = 4000
WANTED: Final = 5.0
"""Seconds."""
SHOWN: Final = 20
"""Random patterns and draws that a plain loop is timed on."""
Arms = dict[str, list[float]]


@dataclass(frozen=True, kw_only=True)
class Case:
    """One kind of scores."""

    what: str
    arms: Arms
    size: int
    """Items of a cluster."""

    @property
    def clusters(self) -> list[str]:
        return [str(item // self.size) for item in range(ITEMS)]


def main() -> None:
    """Measure and print."""
    chance = np.random.default_rng(0)
    ease = chance.beta(1.0, 1.0, ITEMS)
    binary = {f"arm {arm}": _right(chance, ease) for arm in range(ARMS)}
    graded: Arms = {
        f"arm {arm}": chance.beta(2 * ease + 0.1, 2.1 - 2 * ease).tolist() for arm in range(ARMS)
    }
    cases = (
        Case(what="right or wrong, single items", arms=binary, size=1),
        Case(what="right or wrong, clusters of 2", arms=binary, size=2),
        Case(what="graded, single items", arms=graded, size=1),
        Case(what="graded, clusters of 2", arms=graded, size=2),
    )
    first = seconds(lambda: everything(cases[0]))
    print(f"{ARMS} arms x {ITEMS} items: all {ARMS * (ARMS - 1) // 2} pairs; wanted {WANTED:.0f} s")
    print(f"the first time, with the imports of scipy and statsmodels: {first:.2f} s\n")
    for case in cases:
        print(f"{case.what}: {seconds(partial(everything, case)):.2f} s", flush=True)
    flips, draws = graded_flips(cases[2]), regret_draws(cases[0])
    print(f"\nsign flips of a graded pair: {flips:.0f} times as fast as a plain loop")
    print(f"regrets of {ARMS} arms: {draws:.0f} times as fast as a plain loop")


def everything(case: Case) -> None:
    """Every figure that a report needs of these arms."""
    clusters = case.clusters
    for scores in case.arms.values():
        mean_estimate(scores, clusters)
    ps = []
    for a, b in combinations(case.arms.values(), 2):
        paired_difference(a, b, clusters)
        ps.append(paired_test(a, b, clusters).p)
        detectable(a, b, clusters)
    holm(ps)
    regrets(case.arms, clusters, draws=DRAWS)


def graded_flips(case: Case) -> float:
    """Seconds of a plain loop over patterns and items, over ours."""
    a, b = list(case.arms.values())[:2]
    gaps = [y - x for x, y in zip(a, b, strict=True)]
    ours = seconds(lambda: paired_test(a, b, case.clusters))
    loop = seconds(lambda: plain_flips(gaps, SHOWN)) * FLIPS / SHOWN
    return loop / ours


def plain_flips(gaps: Sequence[float], patterns: int) -> float:
    """The sign-flip test as a textbook writes it."""
    chance, seen, far = random.Random(0), abs(sum(gaps)), 1
    for _ in range(patterns):
        far += abs(sum(gap if chance.random() < 0.5 else -gap for gap in gaps)) >= seen
    return far / (patterns + 1)


def regret_draws(case: Case) -> float:
    """Seconds of a plain loop over draws, arms and items, over ours."""
    ours = seconds(lambda: regrets(case.arms, case.clusters, draws=DRAWS))
    loop = seconds(lambda: plain_draws(case.arms, SHOWN)) * DRAWS / SHOWN
    return loop / ours


def plain_draws(arms: Arms, draws: int) -> list[list[float]]:
    """The Bayesian bootstrap as a textbook writes it."""
    chance, found = random.Random(0), []
    for _ in range(draws):
        weights = [chance.expovariate(1.0) for _ in range(ITEMS)]
        total = sum(weights)
        means = [
            sum(weight * score for weight, score in zip(weights, scores, strict=True)) / total
            for scores in arms.values()
        ]
        found.append([max(means) - mean for mean in means])
    return found


def seconds(work: Callable[[], object]) -> float:
    """Of the clock."""
    start = time.perf_counter()
    work()
    return time.perf_counter() - start


def _right(
    chance: np.random.Generator, chances: np.ndarray[tuple[int], np.dtype[np.float64]]
) -> list[float]:
    found: list[float] = (chance.random(ITEMS) < chances).astype(np.float64).tolist()
    return found


if __name__ == "__main__":
    main()
