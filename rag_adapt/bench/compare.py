"""Two runs side by side: scores, paired differences, fixed and broken items, what else differs.

It does not know how the comparison is printed. Items pair by id, and only where their input is
the same; runs that are not comparable are compared all the same, and say so.
"""

import sys
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any, Final

from pydantic import BaseModel, ConfigDict

from rag_adapt.bench.store import AnswerRow, RunFolder
from rag_adapt.core.errors import RunNotFoundError
from rag_adapt.core.types import content_hash
from rag_adapt.stats.intervals import mean_estimate, paired_difference

MODEL: Final = ("model.engine", "model.weights", "model.template_hash", "model.dtype")
"""What makes a model another model."""
NOT_COMPARED: Final = frozenset(
    {"id", "created", "command", "plan_hash", "plan.skills", "plan.model"}
)
"""Names of the run itself, and what stands under a name of its own."""
_EVEN: Final = 1e-9


class _Model(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class Side(_Model):
    """One arm's score in one of the runs."""

    score: float
    ci_low: float
    ci_high: float
    n: int
    """Items with a score."""


class Change(_Model):
    """b minus a, on the items that both runs answered."""

    n: int
    delta: float
    ci_low: float
    ci_high: float
    fixed: tuple[str, ...]
    """Items that scored higher in b."""
    broken: tuple[str, ...]
    """Items that scored lower in b."""


class ArmComparison(_Model):
    """One arm of one skill in both runs; null where a run has no score for it."""

    skill: str
    arm: str
    a: Side | None
    b: Side | None
    change: Change | None
    """Null where no item can be paired."""
    other_inputs: int = 0
    """Items of the same id whose input differs: they are not paired."""


class Different(_Model):
    """Something that was not the same in both runs."""

    what: str
    """A path such as `plan.seed` or `versions.torch`."""
    a: Any
    b: Any


class Comparison(_Model):
    """Two runs side by side."""

    a: str
    b: str
    comparable: bool
    reasons: tuple[str, ...]
    """Why a difference of scores may have another cause than what was meant to be tried."""
    different: tuple[Different, ...]
    arms: tuple[ArmComparison, ...]


@dataclass
class _Scored:
    """One item's scores in one run."""

    cluster: str
    input_hash: str
    values: list[float] = field(default_factory=list)

    @property
    def mean(self) -> float:
        return sum(self.values) / len(self.values)


ArmOf = tuple[str, str]
"""Skill, arm."""
Items = dict[str, _Scored]


def compare(a: RunFolder, b: RunFolder) -> Comparison:
    """Compare two runs arm by arm; reads each run's answers once and keeps no text.

    Raises:
        StorageError: an answer's line is damaged.
    """
    before, after = _scored(a.rows()), _scored(b.rows())
    told_a, told_b = _told(a), _told(b)
    different = tuple(_differences(told_a, told_b))
    figures_a, figures_b = _figures(a), _figures(b)
    arms = tuple(
        _arm(arm, before.get(arm, {}), after.get(arm, {}), figures_a.get(arm), figures_b.get(arm))
        for arm in dict.fromkeys([*before, *after])
    )
    reasons = (*_reasons(different), *_other_inputs(arms), *_nothing_shared(arms))
    return Comparison(
        a=a.path.name,
        b=b.path.name,
        comparable=not reasons,
        reasons=reasons,
        different=different,
        arms=tuple(sorted(arms, key=lambda one: _place(one, told_b, told_a))),
    )


def _scored(rows: Iterable[AnswerRow]) -> dict[ArmOf, Items]:
    found: dict[ArmOf, Items] = {}
    for row in rows:
        if row.score is not None and row.failure is None:
            items = found.setdefault((row.skill, row.arm), {})
            fresh = _Scored(cluster=row.cluster, input_hash=content_hash(row.input))
            items.setdefault(row.item, fresh).values.append(row.score)
    return found


def _arm(
    arm: ArmOf, before: Items, after: Items, kept_a: Side | None, kept_b: Side | None
) -> ArmComparison:
    shared = [item for item in before if item in after]
    paired = [item for item in shared if before[item].input_hash == after[item].input_hash]
    return ArmComparison(
        skill=arm[0],
        arm=arm[1],
        a=kept_a or _side(before),
        b=kept_b or _side(after),
        change=_change(paired, before, after) if paired else None,
        other_inputs=len(shared) - len(paired),
    )


def _side(items: Items) -> Side | None:
    """An arm's score, for a run whose report has none: it was not finished."""
    if not items:
        return None
    scored = list(items.values())
    found = mean_estimate([one.mean for one in scored], [one.cluster for one in scored])
    return Side(score=found.value, ci_low=found.low, ci_high=found.high, n=found.n)


def _change(paired: list[str], before: Items, after: Items) -> Change:
    old = [before[item].mean for item in paired]
    new = [after[item].mean for item in paired]
    found = paired_difference(old, new, [after[item].cluster for item in paired])
    turned = dict(zip(paired, (y - x for x, y in zip(old, new, strict=True)), strict=True))
    return Change(
        n=found.n,
        delta=found.value,
        ci_low=found.low,
        ci_high=found.high,
        fixed=tuple(sorted(item for item, by in turned.items() if by > _EVEN)),
        broken=tuple(sorted(item for item, by in turned.items() if by < -_EVEN)),
    )


def _kept(run: RunFolder) -> dict[str, Any]:
    """The run's report as it was written, under whichever schema; empty if it has none."""
    try:
        return run.report()
    except RunNotFoundError:
        return {}


def _figures(run: RunFolder) -> dict[ArmOf, Side]:
    """The scores that the run itself reported: they account for its folds and seeds."""
    found = {}
    for arm in _kept(run).get("arms", ()):
        figures = [arm.get(name) for name in ("score", "ci_low", "ci_high", "n")]
        if None not in figures:
            score, low, high, n = figures
            side = Side(score=score, ci_low=low, ci_high=high, n=n)
            found[arm["skill"], arm["arm"]] = side
    return found


def _told(run: RunFolder) -> dict[str, Any]:
    """What the run says of itself: from its report, else from its header."""
    header = run.header
    told = {
        "plan": header.plan,
        "model": header.fingerprint,
        "skills": header.plan.get("skills", {}),
    }
    reported: dict[str, Any] = _kept(run).get("run", {})
    return told | reported


def _place(one: ArmComparison, *told: Mapping[str, Any]) -> tuple[str, int]:
    """Skills by name, arms in the order of the plan that has them."""
    for run in told:
        arms = run.get("plan", {}).get("arms", ())
        if one.arm in arms:
            return one.skill, list(arms).index(one.arm)
    return one.skill, sys.maxsize


def _differences(a: Mapping[str, Any], b: Mapping[str, Any]) -> Iterator[Different]:
    flat_a, flat_b = (
        dict(_flat("", {key: run[key] for key in run if key in a and key in b})) for run in (a, b)
    )
    for what in dict.fromkeys([*flat_a, *flat_b]):
        if flat_a.get(what) != flat_b.get(what):
            yield Different(what=what, a=flat_a.get(what), b=flat_b.get(what))


def _flat(path: str, value: Mapping[str, Any]) -> Iterator[tuple[str, Any]]:
    for key, inner in value.items():
        where = f"{path}.{key}" if path else key
        if where in NOT_COMPARED:
            continue
        if isinstance(inner, Mapping):
            yield from _flat(where, inner)
        else:
            yield where, inner


def _reasons(different: Iterable[Different]) -> Iterator[str]:
    """The differences after which scores answer different questions, in words."""
    for one in different:
        if one.what.startswith("skills.") and None not in (one.a, one.b):
            skill = one.what.removeprefix("skills.")
            yield f"skill {skill!r} has other data: {one.a} in a, {one.b} in b"
        elif one.what in MODEL or one.what.startswith("scorers."):
            yield f"{one.what} differs: {one.a} in a, {one.b} in b"


def _other_inputs(arms: Iterable[ArmComparison]) -> Iterator[str]:
    changed: dict[str, int] = {}
    for one in arms:
        changed[one.skill] = max(changed.get(one.skill, 0), one.other_inputs)
    for skill, count in changed.items():
        if count:
            yield f"{count} items of {skill!r} have the same id and another input: not paired"


def _nothing_shared(arms: Iterable[ArmComparison]) -> Iterator[str]:
    if not any(one.change is not None for one in arms):
        yield "no item was answered by the same arm of the same skill in both runs"
