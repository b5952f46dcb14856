"""What one arm's answers add up to, while they stream by.

It does not know other arms, nor how figures are shown. Traces are dropped at once, so memory
grows with items.
"""

from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field

from rag_adapt.bench.store import AnswerRow
from rag_adapt.core.types import Estimate
from rag_adapt.scoring.choice import plain
from rag_adapt.stats.intervals import mean_estimate


@dataclass
class Tally:
    """Figures of one arm of one skill."""

    scores: dict[str, dict[int | None, list[float]]] = field(default_factory=dict)
    """By item and training seed: one value per repeat."""
    clusters: dict[str, str] = field(default_factory=dict)
    folds: dict[str, int] = field(default_factory=dict)
    """Of the items that were tested under cross-fitting."""
    leaked: set[str] = field(default_factory=set)
    """Items whose input the leak firewall met elsewhere."""
    tags: dict[str, tuple[str, ...]] = field(default_factory=dict)
    gold_found: dict[str, bool] = field(default_factory=dict)
    """Of the items for which it is known: whether a gold span stood in the prompt."""
    failed: dict[str, str] = field(default_factory=dict)
    """Items with a failure, and their cluster."""
    others: dict[str, dict[str, list[float]]] = field(default_factory=dict)
    """By scorer, then item."""
    chosen: dict[str, list[float]] = field(default_factory=dict)
    """By item: whether the likeliest label was a target, one value per answer."""
    failures: dict[str, int] = field(default_factory=dict)
    """By code."""
    unscored: int = 0
    tokens_in: int = 0
    tokens_out: int = 0
    seconds: float = 0.0
    cached: int = 0
    alone: list[tuple[float, float]] = field(default_factory=list)
    """First-token and total seconds of answers computed alone."""

    def add(self, row: AnswerRow) -> None:
        """Count one answer."""
        if row.failure is not None:
            self.failures[row.failure] = self.failures.get(row.failure, 0) + 1
            self.failed[row.item] = row.cluster
            return
        self.tokens_in += row.tokens_in
        self.tokens_out += row.tokens_out
        self.seconds += max(0.0, (row.total or 0.0) - row.queued)
        self.cached += row.cached
        if row.alone and not row.cached and row.total is not None:
            self.alone.append((row.first_token or row.total, row.total))
        for name, value in row.scores.items():
            if value is not None:
                self.others.setdefault(name, {}).setdefault(row.item, []).append(value)
        if row.choice:
            self.chosen.setdefault(row.item, []).append(float(chose_target(row)))
        if row.score is None:
            self.unscored += 1
            return
        self._count(row, row.score)

    def _count(self, row: AnswerRow, score: float) -> None:
        """Note a scored answer, and what is known of its item."""
        self.scores.setdefault(row.item, {}).setdefault(row.train_seed, []).append(score)
        self.clusters[row.item] = row.cluster
        if row.fold is not None:
            self.folds[row.item] = row.fold
        if row.leaked:
            self.leaked.add(row.item)
        if row.tags:
            self.tags[row.item] = row.tags
        if row.gold_found is not None:
            self.gold_found[row.item] = row.gold_found

    def means(self, seed: int | None = None) -> dict[str, float]:
        """By item, the mean over repeats, then over training seeds; or of one seed alone."""
        found = {}
        for item, by_seed in self.scores.items():
            kept = by_seed if seed is None else {s: v for s, v in by_seed.items() if s == seed}
            if kept:
                found[item] = mean([mean(values) for values in kept.values()])
        return found

    @property
    def answers(self) -> int:
        """All that were asked for, failures and unscored ones included."""
        scored = sum(len(values) for by in self.scores.values() for values in by.values())
        return scored + self.unscored + sum(self.failures.values())

    @property
    def seeds(self) -> tuple[int, ...]:
        """Training seeds of the adapters that answered, in order."""
        return tuple(sorted({s for by in self.scores.values() for s in by if s is not None}))

    def seed_means(self, items: Collection[str]) -> list[float] | None:
        """The mean over these items for each training seed; None where there are not several."""
        if len(self.seeds) < 2:
            return None
        return [mean([m for i, m in self.means(s).items() if i in items]) for s in self.seeds]

    def by_seed(self, items: Sequence[str]) -> dict[int, list[float]]:
        """For each training seed one score per item, in this order; empty without several.

        An item that one seed did not answer counts there as its mean over the others.
        """
        if len(self.seeds) < 2:
            return {}
        means, found = self.means(), {}
        for seed in self.seeds:
            own = self.means(seed)
            found[seed] = [own.get(item, means[item]) for item in items]
        return found

    def estimate(self, items: Collection[str] | None = None) -> Estimate | None:
        """The mean score with its interval, over all items or some; None where there are none."""
        means = {i: m for i, m in self.means().items() if items is None or i in items}
        if not means:
            return None
        return mean_estimate(
            list(means.values()),
            [self.clusters[item] for item in means],
            folds=self.folds_of(means),
            seed_means=self.seed_means(means),
        )

    def folds_of(self, items: Iterable[str]) -> list[int] | None:
        """The fold of each item; None without cross-fitting."""
        return [self.folds[item] for item in items] if self.folds else None


def tally(rows: Iterable[AnswerRow]) -> dict[tuple[str, str], Tally]:
    """Add up all rows, by skill and arm."""
    tallies: dict[tuple[str, str], Tally] = {}
    for row in rows:
        tallies.setdefault((row.skill, row.arm), Tally()).add(row)
    return tallies


def chose_target(row: AnswerRow) -> bool:
    """Whether the label with the fewest bits per byte is an accepted answer; the first on ties."""
    choice: Mapping[str, float] = row.choice or {}
    best = min(choice, key=lambda label: choice[label])
    return plain(best) in {plain(target) for target in row.targets}


def mean(values: Sequence[float]) -> float:
    """The arithmetic mean of at least one value."""
    return sum(values) / len(values)
