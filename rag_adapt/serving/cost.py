"""What one answer cost: the provider's list price, or the seconds that it was computed for.

It does not know routes or who asked.
"""

from dataclasses import dataclass
from typing import Literal, Protocol, runtime_checkable

from rag_adapt.core.protocols import Engine
from rag_adapt.core.types import Outcome

Unit = Literal["USD", "compute-seconds"]


@dataclass(frozen=True, kw_only=True)
class AnswerCost:
    """Of one answer."""

    value: float
    unit: Unit
    """`compute-seconds`: from the start of its computation to its last token. Whatever else was
    computed in that time counts in full for each, so together they are at most this."""


class Price(Protocol):
    """What somebody asks for an answer."""

    @property
    def value(self) -> float:
        """In US dollars."""
        ...


@runtime_checkable
class Priced(Protocol):
    """An engine whose answers may have a price."""

    def cost(self, outcome: Outcome) -> Price | None:
        """The list price of an answer; None where nobody publishes one."""
        ...


def cost_of(engine: Engine, outcome: Outcome) -> AnswerCost | None:
    """Of an answer; None where it is somebody else's machine and nobody publishes a price.

    Args:
        engine: Who answered.
        outcome: What it said of the answer.
    """
    price = engine.cost(outcome) if isinstance(engine, Priced) else None
    if price is not None:
        return AnswerCost(value=price.value, unit="USD")
    seen = engine.fingerprint
    if seen.engine == "remote" and "api_base" not in seen.extra:
        return None
    seconds = max(0.0, outcome.times.total - outcome.times.queued)
    return AnswerCost(value=seconds, unit="compute-seconds")
