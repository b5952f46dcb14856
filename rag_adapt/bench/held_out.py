"""How a model does on a few dev items of a skill: code length and score, under any condition.

It does not know what the figures are for, and it refuses test items.
"""

import asyncio
import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final, Protocol

from rag_adapt.core.errors import EngineError, SkillError
from rag_adapt.core.protocols import Engine, LogProbs
from rag_adapt.core.template import Template
from rag_adapt.core.types import Call, Draft, Example, Item, Message, Outcome, Sampling
from rag_adapt.scoring.registry import scorer_for
from rag_adapt.skills.skill import Skill

NATS_PER_BIT: Final = math.log(2)


class Measurable(Engine, LogProbs, Protocol):
    """An engine that answers and scores given text."""


@dataclass(frozen=True, kw_only=True)
class Condition:
    """Under what a model is asked."""

    template: Template
    examples: tuple[Example, ...] = ()
    """Shown as chat turns."""
    adapter: str | None = None
    """A resident adapter's version, or None for the base."""


@dataclass(frozen=True, kw_only=True)
class Reading:
    """What was found, item by item; all tuples of one length."""

    items: tuple[Item, ...]
    bits: tuple[float, ...]
    """Code length of each item's first target, in bits."""
    tokens: tuple[int, ...]
    """Tokens of each first target; the one that ends an answer is left out."""
    scores: tuple[float | None, ...]
    """The skill's primary score of each greedy answer; None is unscored or not asked for."""

    @property
    def bits_per_token(self) -> float:
        """Bits per answer token over all items."""
        return sum(self.bits) / max(1, sum(self.tokens))

    @property
    def score(self) -> float | None:
        """Mean over the scored items."""
        known = [score for score in self.scores if score is not None]
        return sum(known) / len(known) if known else None


async def read(
    skill: Skill,
    items: Sequence[Item],
    under: Condition,
    *,
    engine: Measurable,
    answers: bool,
) -> Reading:
    """Measure dev items together; one reading's batches are composed like the next one's.

    Args:
        skill: Names labels, scorer and the longest answer.
        items: Of the dev split.
        under: Template, shots, adapter.
        engine: Best the engine behind the cache: nothing is asked twice.
        answers: Whether to generate and score answers too, which costs most of the time.

    Raises:
        SkillError: an item is no dev item.
        ContextLengthError: a prompt does not fit.
        NoLogProbsError: the engine gives no log-probabilities.
    """
    _only_dev(items)
    asked = [_messages(skill, item, under) for item in items]
    found = await asyncio.gather(
        *(
            engine.logprobs(messages, item.targets[0], under.adapter)
            for item, messages in zip(items, asked, strict=True)
        )
    )
    scores: list[float | None] = [None] * len(items)
    if answers:
        sampling = Sampling(max_tokens=skill.max_tokens, stop=skill.stop)
        calls = [Call(messages=m, sampling=sampling, adapter=under.adapter) for m in asked]
        said = await asyncio.gather(*(say(engine, call) for call in calls))
        scorer = scorer_for(skill.scorer, skill.labels)
        scores = [scorer.score(s.text, i).value for s, i in zip(said, items, strict=True)]
    return Reading(
        items=tuple(items),
        bits=tuple(-one.total / NATS_PER_BIT for one in found),
        tokens=tuple(len(one.token_ids) for one in found),
        scores=tuple(scores),
    )


async def say(engine: Engine, call: Call) -> Outcome:
    """One whole answer."""
    async for delta in engine.generate(call):
        if delta.outcome is not None:
            return delta.outcome
    raise EngineError(
        f"the {engine.fingerprint.engine} engine ended an answer without an outcome",
        hint="Ask again; if it happens again, report it with the model's name.",
    )


def _messages(skill: Skill, item: Item, under: Condition) -> tuple[Message, ...]:
    return under.template.render(
        Draft(item_id=item.id, input=item.input, labels=skill.labels, examples=under.examples)
    )


def _only_dev(items: Sequence[Item]) -> None:
    for item in items:
        if item.split != "dev":
            raise SkillError(
                f"a probe was handed item {item.id!r} of the {item.split!r} split",
                hint="Hand over `skill.dev_items` only.",
            )
