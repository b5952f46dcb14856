"""`/v1/adapters/resident`, and load, unload and pin of one version: what the engine holds.

It does not know which engine that is, nor how adapters are loaded or proven.
"""

import asyncio
from typing import Any, Final

from fastapi import APIRouter, Request

from rag_adapt.api.adapters import VERSION, Version, found
from rag_adapt.api.desk import BENCH, shown
from rag_adapt.api.holding import lifecycle_of, service_of
from rag_adapt.engines.lifecycle import Lifecycle
from rag_adapt.schemas.adapters import ResidentAdapter, ResidentList

router = APIRouter(tags=["adapters"])
ADMIN: Final[dict[str, Any]] = {"x-scope": "admin"}
RESIDENT: Final[dict[str, Any]] = {"version": VERSION, "uses": 2, "pinned": False}
FAULTS: Final = (404, 409, 502)


@router.get(
    "/v1/adapters/resident",
    summary="List resident adapters",
    operation_id="resident_adapters",
    response_model=ResidentList,
    responses=shown({"data": [RESIDENT]}, 409, 502),
    openapi_extra=BENCH,
)
async def resident(request: Request) -> ResidentList:
    """What the engine holds, proven; the least recently used first, which goes first."""
    return _listed(await lifecycle_of(request))


@router.post(
    "/v1/adapters/{version}/load",
    summary="Load an adapter",
    operation_id="load_adapter",
    response_model=ResidentList,
    responses=shown({"data": [RESIDENT]}, *FAULTS),
    openapi_extra=BENCH,
)
async def load(request: Request, version: Version) -> ResidentList:
    """Load and prove it before anybody asks for it; it goes again when its place is needed."""
    lifecycle = await lifecycle_of(request)
    await _ready(request, version)
    return _listed(lifecycle)


@router.post(
    "/v1/adapters/{version}/unload",
    summary="Unload an adapter",
    operation_id="unload_adapter",
    response_model=ResidentList,
    responses=shown({"data": []}, *FAULTS),
    openapi_extra=BENCH,
)
async def unload(request: Request, version: Version) -> ResidentList:
    """Take it out of the engine once no request uses it; the next that asks for it loads it."""
    lifecycle = await lifecycle_of(request)
    await asyncio.to_thread(found, request, version)
    await lifecycle.unload(version)
    return _listed(lifecycle)


@router.put(
    "/v1/adapters/{version}/pin",
    summary="Pin an adapter",
    operation_id="pin_adapter",
    response_model=ResidentList,
    responses=shown({"data": [{**RESIDENT, "pinned": True}]}, *FAULTS),
    openapi_extra=ADMIN,
)
async def pin(request: Request, version: Version) -> ResidentList:
    """Load it and keep it loaded, also across restarts of a model server."""
    lifecycle = await lifecycle_of(request)
    await _ready(request, version)
    await lifecycle.pin(version)
    return _listed(lifecycle)


@router.delete(
    "/v1/adapters/{version}/pin",
    summary="Unpin an adapter",
    operation_id="unpin_adapter",
    response_model=ResidentList,
    responses=shown({"data": [RESIDENT]}, *FAULTS),
    openapi_extra=ADMIN,
)
async def unpin(request: Request, version: Version) -> ResidentList:
    """Let it go when its place is needed."""
    lifecycle = await lifecycle_of(request)
    await asyncio.to_thread(found, request, version)
    lifecycle.unpin(version)
    return _listed(lifecycle)


async def _ready(request: Request, version: str) -> None:
    """Load and prove a version of the store, as a request for it would."""
    await asyncio.to_thread(found, request, version)
    await service_of(request).live.adapters.ensure_loaded(version)


def _listed(lifecycle: Lifecycle) -> ResidentList:
    return ResidentList(
        data=[
            ResidentAdapter(version=one.version, uses=one.uses, pinned=one.pinned)
            for one in lifecycle.resident()
        ]
    )
