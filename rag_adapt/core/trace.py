"""What each step did and exactly what was sent to the model.

It does not know collections, adapters or engines: a trace can be replayed without them.
"""

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any

from rag_adapt.core.types import Call, Draft, Message, Outcome, Sampling


@dataclass(frozen=True, kw_only=True)
class Event:
    """One thing that happened while an answer was made."""

    name: str
    """`retrieve`, `adapt`, `demonstrate`, `render` or `generate`."""
    detail: Mapping[str, Any]
    """Plain JSON: what was found, chosen or sent."""
    seconds: float = 0.0


@dataclass(frozen=True, kw_only=True)
class Prepared:
    """What a step returns."""

    draft: Draft
    event: Event


@dataclass(frozen=True, kw_only=True)
class Trace:
    """The events of one answer in order; after an answer, the last is `generate`."""

    route: Mapping[str, Any]
    """The route's spec: its identity."""
    item: str
    events: tuple[Event, ...] = ()

    def then(self, event: Event) -> "Trace":
        """This trace with one more event."""
        return Trace(route=self.route, item=self.item, events=(*self.events, event))

    def as_json(self) -> dict[str, Any]:
        return asdict(self)

    def call(self) -> Call:
        """The call to send again for a replay, without collections or steps.

        Raises:
            ValueError: nothing was sent.
        """
        for event in reversed(self.events):
            if event.name == "generate":
                return call_from_json(event.detail["call"])
        raise ValueError(f"trace of item {self.item!r} never reached the engine")


@dataclass(frozen=True, kw_only=True)
class Answer:
    """A text that an engine gave, with how it came about."""

    outcome: Outcome
    trace: Trace

    @property
    def text(self) -> str:
        return self.outcome.text


@dataclass(frozen=True, kw_only=True)
class Failure:
    """No answer; never scored as a wrong one."""

    code: str
    message: str
    hint: str
    retryable: bool
    trace: Trace


def call_from_json(data: Mapping[str, Any]) -> Call:
    """The inverse of `Call.as_json`, also after a round trip through JSON text."""
    sampling = {**data["sampling"], "stop": tuple(data["sampling"]["stop"])}
    return Call(
        messages=tuple(Message(**message) for message in data["messages"]),
        sampling=Sampling(**sampling),
        adapter=data["adapter"],
        adapter_off=data["adapter_off"],
        repeat=data["repeat"],
    )
