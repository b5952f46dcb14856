"""Chooses how a route asks, on dev items and within a budget of answers: equal chances.

It does not know test items, and it is never handed one. Setups are dropped by successive halving
(Jamieson and Talwalkar 2016): each round asks all that are left about the same further items.
"""

import asyncio
import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Final

from rag_adapt.bench.arms import SHOTS, Pick, Setup
from rag_adapt.bench.figures import Candidate, Given
from rag_adapt.bench.runner import Judge, Question, ask_one
from rag_adapt.bench.store import AnswerRow
from rag_adapt.core.errors import PlanError
from rag_adapt.core.protocols import Engine, Progress
from rag_adapt.core.template import Template
from rag_adapt.core.types import Item
from rag_adapt.routes.route import Route

LEAST: Final = 4
"""Dev answers for each setup in the first round; fewer would choose by chance alone."""
SHOWN: Final[tuple[tuple[int, Pick], ...]] = (
    (0, "nearest"),
    (SHOTS, "nearest"),
    (2 * SHOTS, "nearest"),
    (SHOTS, "fixed"),
)
"""Worked examples before the question, the likeliest to help first."""


@dataclass(frozen=True, kw_only=True)
class Tuned:
    """What was chosen for one route, and everything that was asked for it."""

    setup: Setup
    given: Given
    rows: tuple[AnswerRow, ...]


def setups(templates: Mapping[str, Template], kind: str, *, pool: int) -> tuple[Setup, ...]:
    """All setups of a route, the default first.

    Args:
        templates: The skill's.
        kind: Beginning of the templates' names: `prompt` or `context`.
        pool: Training examples there are to show.
    """
    named = [templates[name] for name in sorted(templates) if name.split("-")[0] == kind]
    return tuple(
        Setup(template=template, shots=shots, pick=pick)
        for shots, pick in SHOWN
        for template in named
        if shots <= pool
    )


def affordable(count: int, budget: int) -> int:
    """How many of `count` setups a budget can tell apart: at least one.

    With C setups there are ceil(log2 C) rounds, each with an equal share of the budget.
    """
    for tried in range(count, 1, -1):
        if budget // _rounds(tried) // tried >= LEAST:
            return tried
    return 1


async def tune(
    name: str,
    wanted: Sequence[Setup],
    *,
    build: Callable[[Setup], Route],
    dev: Sequence[Item],
    judge: Judge,
    engine: Engine,
    budget: int,
    examples: int,
    documents: int,
    concurrency: int,
    progress: Progress,
) -> Tuned:
    """Ask the affordable setups about dev items and keep the best.

    The primary score decides, then the mean of the other scorers, then the order of `wanted`. A
    failure counts as zero here.

    Raises:
        PlanError: an item of another split was handed over.
    """
    require_dev(dev)
    left = list(wanted[: affordable(len(wanted), budget) if dev else 1])
    asked: dict[str, list[AnswerRow]] = {setup.name: [] for setup in left}
    stage, total = f"{judge.skill}: {name} on dev", budget if len(left) > 1 else 0
    gate = asyncio.Semaphore(concurrency)

    async def ask(setup: Setup, item: Item) -> None:
        async with gate:
            question = Question(arm=name, route=build(setup), item=item, repeat=0)
            asked[setup.name].append(await ask_one(question, judge=judge, engine=engine))
        progress.update(stage, sum(map(len, asked.values())), total)

    share = budget // _rounds(len(left))
    while len(left) > 1:
        more = max(1, share // len(left))
        start = max(len(rows) for rows in asked.values())
        items = dev[start : start + more]
        if items:
            await asyncio.gather(*(ask(setup, item) for setup in left for item in items))
        left.sort(key=lambda setup: _worth(asked[setup.name]), reverse=True)
        left = left[: math.ceil(len(left) / 2)]
    return _tuned(left[0], asked, len(dev), budget, examples, documents)


def require_dev(items: Sequence[Item]) -> None:
    """Stop where a choice would be made on anything but dev items.

    Raises:
        PlanError: naming the first.
    """
    if foreign := [item.id for item in items if item.split != "dev"]:
        raise PlanError(
            f"tuning was handed item {foreign[0]!r}, which is no dev item",
            hint="Hand over `skill.dev_items` only.",
        )


def _tuned(
    chosen: Setup,
    asked: Mapping[str, Sequence[AnswerRow]],
    dev: int,
    budget: int,
    examples: int,
    documents: int,
) -> Tuned:
    candidates = tuple(
        Candidate(
            name=name,
            score=_worth(rows)[0] if rows else None,
            answers=len(rows),
            chosen=name == chosen.name,
        )
        for name, rows in asked.items()
    )
    given = Given(
        examples=examples,
        documents=documents,
        dev_items=dev,
        budget=budget,
        spent=sum(candidate.answers for candidate in candidates),
        candidates=candidates,
    )
    return Tuned(setup=chosen, given=given, rows=tuple(r for rows in asked.values() for r in rows))


def _rounds(count: int) -> int:
    return max(1, math.ceil(math.log2(max(count, 1))))


def _worth(rows: Sequence[AnswerRow]) -> tuple[float, float]:
    """Mean primary score, then mean of the other scorers: what setups are ranked by."""
    if not rows:
        return 0.0, 0.0
    primary = sum(row.score or 0.0 for row in rows) / len(rows)
    others = [value or 0.0 for row in rows for value in row.scores.values()]
    return primary, sum(others) / len(others) if others else 0.0
