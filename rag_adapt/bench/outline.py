"""What a plan will ask and what it can tell, before anything is spent.

It does not know engines: seconds are those of the newest run of the same model, if there is one.
"""

from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass
from typing import Any, Final

from rag_adapt.bench.arms import ARMS
from rag_adapt.bench.doses import doses
from rag_adapt.bench.plan import Plan, choose_examples, choose_items
from rag_adapt.bench.verdict import ROUTES
from rag_adapt.skills.skill import Skill
from rag_adapt.stats.mcnemar import mcnemar_detectable

DISCORDANCE: Final = 0.3
"""Share of items where two routes differ, assumed before anything was seen."""


@dataclass(frozen=True, kw_only=True)
class Outline:
    """What a plan will do with one skill."""

    skill: str
    items: int
    examples: int
    answers: int
    """On test items."""
    dev_answers: int
    """At most, for choosing how routes ask."""
    trainings: int
    """Adapters; those that are stored already are not trained again."""
    detectable: float
    """Difference in score that this many items show with 80 % power, at the strictest of Holm's
    steps, where a share of `DISCORDANCE` of the items differs and items are independent."""
    arms: tuple[str, ...]
    """Those of the dose curve too, for sizes that the examples allow."""
    seconds: float | None
    """Of answers, by the prices of the newest run that measured all these arms; None without."""

    def as_json(self) -> dict[str, Any]:
        """Plain JSON."""
        return asdict(self)


def outline(plan: Plan, reports: Iterable[Mapping[str, Any]] = ()) -> list[Outline]:
    """What the plan will ask, without asking.

    Args:
        plan: The plan.
        reports: Reports of past runs as plain JSON, newest first, for prices.
    """
    prices = _prices(reports)
    return [_line(skill, plan, prices) for skill in plan.skills]


def _line(skill: Skill, plan: Plan, prices: Mapping[tuple[str, str], float]) -> Outline:
    items, examples, calls = _items(skill, plan), _examples(skill, plan), questions(skill, plan)
    lessons = {ARMS[arm].adapter for arm in calls if arm in ARMS} - {None}
    sizes = [size for size in plan.doses if size <= examples]
    shared = examples in sizes and "plain" in lessons and plan.learn_from == "examples"
    known = {arm: prices.get((skill.name, arm)) for arm in calls}
    folds = max(1, plan.folds)
    return Outline(
        skill=skill.name,
        items=items,
        examples=examples,
        answers=sum(calls.values()),
        dev_answers=plan.tune * len({"prompt", "rag"} & set(calls)) * folds,
        trainings=(len(lessons) + len(sizes) - shared) * plan.train_seeds * folds,
        detectable=mcnemar_detectable(items, DISCORDANCE, alpha=_strictest(tuple(calls), plan)),
        arms=tuple(calls),
        seconds=None
        if None in known.values()
        else sum(calls[arm] * (price or 0.0) for arm, price in known.items()),
    )


def questions(skill: Skill, plan: Plan) -> dict[str, int]:
    """By arm, how many answers on test items are asked for: arms that need a corpus only where
    there is one, the dose curve's for sizes that the examples allow."""
    each = _items(skill, plan) * plan.repeats
    arms = [a for a in plan.arms if skill.corpus is not None or not ARMS[a].corpus]
    calls = {arm: each * (plan.train_seeds if ARMS[arm].adapter else 1) for arm in arms}
    there = _examples(skill, plan)
    for dose in doses([size for size in plan.doses if size <= there]):
        calls[dose.arm] = each * (plan.train_seeds if dose.channel == "lora" else 1)
    return calls


def _items(skill: Skill, plan: Plan) -> int:
    tested = skill.items if plan.folds else skill.test_items
    return len(choose_items(tested, plan.items, plan.seed))


def _examples(skill: Skill, plan: Plan) -> int:
    return len(choose_examples(skill.training_items, plan.examples, plan.seed))


def _strictest(arms: tuple[str, ...], plan: Plan) -> float:
    """Level of Holm's first step over the contrasts that these arms allow."""
    routes = sum(arm in ROUTES for arm in arms)
    further = sum(set(pair) <= set(arms) for pair in plan.contrasts)
    return 0.05 / max(1, routes * (routes - 1) // 2 + further)


def _prices(reports: Iterable[Mapping[str, Any]]) -> dict[tuple[str, str], float]:
    """Compute-seconds per answer by skill and arm, the newest that was measured."""
    found: dict[tuple[str, str], float] = {}
    for report in reports:
        for arm in report.get("arms", ()):
            if arm.get("cost") is not None:
                found.setdefault((arm["skill"], arm["arm"]), arm["cost"]["value"])
        for dose in report.get("doses", ()):
            if dose.get("cost") is not None:
                found.setdefault((dose["skill"], dose["arm"]), dose["cost"])
    return found
