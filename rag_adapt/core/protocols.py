"""What the parts ask of one another: one method each.

They do not know any implementation; wiring picks those.
"""

from collections.abc import AsyncGenerator, Sequence
from typing import Protocol

from rag_adapt.core.trace import Prepared
from rag_adapt.core.types import (
    AdapterRef,
    Call,
    Delta,
    Draft,
    Fingerprint,
    Item,
    Message,
    Passage,
    Score,
    TokenLogProbs,
)


class Engine(Protocol):
    """Answers calls."""

    @property
    def fingerprint(self) -> Fingerprint:
        """What determines this engine's answers beside the call itself."""
        ...

    def generate(self, call: Call) -> AsyncGenerator[Delta, None]:
        """Stream one answer; the last delta, and only that one, carries the outcome.

        The texts of all deltas joined equal `outcome.text`. Closing the generator early
        cancels the work.

        Raises:
            EngineError: the engine failed; subclasses say how.
            AdapterError: the call names an adapter that is not loaded.
        """
        ...


class LogProbs(Protocol):
    """Scores given text under the model."""

    async def logprobs(
        self, messages: Sequence[Message], continuation: str, adapter: str | None = None
    ) -> TokenLogProbs:
        """Log-probabilities of `continuation` as the assistant's answer to `messages`.

        Raises:
            NoLogProbsError: this engine cannot give them.
            AdapterError: the adapter is not loaded.
        """
        ...


class Adapters(Protocol):
    """Makes an adapter available to the engine."""

    async def ensure_loaded(self, version: str) -> AdapterRef:
        """Load `name@sha12` (or do nothing if it is resident) and say what was loaded.

        Raises:
            AdapterError: no such adapter, or it does not fit the engine's base model.
        """
        ...


class Retriever(Protocol):
    """Finds passages."""

    async def search(self, query: str, k: int) -> tuple[Passage, ...]:
        """The `k` best passages, best first; fewer where the collection holds fewer."""
        ...


class Scorer(Protocol):
    """Judges one answer."""

    def score(self, output: str, item: Item) -> Score:
        """Compare an output with an item's targets. Pure; never raises for odd outputs."""
        ...


class Step(Protocol):
    """Part of a route."""

    def spec(self) -> dict[str, object]:
        """Plain JSON that identifies the step."""
        ...

    async def prepare(self, draft: Draft) -> Prepared:
        """A new draft and the event that says what was done."""
        ...


class Progress(Protocol):
    """Where long work says how far it is."""

    def update(self, stage: str, done: int, total: int, note: str = "") -> None:
        """Say that `done` of `total` units of `stage` are finished; `note` is free text."""
        ...


class Silent:
    """The progress of work that nobody watches."""

    def update(self, stage: str, done: int, total: int, note: str = "") -> None:
        """Drop it."""
