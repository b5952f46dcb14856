"""What the answers show beside the figures: fixed and broken items, and mixed-up labels.

It does not know charts or markup. Answers stream by twice; traces are never kept.
"""

import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Final

from rag_adapt.bench.figures import Pair, Report
from rag_adapt.bench.store import AnswerRow

SHOWN_ITEMS: Final = 20
"""Fixed items of a pair whose answers are shown, and as many broken ones."""
NO_LABEL: Final = "no label"
_EVEN: Final = 1e-9
"""Differences of mean scores below this are rounding."""

Rows = Callable[[], Iterable[AnswerRow]]
ArmOf = tuple[str, str]
"""Skill, arm."""


@dataclass(frozen=True, kw_only=True)
class Said:
    """One answer as far as the page shows it."""

    output: str | None
    score: float
    repeat: int
    train_seed: int | None


@dataclass(frozen=True, kw_only=True)
class Turned:
    """An item that one arm got better than the other, with both answers."""

    item: str
    input: str
    targets: tuple[str, ...]
    a: Said
    b: Said
    a_mean: float
    b_mean: float
    """Mean scores over the item's answers."""


@dataclass(frozen=True, kw_only=True)
class Turns:
    """What b fixed and broke against a, on the items that both answered."""

    pair: Pair
    fixed: int
    broken: int
    fixed_items: tuple[Turned, ...]
    """At most `SHOWN_ITEMS`, largest change first."""
    broken_items: tuple[Turned, ...]


@dataclass(frozen=True, kw_only=True)
class Confusion:
    """Answers of one arm by target and answered label; a failure is in none."""

    skill: str
    arm: str
    labels: tuple[str, ...]
    """Targets first, then labels that were answered and never asked for."""
    counts: Mapping[tuple[str, str], int]
    """By target and answer; an answer may be `NO_LABEL`."""


@dataclass(frozen=True, kw_only=True)
class Evidence:
    """Everything the page takes from the answers themselves."""

    turns: Mapping[str, tuple[Turns, ...]]
    """By skill, in the order of its pairs."""
    confusions: Mapping[str, tuple[Confusion, ...]]
    """By skill, for those scored by label."""
    answers: int
    """Lines read."""


@dataclass
class _Means:
    """Sum and number of an item's scores."""

    total: float = 0.0
    count: int = 0

    @property
    def mean(self) -> float:
        return self.total / self.count


@dataclass
class _FirstPass:
    """What one reading of all answers leaves behind: figures by item, no texts but labels."""

    label_skills: frozenset[str]
    paired: frozenset[ArmOf]
    means: dict[ArmOf, dict[str, _Means]] = field(default_factory=dict)
    counts: dict[ArmOf, dict[tuple[str, str], int]] = field(default_factory=dict)
    answers: int = 0

    def add(self, row: AnswerRow) -> None:
        self.answers += 1
        arm = (row.skill, row.arm)
        if row.failure is not None or row.score is None:
            return
        if arm in self.paired:
            mean = self.means.setdefault(arm, {}).setdefault(row.item, _Means())
            mean.total += row.score
            mean.count += 1
        if row.skill in self.label_skills:
            hit = row.extracted is not None and row.extracted in row.targets
            answered = row.target if hit else (row.extracted or NO_LABEL)
            counts = self.counts.setdefault(arm, {})
            counts[row.target, answered] = counts.get((row.target, answered), 0) + 1


def gather(report: Report, rows: Rows) -> Evidence:
    """Read the answers twice: once for what turned, once for the texts of what is shown."""
    scorers = report.run.get("scorers", {})
    first = _FirstPass(
        label_skills=frozenset(skill for skill, name in scorers.items() if name == "label"),
        paired=frozenset((p.skill, arm) for p in report.pairs for arm in (p.a, p.b)),
    )
    for row in rows():
        first.add(row)
    chosen = {(p.skill, p.a, p.b): _choose(p, first) for p in report.pairs}
    texts = _texts(rows, chosen)
    turns: dict[str, list[Turns]] = {}
    for pair in report.pairs:
        found = chosen[pair.skill, pair.a, pair.b]
        turns.setdefault(pair.skill, []).append(_turns(pair, found, first, texts))
    return Evidence(
        turns={skill: tuple(found) for skill, found in turns.items()},
        confusions=_confusions(report, first),
        answers=first.answers,
    )


@dataclass(frozen=True, kw_only=True)
class _Chosen:
    """The items of a pair that turned, largest change first."""

    fixed: tuple[str, ...]
    broken: tuple[str, ...]

    @property
    def shown(self) -> tuple[str, ...]:
        return self.fixed[:SHOWN_ITEMS] + self.broken[:SHOWN_ITEMS]


def _choose(pair: Pair, first: _FirstPass) -> _Chosen:
    a, b = (first.means.get((pair.skill, arm), {}) for arm in (pair.a, pair.b))
    change = {item: b[item].mean - a[item].mean for item in a if item in b}
    ordered = sorted(change, key=lambda item: (-abs(change[item]), _natural(item)))
    return _Chosen(
        fixed=tuple(item for item in ordered if change[item] > _EVEN),
        broken=tuple(item for item in ordered if change[item] < -_EVEN),
    )


def _natural(name: str) -> list[str]:
    """A name as people order it: item 2 before item 10."""
    return [part.zfill(12) if part.isdigit() else part for part in re.split(r"(\d+)", name)]


@dataclass
class _Texts:
    """An item's question, and an arm's worst and best answer to it."""

    input: str
    targets: tuple[str, ...]
    worst: Said
    best: Said


TextKey = tuple[str, str, str]
"""Skill, arm, item."""


def _texts(rows: Rows, chosen: Mapping[tuple[str, str, str], _Chosen]) -> dict[TextKey, _Texts]:
    wanted = {
        (skill, arm, item)
        for (skill, a, b), found in chosen.items()
        for item in found.shown
        for arm in (a, b)
    }
    texts: dict[TextKey, _Texts] = {}
    for row in rows() if wanted else ():
        key = (row.skill, row.arm, row.item)
        if key not in wanted or row.failure is not None or row.score is None:
            continue
        said = Said(
            output=row.output, score=row.score, repeat=row.repeat, train_seed=row.train_seed
        )
        known = texts.setdefault(
            key, _Texts(input=row.input, targets=row.targets, worst=said, best=said)
        )
        known.worst = min(known.worst, said, key=lambda one: one.score)
        known.best = max(known.best, said, key=lambda one: one.score)
    return texts


def _turns(pair: Pair, found: _Chosen, first: _FirstPass, texts: Mapping[TextKey, _Texts]) -> Turns:
    def turned(item: str, *, fixed: bool) -> Turned:
        a, b = (texts[pair.skill, arm, item] for arm in (pair.a, pair.b))
        means = [first.means[pair.skill, arm][item].mean for arm in (pair.a, pair.b)]
        return Turned(
            item=item,
            input=a.input,
            targets=a.targets,
            a=a.worst if fixed else a.best,
            b=b.best if fixed else b.worst,
            a_mean=means[0],
            b_mean=means[1],
        )

    return Turns(
        pair=pair,
        fixed=len(found.fixed),
        broken=len(found.broken),
        fixed_items=tuple(turned(item, fixed=True) for item in found.fixed[:SHOWN_ITEMS]),
        broken_items=tuple(turned(item, fixed=False) for item in found.broken[:SHOWN_ITEMS]),
    )


def _confusions(report: Report, first: _FirstPass) -> dict[str, tuple[Confusion, ...]]:
    """One per measured arm of a skill scored by label; all arms of a skill share its labels."""
    found: dict[str, list[Confusion]] = {}
    for arm in report.arms:
        counts = first.counts.get((arm.skill, arm.arm))
        if counts and not arm.control:
            labels = _labels(report, arm.skill, first)
            found.setdefault(arm.skill, []).append(
                Confusion(skill=arm.skill, arm=arm.arm, labels=labels, counts=counts)
            )
    return {skill: tuple(ones) for skill, ones in found.items()}


def _labels(report: Report, skill: str, first: _FirstPass) -> tuple[str, ...]:
    declared: Sequence[str] = report.run.get("labels", {}).get(skill, ())
    cells = [cell for (s, _), counts in first.counts.items() if s == skill for cell in counts]
    targets = sorted({target for target, _ in cells})
    answered = sorted({answer for _, answer in cells if answer != NO_LABEL})
    return tuple(dict.fromkeys([*declared, *targets, *answered]))
