"""The adapters that the service's engine holds, for endpoints that load them and let them go.

It does not know any endpoint, nor which engine it is.
"""

from typing import Protocol, runtime_checkable

from fastapi import Request

from rag_adapt.api.problems import ApiProblem
from rag_adapt.engines.lifecycle import Lifecycle, Watcher
from rag_adapt.serving.service import Service


@runtime_checkable
class Holder(Protocol):
    """What has a lifecycle of adapters behind it."""

    async def lifecycle(self) -> Lifecycle:
        """Its adapters; the engine is started first."""
        ...


@runtime_checkable
class Watched(Protocol):
    """What says what happens to its adapters."""

    watcher: Watcher | None


def watch_adapters(service: Service, watcher: Watcher) -> None:
    """Have somebody told of every adapter that comes, goes or fails its proof.

    An engine that holds none has nothing to tell: there, routes that are opened stand for it.
    """
    adapters = service.live.adapters
    if isinstance(adapters, Watched):
        adapters.watcher = watcher
    else:
        service.catalogue.watcher = watcher


def service_of(request: Request) -> Service:
    """The service of this application."""
    service = request.app.state.service
    assert isinstance(service, Service)  # no application is without one
    return service


async def lifecycle_of(request: Request) -> Lifecycle:
    """The engine's adapters.

    Raises:
        ApiProblem: the engine holds none.
    """
    found = await _found(request)
    if found is None:
        raise ApiProblem(
            status=409,
            code="no-residents",
            detail="this engine holds no adapters",
            hint="Serve with `rag-adapt serve --engine embedded`, or in front of a vLLM.",
        )
    return found


async def make_ready(request: Request, version: str) -> None:
    """Before a name points to a version: loaded and proven, where this engine is to serve it.

    Raises:
        NotProvenError: it was not shown to be active.
        AdapterError: it cannot be loaded.
    """
    live = service_of(request).live
    fits = live.store.card(version).weights_hash == live.engine.fingerprint.weights
    if fits and await _found(request) is not None:
        await live.adapters.ensure_loaded(version)


async def release(request: Request, version: str) -> None:
    """Before an adapter's files go: no request uses it and no engine holds it afterwards."""
    if (lifecycle := await _found(request)) is not None:
        await lifecycle.unload(version)


async def _found(request: Request) -> Lifecycle | None:
    adapters = service_of(request).live.adapters
    if isinstance(adapters, Lifecycle):
        return adapters
    return await adapters.lifecycle() if isinstance(adapters, Holder) else None
