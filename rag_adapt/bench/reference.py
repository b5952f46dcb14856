"""Reference scores that ask no language model: what a route must beat to be worth its cost.

It does not know routes; its answers go through the same scorer and into the same record.
"""

import time
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Final, Protocol

import numpy as np
from numpy.typing import NDArray

from rag_adapt.core.protocols import Engine
from rag_adapt.core.trace import Answer, Event, Trace
from rag_adapt.core.types import Draft, Example, Outcome, Sampling, Sent, Times, Usage

MAJORITY: Final = "majority"
NEAREST: Final = "nearest-label"


class Embeds(Protocol):
    """The part of an embedder that is needed here."""

    def embed(self, texts: Sequence[str]) -> NDArray[np.float32]:
        """Unit vectors, shape (len(texts), dimensions)."""
        ...


class NearestPool:
    """Training examples by similarity of their inputs; embedded once, on first use."""

    def __init__(self, examples: Sequence[Example], embedder: Embeds) -> None:
        self._examples = tuple(examples)
        self._embedder = embedder
        self._vectors: NDArray[np.float32] | None = None

    def first(self, count: int) -> "NearestPool":
        """The first so many of its examples."""
        return NearestPool(self._examples[:count], self._embedder)

    async def nearest(self, query: str, k: int) -> Sequence[Example]:
        """The k examples with the highest cosine; ties in the pool's order."""
        if self._vectors is None:
            self._vectors = self._embedder.embed([e.input for e in self._examples])
        scores = self._vectors @ self._embedder.embed([query])[0]
        order = np.argsort(-scores, kind="stable")[:k]
        return tuple(self._examples[int(i)] for i in order)


def majority(examples: Sequence[Example]) -> str:
    """The commonest output; the first seen where several are equally common."""
    return Counter(e.output for e in examples).most_common(1)[0][0]


@dataclass(frozen=True, kw_only=True)
class Reference:
    """One reference arm; answers in the shape of a model's, with a trace that says how."""

    name: str
    examples: tuple[Example, ...]
    pool: NearestPool

    def spec(self) -> dict[str, Any]:
        return {"name": self.name, "reference": True, "examples": len(self.examples)}

    async def answer(
        self, draft: Draft, *, engine: Engine, sampling: Sampling, repeat: int = 0
    ) -> Answer:
        """The reference's answer; the engine is not asked."""
        started = time.perf_counter()
        if self.name == MAJORITY:
            text, detail = majority(self.examples), {}
        else:
            found = (await self.pool.nearest(draft.input, 1))[0]
            text, detail = found.output, {"nearest": found.input}
        seconds = time.perf_counter() - started
        event = Event(name="reference", detail=detail, seconds=seconds)
        sent = Sent(messages=(), template_hash=None, token_ids=None, adapter=None, model=self.name)
        outcome = Outcome(
            text=text,
            finish_reason="stop",
            usage=Usage(tokens_in=0, tokens_out=0),
            times=Times(queued=0.0, first_token=seconds, total=seconds, alone=True),
            sent=sent,
        )
        return Answer(
            outcome=outcome, trace=Trace(route=self.spec(), item=draft.item_id, events=(event,))
        )
