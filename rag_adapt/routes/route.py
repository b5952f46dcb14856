"""A route is a template plus zero or more steps: prepare, render, generate, written once.

It does not know skills, scores or runs, and it builds none of its collaborators.
"""

import time
from collections.abc import AsyncGenerator
from contextlib import aclosing
from dataclasses import dataclass
from typing import Any, Final, TypeVar

from rag_adapt.core.errors import EngineError, RagAdaptError
from rag_adapt.core.marks import marked
from rag_adapt.core.protocols import Engine, Step
from rag_adapt.core.template import Template
from rag_adapt.core.trace import Answer, Event, Failure, Trace
from rag_adapt.core.types import Call, Delta, Draft, Message, Outcome, Sampling

Part = TypeVar("Part")
NO_END_HINT: Final = "This is a fault of the engine: its last delta must carry the outcome."


@dataclass(frozen=True, kw_only=True)
class Route:
    """A way to answer."""

    name: str
    template: Template
    steps: tuple[Step, ...] = ()

    def spec(self) -> dict[str, Any]:
        """Plain JSON: the route's identity for cache, replay and reports."""
        return {
            "name": self.name,
            "template": {"name": self.template.name, "hash": self.template.hash},
            "steps": [step.spec() for step in self.steps],
        }

    async def stream(
        self, draft: Draft, *, engine: Engine, sampling: Sampling, repeat: int = 0
    ) -> AsyncGenerator[Delta | Answer | Failure, None]:
        """Deltas as they come, then exactly one Answer or Failure.

        Errors raised on purpose become a Failure with the trace so far; others pass.
        """
        trace = Trace(route=self.spec(), item=draft.item_id)
        last: Delta | None = None
        try:
            for step in self.steps:
                started = time.perf_counter()
                prepared = await step.prepare(draft)
                draft = prepared.draft
                trace = trace.then(_timed(prepared.event, time.perf_counter() - started))
            call = Call(
                messages=_with_turns(self.template.render(draft), draft.turns),
                sampling=sampling,
                adapter=draft.adapter,
                adapter_off=draft.adapter_off,
                repeat=repeat,
            )
            trace = trace.then(Event(name="render", detail=self._rendered(draft)))
            trace = trace.then(Event(name="generate", detail={"call": call.as_json()}))
            async with aclosing(engine.generate(call)) as deltas:
                async for delta in deltas:
                    yield delta
                    last = delta
            yield _answer(trace, last)
        except RagAdaptError as error:
            yield Failure(
                code=error.code,
                message=error.fact,
                hint=error.hint,
                retryable=error.retryable,
                trace=trace,
            )

    def _rendered(self, draft: Draft) -> dict[str, Any]:
        """The template and, where it shows passages, what was done to keep them data."""
        shown = self.template.wants_context and draft.passages
        counts = {"marked": marked(draft.passages).as_json()} if shown else {}
        return {"template": self.template.hash, **counts}

    async def answer(
        self, draft: Draft, *, engine: Engine, sampling: Sampling, repeat: int = 0
    ) -> Answer | Failure:
        """The end of `stream`, without its pieces."""
        parts = self.stream(draft, engine=engine, sampling=sampling, repeat=repeat)
        end = await _last(parts)
        assert isinstance(end, Answer | Failure)  # so `stream` promises
        return end


async def replay(trace: Trace, *, engine: Engine) -> Answer:
    """Send a trace's call again, without collections or steps.

    Raises:
        ValueError: the trace never reached an engine.
        EngineError: the engine failed.
    """
    return _answer(trace, await _last(engine.generate(trace.call())))


async def _last(parts: AsyncGenerator[Part, None]) -> Part | None:
    """The last part, once the generator has ended."""
    last: Part | None = None
    async with aclosing(parts):
        async for part in parts:
            last = part
    return last


def _with_turns(rendered: tuple[Message, ...], turns: tuple[Message, ...]) -> tuple[Message, ...]:
    """Earlier turns stand right before the question, which a template renders last."""
    return (*rendered[:-1], *turns, rendered[-1])


def _timed(event: Event, seconds: float) -> Event:
    return Event(name=event.name, detail=event.detail, seconds=seconds)


def _answer(trace: Trace, last: Delta | None) -> Answer:
    """The answer, with what the engine says it received written into the trace's last event.

    Raises:
        EngineError: the last delta carries no outcome.
    """
    if last is None or last.outcome is None:
        raise EngineError("the engine's answer had no end", hint=NO_END_HINT)
    return Answer(outcome=last.outcome, trace=_received(trace, last.outcome))


def _received(trace: Trace, outcome: Outcome) -> Trace:
    sent, last = outcome.sent, trace.events[-1]
    detail = {
        **last.detail,
        "template_hash": sent.template_hash,
        "token_ids": None if sent.token_ids is None else list(sent.token_ids),
        "model": sent.model,
        "adapter": sent.adapter,
    }
    event = Event(name="generate", detail=detail, seconds=outcome.times.total)
    return Trace(route=trace.route, item=trace.item, events=(*trace.events[:-1], event))
