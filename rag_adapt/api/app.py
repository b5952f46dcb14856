"""The HTTP application: which endpoints there are, and what happens at start and end.

It does not know settings or engines; the service is handed in.
"""

import asyncio
import logging
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from functools import partial
from typing import Final

from fastapi import FastAPI

from rag_adapt import __version__
from rag_adapt.api import (
    adapter_uploads,
    adapters,
    additions,
    catalog,
    chat,
    collections,
    comparisons,
    completions,
    conversations,
    documents,
    feedback,
    generations,
    jobs,
    links,
    problems,
    residence,
    runs,
    security,
    skills,
    system,
    templates,
    training,
)
from rag_adapt.api.checkup import Checkup
from rag_adapt.api.desk import Desk
from rag_adapt.api.holding import watch_adapters
from rag_adapt.api.limits import Limits
from rag_adapt.api.metrics import Metrics
from rag_adapt.core.errors import RagAdaptError
from rag_adapt.feedback.store import FeedbackBook
from rag_adapt.keys.store import KeyStore
from rag_adapt.serving.generations import Generations
from rag_adapt.serving.service import Service

log = logging.getLogger("rag_adapt.api")

DESCRIPTION: Final = """Serves the routes that benchmarks compare behind OpenAI's endpoints.

`model` names a route of a skill: `route:prompt/SKILL`, `route:rag/SKILL`, `route:lora/SKILL`,
`route:rag+lora/SKILL`, `route:auto/SKILL`; or the engine's own model. Answers carry a field
`rag_adapt` that says which route, setup and adapter answered and which passages they read. Errors
are problem documents (RFC 9457)."""
TAGS: Final = [
    {"name": "answers", "description": "Ask a route or the plain model."},
    {"name": "conversations", "description": "Questions that a page may leave and come back to."},
    {"name": "catalog", "description": "What there is, and whether it is ready."},
    {"name": "jobs", "description": "Long work: watch it, cancel it."},
    {"name": "runs", "description": "Benchmarks: plan, start, read."},
    {"name": "skills", "description": "Tasks: show, check, import, render."},
    {"name": "collections", "description": "Documents: list, search, add, delete."},
    {"name": "adapters", "description": "Trained weights: train, prove, choose, delete."},
    {"name": "feedback", "description": "Votes and better answers: give, decide, export."},
]
LONG_WORK: Final = (
    *(jobs, runs, adapter_uploads, residence, adapters, skills, templates, collections),
    *(additions, documents, training, system),
)
"""What needs a desk: for long work, or for its settings."""


def create_app(
    service: Service,
    *,
    keys: KeyStore,
    host: str = "127.0.0.1",
    limits: Limits | None = None,
    desk: Desk | None = None,
    on_ready: Callable[[], None] | None = None,
    on_end: Callable[[], Awaitable[None]] | None = None,
) -> FastAPI:
    """The application around a service.

    Args:
        service: What the endpoints ask; its model is loaded while the server already listens.
        keys: Who may come in; without any key everybody on this machine.
        host: The address that the server listens on.
        limits: Bounds of requests; the defaults where None.
        desk: Where long work is handed in; without one there are no endpoints for it.
        on_ready: Called once the model is loaded.
        on_end: Awaited when the server stops.
    """

    @asynccontextmanager
    async def lifespan(app: FastAPI) -> AsyncIterator[None]:
        warming = asyncio.create_task(_start(service, on_ready))
        if desk is not None:
            desk.runner.start()
        await writing.start()
        try:
            yield
        finally:
            warming.cancel()
            await asyncio.gather(warming, writing.stop(), return_exceptions=True)
            if desk is not None:
                await asyncio.to_thread(desk.runner.stop)
            if on_end is not None:
                await on_end()

    app = FastAPI(
        title="rag-adapt",
        version=__version__,
        description=DESCRIPTION,
        openapi_tags=TAGS,
        lifespan=lifespan,
        docs_url=None,
        redoc_url=None,
    )
    metrics = Metrics(known_route=_opened, known_adapter=_opened)
    watch_adapters(service, metrics)
    app.state.service, app.state.metrics, app.state.desk = service, metrics, desk
    app.state.generations = writing = Generations(
        service.conversations, partial(conversations.asks, app.state)
    )
    app.state.feedback = FeedbackBook(service.live.home)
    app.state.checkup = None if desk is None else Checkup.of(desk.settings)
    work = LONG_WORK if desk is not None else ()
    answers = (chat, completions, comparisons, conversations, generations)
    for part in (*answers, catalog, feedback, *work):
        app.include_router(part.router)
    problems.install(app)
    links.install(app)
    security.install(app, store=keys, host=host, limits=limits, observer=metrics)
    return app


async def _start(service: Service, on_ready: Callable[[], None] | None) -> None:
    """Load the model, or look after the server that has it; a failure stands in `/readyz`, and in
    the log."""
    try:
        await service.start()
    except RagAdaptError as error:
        log.warning("not ready: %s (%s)", error.fact, error.hint)
        return
    if on_ready is not None:
        on_ready()
    if service.server is not None:
        await service.server.watch()


def _opened(name: str) -> bool:
    """Only routes and adapters that were found are counted by name: no client invents one."""
    return True
