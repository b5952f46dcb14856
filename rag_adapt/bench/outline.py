"""What a plan will ask and what it can tell, before anything is spent.

It does not know engines: seconds are those of the newest run of the same model, if there is one.
"""

from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass
from typing import Any, Final

from rag_adapt.bench.arms import ARMS
from rag_adapt.bench.plan import Plan, choose_examples, choose_items
from rag_adapt.bench.verdict import ROUTES
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
    lines = []
    for skill in plan.skills:
        tested = skill.items if plan.folds else skill.test_items
        items = len(choose_items(tested, plan.items, plan.seed))
        arms = tuple(a for a in plan.arms if skill.corpus is not None or not ARMS[a].corpus)
        kinds = [ARMS[arm] for arm in arms]
        lessons = {kind.adapter for kind in kinds if kind.adapter}
        folds, seeds = max(1, plan.folds), plan.train_seeds
        tunable = sum(arm in ("prompt", "rag") for arm in arms)
        calls = {arm: items * plan.repeats * (seeds if ARMS[arm].adapter else 1) for arm in arms}
        known = [prices.get((skill.name, arm)) for arm in arms]
        lines.append(
            Outline(
                skill=skill.name,
                items=items,
                examples=len(choose_examples(skill.training_items, plan.examples, plan.seed)),
                answers=sum(calls.values()),
                dev_answers=plan.tune * tunable * folds,
                trainings=len(lessons) * seeds * folds,
                detectable=mcnemar_detectable(items, DISCORDANCE, alpha=_strictest(arms, plan)),
                arms=arms,
                seconds=None
                if None in known
                else sum(n * (p or 0.0) for n, p in zip(calls.values(), known, strict=True)),
            )
        )
    return lines


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
    return found
