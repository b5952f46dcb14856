"""Asks every question of a plan, arms interleaved, and keeps every answer as it comes.

It does not know how routes are built or what the answers are worth to anyone.
"""

import asyncio
import random
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

from rag_adapt.bench.gold import gold_found
from rag_adapt.bench.likelihood import bits_of_labels
from rag_adapt.bench.store import AnswerRow, RowKey, RunWriter
from rag_adapt.core.protocols import Engine, Progress, Scorer
from rag_adapt.core.trace import Answer, Failure, Trace
from rag_adapt.core.types import Draft, Item, Passage, Sampling


class Answers(Protocol):
    """What answers questions: a route, or a reference that asks no model."""

    def spec(self) -> dict[str, Any]:
        """Plain JSON: its identity."""
        ...

    async def answer(
        self, draft: Draft, *, engine: Engine, sampling: Sampling, repeat: int = 0
    ) -> Answer | Failure:
        """One answer or failure."""
        ...


@dataclass(frozen=True, kw_only=True)
class Question:
    """One answer to be had: an arm, an item, a repeat."""

    arm: str
    route: Answers
    item: Item
    repeat: int
    gold: tuple[Passage, ...] = ()
    """For the oracle arm alone."""
    train_seed: int | None = None
    """Of the adapter that answers; None where there is none."""
    again: bool = False
    """Asked as one more repeat than was planned, so that no kept answer is taken."""
    choice: bool = False
    """Whether every label is scored too."""


@dataclass(frozen=True, kw_only=True)
class Judge:
    """How one skill's answers are asked for and scored: the same for all its arms."""

    skill: str
    labels: tuple[str, ...]
    sampling: Mapping[int, Sampling]
    """By repeat."""
    scorer: Scorer
    others: Mapping[str, Scorer]
    fold: int | None = None
    leaked: frozenset[str] = frozenset()
    """Test items that the leak firewall met elsewhere."""

    def row(self, question: Question, result: Answer | Failure) -> AnswerRow:
        """Score a result and make its line for the record."""
        item = question.item
        base = AnswerRow(
            skill=self.skill,
            arm=question.arm,
            item=item.id,
            cluster=item.cluster,
            repeat=question.repeat,
            input=item.input,
            target=item.targets[0],
            targets=item.targets,
            output=None,
            score=None,
            train_seed=question.train_seed,
            fold=self.fold,
            leaked=item.id in self.leaked,
            tags=item.tags,
            gold_found=gold_found(item, result.trace),
            trace=result.trace.as_json(),
        )
        if isinstance(result, Failure):
            return base.model_copy(
                update={
                    "failure": result.code,
                    "failure_message": result.message,
                    "failure_hint": result.hint,
                }
            )
        outcome, score = result.outcome, self.scorer.score(result.text, item)
        return base.model_copy(
            update={
                "output": result.text,
                "score": score.value,
                "extracted": score.extracted,
                "scores": {n: s.score(result.text, item).value for n, s in self.others.items()},
                "tokens_in": outcome.usage.tokens_in,
                "tokens_out": outcome.usage.tokens_out,
                "queued": outcome.times.queued,
                "first_token": outcome.times.first_token,
                "total": outcome.times.total,
                "alone": outcome.times.alone,
                "cached": outcome.times.cached,
            }
        )


@dataclass(frozen=True, kw_only=True)
class Contender:
    """What answers for an arm; an arm with several training seeds has one for each."""

    arm: str
    route: Answers
    train_seed: int | None = None
    again: bool = False
    choice: bool = False


def interleave(
    contenders: Sequence[Contender],
    items: Sequence[Item],
    *,
    repeats: int,
    seed: int,
    gold: Mapping[str, tuple[Passage, ...]],
) -> list[Question]:
    """All questions of one skill in a seeded random order, so that no arm has a better hour."""
    questions = [
        Question(
            arm=one.arm,
            route=one.route,
            item=item,
            repeat=repeat,
            gold=gold.get(item.id, ()) if one.arm == "oracle" else (),
            train_seed=one.train_seed,
            again=one.again,
            choice=one.choice,
        )
        for one in contenders
        for item in items
        for repeat in range(repeats)
    ]
    random.Random(seed).shuffle(questions)
    return questions


async def run_questions(
    questions: Sequence[Question],
    *,
    judge: Judge,
    engine: Engine,
    writer: RunWriter,
    done: set[RowKey],
    latency_items: int,
    concurrency: int,
    progress: Progress,
) -> None:
    """Ask what is not yet answered: first a few of each arm alone, then the rest at once."""
    stage = f"{judge.skill}: answers"
    waiting = [q for q in questions if _key(judge, q) not in done]
    finished = len(questions) - len(waiting)
    progress.update(stage, finished, len(questions))

    async def ask(question: Question, *, alone: bool = False) -> None:
        nonlocal finished
        row = await ask_one(question, judge=judge, engine=engine)
        writer.append(row.model_copy(update={"alone": row.alone and alone}))
        finished += 1
        progress.update(stage, finished, len(questions))

    first, together = split_alone(waiting, latency_items)
    for question in first:
        await ask(question, alone=True)
    rest = iter(together)

    async def work() -> None:
        for question in rest:
            await ask(question)

    async with asyncio.TaskGroup() as group:
        for _ in range(min(concurrency, len(together))):
            group.create_task(work())


def split_alone(
    questions: Sequence[Question], per_arm: int
) -> tuple[list[Question], list[Question]]:
    """The first `per_arm` questions of each arm, and the rest; both in the given order."""
    taken: dict[str, int] = {}
    alone: list[Question] = []
    together: list[Question] = []
    for question in questions:
        taken[question.arm] = taken.get(question.arm, 0) + 1
        (alone if taken[question.arm] <= per_arm else together).append(question)
    return alone, together


async def ask_one(question: Question, *, judge: Judge, engine: Engine) -> AnswerRow:
    """One answer, scored; a fault of ours becomes a failure with its own code."""
    draft = Draft(
        item_id=question.item.id,
        input=question.item.input,
        labels=judge.labels,
        gold=question.gold,
    )
    result: Answer | Failure
    choice = None
    try:
        result = await question.route.answer(
            draft,
            engine=engine,
            sampling=judge.sampling[question.repeat],
            repeat=question.repeat + len(judge.sampling) * question.again,
        )
        if question.choice and judge.labels and isinstance(result, Answer):
            choice = await bits_of_labels(engine, result.outcome.sent, judge.labels)
    except Exception as error:  # noqa: BLE001 - the runner's per-item guard
        result = Failure(
            code="internal",
            message=f"{type(error).__name__}: {error}",
            hint="This is a fault of rag-adapt: report it with this line of answers.jsonl.",
            retryable=False,
            trace=Trace(route=question.route.spec(), item=question.item.id),
        )
    return judge.row(question, result).model_copy(update={"choice": choice})


def _key(judge: Judge, question: Question) -> RowKey:
    return (judge.skill, question.arm, question.item.id, question.repeat, question.train_seed)
