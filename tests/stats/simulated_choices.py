"""Whether regret means what it says, and whether cross-fitting is fair.

They do not know how regret is sampled: a twin of the public function says it.
"""

from dataclasses import dataclass, replace
from functools import lru_cache, partial
from typing import Final

import numpy as np

from tests.stats.simulated import RUNS, Case, Numbers, World, logistic, right
from tests.stats.twins_of_intervals import regret_rows

DRAWS: Final = 100
"""Of each regret here; enough, as the figures are averages over runs."""
ADAPTED: Final = 2
"""Arms from this one on have adapters."""


@dataclass(frozen=True, kw_only=True)
class Contest:
    """Four arms, the last two with adapters, the best-looking chosen each time."""

    items: int
    size: int = 1
    """Items of a cluster."""
    spread: float
    """Of the arms' log odds."""
    seeds: int = 1
    """Training seeds; one is a particular adapter, whose own score is then the truth."""
    seed: float = 0.0
    """Spread of training seeds, in log odds."""
    blind: bool = False
    """Whether regret is not told of the seeds."""

    @property
    def name(self) -> str:
        seeds = f", {self.seeds} seeds, spread {self.seed}" if self.seeds > 1 else ""
        clusters = f"{self.items // self.size} clusters of {self.size}"
        return f"{clusters}, spread {self.spread}{seeds}"

    def truths(self, levels: Numbers) -> Numbers:
        """Expected scores over items, and over training seeds where there are several."""
        own = 1.0 if self.size > 1 else 0.0
        grid = np.linspace(-6.0, 7.0, 131)
        found = []
        for arm in range(4):
            world = World(items=1, clusters=own, seed=self.seed if arm >= ADAPTED else 0.0)
            expected = [world.truth(float(level)) for level in grid]
            found.append(np.interp(levels[:, arm], grid, expected))
        return np.stack(found, axis=1)

    def cells(self, chance: np.random.Generator, levels: Numbers) -> Numbers:
        """Answers; shape (runs, arms, seeds, items)."""
        groups, own = self.items // self.size, 1.0 if self.size > 1 else 0.0
        shared = chance.standard_normal((RUNS, 1, groups, self.size))
        leaning = own * chance.standard_normal((RUNS, 4, groups, 1))
        odds = (levels[:, :, None, None] + shared + leaning).reshape(RUNS, 4, 1, self.items)
        trained = self.seed * chance.standard_normal((RUNS, 4, self.seeds, 1))
        trained[:, :ADAPTED] = 0.0
        cells = right(chance, logistic(odds + trained))
        cells[:, :ADAPTED] = cells[:, :ADAPTED, :1]
        return cells


@dataclass(frozen=True, kw_only=True)
class Outcome:
    """Averages over runs."""

    expected: float
    realised: float
    beyond: float
    """Share of runs beyond the 95 % bound."""


@lru_cache(maxsize=16)
def outcome(contest: Contest) -> Outcome:
    """Run it."""
    chance = np.random.default_rng(contest.items)
    levels = chance.normal(0.5, 1.0, (RUNS, 1)) + chance.normal(0.0, contest.spread, (RUNS, 4))
    truths, cells = contest.truths(levels), contest.cells(chance, levels)
    arms, runs = cells.mean(axis=2), np.arange(RUNS)
    told = contest.seeds > 1 and not contest.blind
    found = regret_rows(arms, contest.size, DRAWS, by_seed=cells[:, ADAPTED:] if told else None)
    best = arms.mean(axis=2).argmax(axis=1)
    realised = truths.max(axis=1) - truths[runs, best]
    return Outcome(
        expected=float(found.expected[runs, best].mean()),
        realised=float(realised.mean()),
        beyond=float((realised > found.at_most[runs, best]).mean()),
    )


def ratio(contest: Contest) -> float:
    """Mean expected regret over mean realised regret."""
    found = outcome(contest)
    return found.expected / found.realised


def beyond(contest: Contest) -> float:
    """How often the bound did not hold."""
    return outcome(contest).beyond


def cross_fitted() -> float:
    """Bias of a cross-fitted mean: each fold's choice among five prompts, blind to its items."""
    chance = np.random.default_rng(3)
    return _chosen_mean(chance, blind=True)


def chosen_on_the_test() -> float:
    """The same choice made on all items, its test items among them."""
    return _chosen_mean(np.random.default_rng(3), blind=False)


def _chosen_mean(chance: np.random.Generator, *, blind: bool) -> float:
    world = World(items=100, folds=5, fold=0.4, level=0.3)
    prompts = np.stack([world.scores(chance, RUNS)[:, 0] for _ in range(5)], axis=1)
    means = []
    for fold in range(world.folds):
        inside = world.fold_numbers() == fold
        judged = prompts[:, :, ~inside] if blind else prompts
        best = judged.mean(axis=2).argmax(axis=1)
        means.append(prompts[np.arange(RUNS), best][:, inside].mean(axis=1))
    return float(np.mean(means) - world.truth())


CONTESTS: Final = (
    (Contest(items=24, spread=0.6), 1.5),
    (Contest(items=60, spread=0.3), 1.25),
    (Contest(items=120, size=4, spread=0.6), 1.6),
    (Contest(items=60, spread=0.3, seeds=3), 1.35),
    (Contest(items=60, spread=0.3, seeds=3, seed=0.5), 1.35),
    (Contest(items=120, size=4, spread=0.6, seeds=3, seed=0.5), 1.5),
    (Contest(items=120, spread=0.3, seeds=3, seed=1.0), 1.15),
    (Contest(items=60, spread=0.3, seeds=2, seed=0.5), 1.35),
)
"""With the largest ratio of expected to realised regret that is accepted."""
BLIND: Final = replace(CONTESTS[-2][0], blind=True)

CASES: Final = (
    *(
        case
        for contest, most in CONTESTS
        for case in (
            Case(
                name=f"regret of the chosen arm, {contest.name}: expected over realised",
                measure=partial(ratio, contest),
                low=0.85,
                high=most,
            ),
            Case(
                name=f"regret of the chosen arm, {contest.name}: beyond the bound",
                measure=partial(beyond, contest),
                low=0.01,
                high=0.055,
            ),
        )
    ),
    Case(
        name=f"not used: regret that knows items alone, {BLIND.name}: beyond the bound",
        measure=partial(beyond, BLIND),
        low=0.2,
        high=0.5,
    ),
    Case(name="cross-fitted mean: bias", measure=cross_fitted, low=-0.0025, high=0.0025),
    Case(
        name="not used: a prompt chosen on its own test items: bias",
        measure=chosen_on_the_test,
        low=0.01,
        high=0.2,
    ),
)
