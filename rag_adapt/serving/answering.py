"""Asks one ready route one question and keeps what came of it.

It does not know HTTP, nor how routes are found.
"""

from collections.abc import AsyncGenerator, Callable, Sequence
from contextlib import aclosing
from dataclasses import dataclass, replace
from typing import Protocol

from rag_adapt.core.protocols import Engine, Retriever
from rag_adapt.core.trace import Answer, Failure
from rag_adapt.core.types import Call, Delta, Draft, Fingerprint, Message, Passage, Sampling
from rag_adapt.routes.retrieve import Retrieve
from rag_adapt.routes.route import Route


@dataclass(frozen=True, kw_only=True)
class TokenScore:
    """One token of an answer."""

    text: str
    """As it reads alone; part of a character reads as U+FFFD."""
    logprob: float
    """Natural logarithm, under the weights that answered, at temperature 1."""


class TokenScores(Protocol):
    """Reads an answer token by token."""

    async def score(self, call: Call, text: str) -> tuple[TokenScore, ...]:
        """The tokens of `text` as an answer to `call`.

        Raises:
            NoLogProbsError: the engine gives no log-probabilities.
        """
        ...


@dataclass(frozen=True, kw_only=True)
class Question:
    """What a client asks, once."""

    input: str
    """The item: the last user message."""
    turns: tuple[Message, ...]
    """What stands before it."""
    sampling: Sampling
    repeat: int = 0
    """Which of the `n` choices this is."""


@dataclass(frozen=True, kw_only=True)
class Reply:
    """One answer with what it rests on."""

    answer: Answer
    passages: tuple[Passage, ...]
    """What retrieval put into the prompt, in that order."""


class FailedAnswer(Exception):  # noqa: N818 - a failure with its trace, not a fault
    """A route gave no answer.

    Args:
        failure: Why, with the trace so far.
    """

    def __init__(self, failure: Failure) -> None:
        super().__init__(failure.message)
        self.failure = failure


class _Remembered:
    """A retriever that keeps what it found, for the citations of one question."""

    def __init__(self, retriever: Retriever) -> None:
        self._retriever = retriever
        self.found: tuple[Passage, ...] = ()

    async def search(self, query: str, k: int) -> tuple[Passage, ...]:
        self.found = await self._retriever.search(query, k)
        return self.found


Whole = Callable[[Call], AsyncGenerator[Delta, None]]
"""`Engine.generate` in as few deltas as it likes: the method `whole` of engines that answer more
cheaply where nobody reads along."""


class _AtOnce:
    """An engine that is asked for whole answers alone."""

    def __init__(self, engine: Engine, whole: Whole) -> None:
        self._engine, self.generate = engine, whole

    @property
    def fingerprint(self) -> Fingerprint:
        return self._engine.fingerprint


async def ask(
    route: Route,
    question: Question,
    *,
    engine: Engine,
    labels: Sequence[str] = (),
    whole: bool = False,
) -> AsyncGenerator[str | Reply, None]:
    """Pieces of text as they come, then the whole reply. Closing it cancels the work.

    Args:
        route: What answers.
        question: What is asked.
        engine: Who computes it.
        labels: The skill's.
        whole: Whether nobody reads the pieces: then there may be fewer of them.

    Raises:
        FailedAnswer: the route gave no answer.
    """
    at_once: Whole | None = getattr(engine, "whole", None) if whole else None
    if at_once is not None:
        engine = _AtOnce(engine, at_once)
    cited, remembered = _with_memory(route)
    draft = Draft(
        item_id="question", input=question.input, turns=question.turns, labels=tuple(labels)
    )
    parts = cited.stream(draft, engine=engine, sampling=question.sampling, repeat=question.repeat)
    async with aclosing(parts):
        async for part in parts:
            if isinstance(part, Failure):
                raise FailedAnswer(part)
            if isinstance(part, Delta):
                if part.text:
                    yield part.text
            else:
                found = tuple(passage for one in remembered for passage in one.found)
                yield Reply(answer=part, passages=found)


def _with_memory(route: Route) -> tuple[Route, list[_Remembered]]:
    """The same route, its spec unchanged, whose searches can be read afterwards."""
    remembered: list[_Remembered] = []
    steps = []
    for step in route.steps:
        if isinstance(step, Retrieve):
            remembered.append(_Remembered(step.retriever))
            step = replace(step, retriever=remembered[-1])
        steps.append(step)
    return replace(route, steps=tuple(steps)), remembered
