"""What there is: models, skills, adapters, traces, and whether the service is ready.

It does not know how any of it came about.
"""

from typing import Annotated, Any, Final

from fastapi import APIRouter, Path, Request
from fastapi.responses import JSONResponse, Response

from rag_adapt.api.desk import CHAT, shown
from rag_adapt.api.metrics import Metrics
from rag_adapt.api.problems import ApiProblem, responses
from rag_adapt.api.security import Caller, caller_of
from rag_adapt.schemas.catalog import (
    AdapterInfo,
    AdapterList,
    Health,
    Model,
    ModelList,
    Part,
    Readiness,
    SkillInfo,
    SkillList,
    TraceDocument,
)
from rag_adapt.serving.service import AdapterEntry, Service, SkillEntry
from rag_adapt.serving.traces import KeptTrace

router = APIRouter(tags=["catalog"])
OPEN: Final[dict[str, Any]] = {"x-scope": "none"}
MODEL: Final[dict[str, Any]] = {
    "id": "route:prompt/past-tense",
    "object": "model",
    "created": 0,
    "owned_by": "rag-adapt",
}
SKILL: Final[dict[str, Any]] = {
    "name": "past-tense",
    "origin": "bundled",
    "fault": None,
    "title": "Past tense of English verbs",
    "description": "Gives the simple past of a verb.",
    "task": "text",
    "scorer": "exact",
    "labels": [],
    "items": {"train": 200, "dev": 48, "test": 160},
    "documents": False,
    "data_hash": "2f0c1d9b7a55",
}
ADAPTER: Final[dict[str, Any]] = {
    "version": "past-tense@e8275acfcb4e",
    "name": "past-tense",
    "skill": "past-tense",
    "current": True,
    "with_context": False,
    "fits": True,
    "base_model": "default",
    "rank": 8,
    "examples": 24,
    "size_bytes": 9800000,
    "created": "2026-11-20T10:00:00+00:00",
}
TRACE: Final[dict[str, Any]] = {
    "id": "5b1f0c8e2d7a4f3c9b6e0d1a2c3f4e5d",
    "created": 1790000000,
    "model": "route:prompt/past-tense",
    "answers": [
        {
            "text": "walked",
            "finish_reason": "stop",
            "cost": {"value": 0.11, "unit": "compute-seconds"},
            "proof": None,
            "trace": {"route": {"name": "prompt"}, "item": "question", "events": []},
        }
    ],
}
NOT_READY: Final[dict[str, Any]] = {
    "ready": False,
    "parts": [{"name": "engine", "ready": False, "detail": "the model is being loaded"}],
}
METRICS: Final = (
    'rag_adapt_requests_total{adapter="none",outcome="answered",route="route:prompt/past-tense"} 3'
)


@router.get(
    "/v1/models",
    summary="List models",
    operation_id="models",
    response_model=ModelList,
    responses=shown({"object": "list", "data": [MODEL]}, 507),
    openapi_extra=CHAT,
)
async def models(request: Request) -> ModelList:
    """Every name that can stand in `model` now: the engine's model, then routes by skill.

    `route:auto/SKILL` is listed where a run of the same skill and model is finished.
    """
    service: Service = request.app.state.service
    return ModelList(data=[Model(id=name) for name in await service.models()])


@router.get(
    "/v1/models/{model:path}",
    summary="Show a model",
    operation_id="model",
    response_model=Model,
    responses=shown(MODEL, 404, 507),
    openapi_extra=CHAT,
)
async def model(
    request: Request, model: Annotated[str, Path(max_length=300, examples=[MODEL["id"]])]
) -> Model:
    """One of the names that the list shows."""
    service: Service = request.app.state.service
    if model not in await service.models():
        raise ApiProblem(
            status=404,
            code="model-not-found",
            detail=f"there is no model {model[:80]!r}",
            hint="`GET /v1/models` lists what there is.",
        )
    return Model(id=model)


@router.get(
    "/v1/skills",
    summary="List skills",
    operation_id="skills",
    response_model=SkillList,
    responses=shown({"object": "list", "data": [SKILL]}),
    openapi_extra=CHAT,
)
async def skills(request: Request) -> SkillList:
    """Bundled and imported skills; one that cannot be used says why."""
    service: Service = request.app.state.service
    return SkillList(data=[skill_info(entry) for entry in await service.skills()])


@router.get(
    "/v1/adapters",
    summary="List adapters",
    operation_id="adapters",
    response_model=AdapterList,
    responses=shown({"object": "list", "data": [ADAPTER]}),
    openapi_extra=CHAT,
)
async def adapters(request: Request) -> AdapterList:
    """All stored adapters, by version."""
    service: Service = request.app.state.service
    return AdapterList(data=[_adapter(entry) for entry in await service.adapters()])


@router.get(
    "/v1/traces/{id}",
    summary="Show a trace",
    operation_id="trace",
    response_model=TraceDocument,
    responses=shown(TRACE, 404, 507),
    openapi_extra=CHAT,
)
async def trace(
    request: Request, id: Annotated[str, Path(max_length=64, examples=[TRACE["id"]])]
) -> TraceDocument:
    """Every step of one response and exactly what was sent to the model.

    The id is in the response's `rag_adapt.trace_id` and its header `X-Trace-Id`. The latest
    10,000 are kept, also over a restart. Another key's trace is not found, except by `admin`.
    """
    service: Service = request.app.state.service
    found = await service.traces.find(id)
    if found is None or not _may_read(caller_of(request), found):
        raise ApiProblem(
            status=404,
            code="trace-not-found",
            detail=f"there is no trace {id!r}, or it is no longer kept",
            hint="Take the id from `rag_adapt.trace_id` or the header X-Trace-Id of a response.",
        )
    return TraceDocument(
        id=found.id, created=found.created, model=found.model, answers=list(found.answers)
    )


@router.get(
    "/healthz",
    summary="Say that the process lives",
    operation_id="health",
    response_model=Health,
    responses=shown({"status": "ok"}),
    openapi_extra=OPEN,
)
async def health() -> Health:
    """Answers as soon as the server listens, whether or not it can answer questions yet."""
    return Health()


@router.get(
    "/readyz",
    summary="Say whether questions can be answered",
    operation_id="ready",
    response_model=Readiness,
    responses={
        **shown({"ready": True, "parts": [{"name": "engine", "ready": True, "detail": "..."}]}),
        503: {
            "model": Readiness,
            "description": "A part is not ready; `detail` says why.",
            "content": {"application/json": {"example": NOT_READY}},
        },
    },
    openapi_extra=OPEN,
)
async def ready(request: Request) -> Response:
    """Each part that answers depend on; 503 while one of them is not ready."""
    service: Service = request.app.state.service
    parts = [Part(name=p.name, ready=p.ready, detail=p.detail) for p in await service.parts()]
    desk = request.app.state.desk
    if desk is not None:
        works = desk.runner.works
        detail = "jobs are worked off" if works else "the thread that runs jobs has ended"
        parts.append(Part(name="jobs", ready=works, detail=detail))
    state = Readiness(ready=all(part.ready for part in parts), parts=parts)
    return JSONResponse(state.model_dump(), status_code=200 if state.ready else 503)


@router.get(
    "/metrics",
    summary="Count what happened",
    operation_id="metrics",
    response_class=Response,
    responses={
        200: {
            "description": "OK",
            "content": {"text/plain": {"schema": {"type": "string"}, "example": METRICS}},
        },
        **responses(),
    },
    openapi_extra={"x-scope": "bench"},
)
async def metrics(request: Request) -> Response:
    """Requests, answers, tokens, times, swaps and failed proofs, in Prometheus' text format."""
    counted: Metrics = request.app.state.metrics
    return counted.exposition()


def _may_read(caller: Caller, trace: KeptTrace) -> bool:
    """Who asked, an admin, or anybody on this machine as long as there are no keys."""
    if caller.key is None or caller.key.scope == "admin":
        return True
    return trace.owner == caller.name


def skill_info(entry: SkillEntry) -> SkillInfo:
    """A skill as lists show it."""
    place, skill = entry.place, entry.skill
    if skill is None:
        return SkillInfo(name=place.name, origin=place.origin, fault=entry.fault)
    counts = {"train": skill.training_items, "dev": skill.dev_items, "test": skill.test_items}
    return SkillInfo(
        name=skill.name,
        origin=place.origin,
        title=skill.title,
        description=skill.description,
        task=skill.task,
        scorer=skill.scorer,
        labels=list(skill.labels),
        items={split: len(items) for split, items in counts.items()},
        documents=skill.corpus is not None,
        data_hash=skill.data_hash,
    )


def _adapter(entry: AdapterEntry) -> AdapterInfo:
    card = entry.card
    return AdapterInfo(
        version=card.version,
        name=card.name,
        skill=card.skill,
        current=entry.current,
        with_context=card.with_context,
        fits=entry.fits,
        base_model=card.base_model,
        rank=card.settings.rank,
        examples=card.examples,
        size_bytes=card.size_bytes,
        created=card.created,
    )
