"""The live things that a benchmark works with; wiring hands them in.

It does not know which engine, store or embedder they are.
"""

import asyncio
from collections.abc import Callable, Coroutine, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

from rag_adapt.adapters.card import Card
from rag_adapt.bench.arms import Search
from rag_adapt.bench.features import Features
from rag_adapt.bench.figures import CollectionFigures, GuardFigures
from rag_adapt.bench.plan import Plan
from rag_adapt.bench.proof import Proof
from rag_adapt.bench.reference import Embeds
from rag_adapt.bench.training import Training
from rag_adapt.core.protocols import Adapters, Engine, Progress
from rag_adapt.core.types import Item
from rag_adapt.skills.skill import Skill


@dataclass(frozen=True, kw_only=True)
class Indexed:
    """A skill's collection, ready to be asked, and what it took."""

    search: Search
    figures: CollectionFigures


async def unguarded(version: str, skill: str) -> tuple[GuardFigures, ...]:
    """No guard: an engine whose weights are not ours has nothing to compare."""
    return ()


async def nothing_to_end() -> None:
    """What most engines do at the end."""


class Probe(Protocol):
    """Measures what a skill is like on the model, cheaply; see `rag_adapt.bench.evidence`."""

    def __call__(
        self,
        skill: Skill,
        learn: Sequence[Item],
        *,
        search: Search | None,
        embedder: Embeds,
        seed: int,
        runner: asyncio.Runner,
        progress: Progress,
    ) -> Features:
        """Dev items are read, training items are learned from."""
        ...


@dataclass(frozen=True, kw_only=True)
class Tools:
    """What a benchmark asks."""

    engine: Engine
    adapters: Adapters
    embedder: Embeds
    index: Callable[[Skill, Plan, Progress], Indexed]
    train: Callable[[Training, Progress], Card]
    prove: Callable[[str], Coroutine[Any, Any, Proof]]
    guard: Callable[[str, str], Coroutine[Any, Any, tuple[GuardFigures, ...]]] = unguarded
    """Takes an adapter's version and its own skill."""
    probe: Probe | None = None
    end: Callable[[], Coroutine[Any, Any, None]] = nothing_to_end
    """Closes connections, in the event loop that opened them."""
