"""Composes the service: settings in, what the endpoints ask out.

It does not know HTTP; beside `wiring` it is the only place that picks classes.
"""

from collections.abc import Callable, Coroutine
from dataclasses import dataclass
from typing import Any

from rag_adapt.bench.arms import Search
from rag_adapt.bench.plan import Plan
from rag_adapt.bench.tools import nothing_to_end
from rag_adapt.core.protocols import Engine, Progress
from rag_adapt.engines.cached import CachedEngine
from rag_adapt.engines.late import LateEngine
from rag_adapt.engines.vllm import VllmEngine
from rag_adapt.serving.catalogue import Live
from rag_adapt.serving.local_scores import LocalScores
from rag_adapt.serving.service import Service
from rag_adapt.serving.traces import TraceBook
from rag_adapt.settings import Settings
from rag_adapt.skills.skill import Skill
from rag_adapt.wiring import Services, adapter_store, services
from rag_adapt.wiring_engines import searched_as


@dataclass(frozen=True, kw_only=True)
class Opened:
    """A service and how it ends."""

    service: Service
    end: Callable[[], Coroutine[Any, Any, None]]
    """Closes connections, in the event loop that opened them."""
    close: Callable[[], None]
    """Ends threads and closes files, afterwards."""


def open_service(settings: Settings, progress: Progress) -> Opened:
    """Everything that answers, nothing loaded yet.

    Raises:
        ModelNotFoundError: no weights where we looked.
        StorageError: the home folder cannot be written.
    """
    traces = TraceBook(settings.home)
    try:
        live = services(settings, progress)
    except BaseException:
        traces.close()
        raise
    late = live.adapters if isinstance(live.adapters, LateEngine) else None
    server = live.adapters if isinstance(live.adapters, VllmEngine) else None
    service = Service(
        _live(live, settings, progress),
        traces=traces,
        scores=None if late is None else LocalScores(late),
        warm=live.warm or nothing_to_end,
        server=server,
    )

    def close() -> None:
        live.close()
        traces.close()
        service.conversations.close()

    return Opened(service=service, end=live.end or nothing_to_end, close=close)


def _live(live: Services, settings: Settings, progress: Progress) -> Live:
    tools = live.tools()

    def index(skill: Skill) -> Search:
        plan = Plan(
            skills=(skill,),
            arms=("rag",),
            top_k=settings.top_k,
            search_mode=searched_as(settings),
            embedder=settings.embedder,
        )
        return tools.index(skill, plan, progress).search

    return Live(
        engine=_uncached(live.engine),
        adapters=live.adapters,
        embedder=live.embedder,
        store=adapter_store(settings),
        home=settings.home,
        index=index,
        prove=live.prove,
    )


def _uncached(engine: Engine) -> Engine:
    """What clients ask is not kept in the benchmark's cache of answers."""
    return engine.inner if isinstance(engine, CachedEngine) else engine
