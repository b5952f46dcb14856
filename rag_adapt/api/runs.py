"""`/v1/runs`: plan and start benchmarks, read what they measured.

It does not know how anything is measured.
"""

import asyncio
from dataclasses import asdict
from typing import Annotated, Any, Final

from fastapi import APIRouter, Body, Path, Query, Request, Response

from rag_adapt.api.desk import (
    BENCH,
    CHAT,
    Desk,
    IdempotencyKey,
    accept,
    accepted,
    desk_of,
    shown,
)
from rag_adapt.api.problems import responses
from rag_adapt.api.run_answers import Wanted, read_answers
from rag_adapt.api.run_orders import command_of, plan_of, settings_of
from rag_adapt.bench.compare import Comparison, compare
from rag_adapt.bench.figures import Report
from rag_adapt.bench.store import REPORT, RunFolder, list_runs
from rag_adapt.core.errors import RunNotFoundError
from rag_adapt.schemas.jobs import JobInfo
from rag_adapt.schemas.runs import (
    PlanLine,
    RunAnswers,
    RunDetail,
    RunInfo,
    RunList,
    RunPlan,
    RunRequest,
)

router = APIRouter(tags=["runs"])
PAGE: Final = "report.html"
ID: Final = "20261120-101500-1f3a9c"
POLICY: Final = "sandbox allow-scripts"
"""A report's own policy says what it may load; this keeps its scripts away from the service."""
ORDER: Final[dict[str, Any]] = {"skills": ["orders"], "arms": ["prompt", "rag"], "items": 40}
LINE: Final[dict[str, Any]] = {
    "skill": "orders",
    "items": 40,
    "examples": 200,
    "answers": 80,
    "dev_answers": 64,
    "trainings": 0,
    "detectable": 0.24,
    "arms": ["prompt", "rag"],
    "seconds": 31.5,
}
RUN: Final[dict[str, Any]] = {
    "id": ID,
    "state": "complete",
    "created": "2026-11-20T10:15:00+00:00",
    "skills": ["orders"],
    "arms": ["prompt", "rag"],
    "engine": "embedded",
    "model": "default",
}
DETAIL: Final[dict[str, Any]] = {
    **RUN,
    "command": "rag-adapt bench --json --arms=prompt,rag --items=40 -- orders",
    "plan": {"skills": {"orders": "2f0c1d9b7a55"}, "arms": ["prompt", "rag"], "items": 40},
    "fingerprint": {"engine": "embedded", "model": "default", "weights": "8b1f0c2a7d3e"},
}
ANSWER: Final[dict[str, Any]] = {
    "skill": "orders",
    "arm": "prompt",
    "item": "orders-0007",
    "cluster": "orders-0007",
    "repeat": 0,
    "input": "two lamps, express",
    "target": "LMP-2-X",
    "targets": ["LMP-2-X"],
    "output": "LMP-2-X",
    "score": 1.0,
    "trace": {},
}
COMPARED: Final[dict[str, Any]] = {
    "a": ID,
    "b": "20261121-090000-1f3a9c",
    "comparable": True,
    "reasons": [],
    "different": [],
    "arms": [],
}
HTML: Final = "<!doctype html><html>...</html>"
RunId = Annotated[str, Path(pattern=r"^[A-Za-z0-9][A-Za-z0-9._-]{0,99}$", examples=[ID])]
Ordered = Annotated[
    RunRequest,
    Body(openapi_examples={"two": {"summary": "Two routes on 40 items", "value": ORDER}}),
]


@router.post(
    "/v1/runs:plan",
    summary="Plan a run",
    operation_id="plan_run",
    response_model=RunPlan,
    responses=shown({"data": [LINE]}, 404, 413, 415, 501, 507),
    openapi_extra=BENCH,
)
async def plan(request: Request, body: Ordered) -> RunPlan:
    """What a run would ask and which difference it could show. Nothing is asked or trained."""
    return await asyncio.to_thread(_planned, desk_of(request), body)


@router.post(
    "/v1/runs",
    summary="Start a run",
    operation_id="start_run",
    status_code=202,
    response_model=JobInfo,
    responses=accepted(404, 413, 415, 501),
    openapi_extra=BENCH,
)
async def start(
    request: Request, response: Response, body: Ordered, idempotency_key: IdempotencyKey = None
) -> JobInfo:
    """Run `rag-adapt bench` as a job; an interrupted run of the same plan goes on.

    The job's `result` is the path of the run.
    """
    desk = desk_of(request)
    await asyncio.to_thread(plan_of, body, desk.settings)
    return await accept(request, response, command_of(body, desk.settings), idempotency_key)


@router.get(
    "/v1/runs",
    summary="List runs",
    operation_id="runs",
    response_model=RunList,
    responses=shown({"data": [RUN], "next": None}),
    openapi_extra=CHAT,
)
async def runs(
    request: Request,
    limit: Annotated[int, Query(ge=1, le=100, examples=[20])] = 20,
    cursor: Annotated[str | None, Query(min_length=1, max_length=100, examples=[ID])] = None,
) -> RunList:
    """The newest first; damaged ones are left out."""
    return await asyncio.to_thread(_listed, desk_of(request), limit, cursor)


@router.get(
    "/v1/runs/{id}",
    summary="Show a run",
    operation_id="run",
    response_model=RunDetail,
    responses=shown(DETAIL, 404),
    openapi_extra=CHAT,
)
async def run(request: Request, id: RunId) -> RunDetail:
    """Its state, its plan and the model that it asks."""
    return await asyncio.to_thread(lambda: _detail(_found(desk_of(request), id)))


@router.get(
    "/v1/runs/{id}/report",
    summary="Read a run's report",
    operation_id="report",
    responses={
        200: {
            "model": Report,
            "description": "OK; a run of an older version keeps the schema it was written with.",
            "content": {"application/json": {"example": {"schema_version": "2.0", "arms": []}}},
        },
        **responses(404),
    },
    openapi_extra=CHAT,
)
async def report(request: Request, id: RunId) -> Response:
    """Every figure of a finished run: `report.json`."""
    found = await asyncio.to_thread(_file, desk_of(request), id, REPORT)
    return Response(found, media_type="application/json")


@router.get(
    "/v1/runs/{id}/report.html",
    summary="Read a run's page",
    operation_id="report_page",
    response_class=Response,
    responses={
        200: {
            "description": "OK",
            "content": {"text/html": {"schema": {"type": "string"}, "example": HTML}},
        },
        **responses(404),
    },
    openapi_extra=CHAT,
)
async def page(request: Request, id: RunId) -> Response:
    """The report as one page that loads nothing; its scripts cannot ask this service."""
    found = await asyncio.to_thread(_file, desk_of(request), id, PAGE)
    headers = {"Content-Security-Policy": POLICY, "X-Content-Type-Options": "nosniff"}
    return Response(found, media_type="text/html", headers=headers)


@router.get(
    "/v1/runs/{id}/answers",
    summary="Read a run's answers",
    operation_id="answers",
    response_model=RunAnswers,
    responses=shown({"data": [ANSWER], "next": "18230"}, 404, 507),
    openapi_extra=CHAT,
)
async def answers(
    request: Request,
    id: RunId,
    skill: Annotated[str | None, Query(max_length=100, examples=["orders"])] = None,
    arm: Annotated[str | None, Query(max_length=100, examples=["rag"])] = None,
    traces: Annotated[bool, Query(examples=[False])] = False,
    limit: Annotated[int, Query(ge=1, le=500, examples=[100])] = 100,
    cursor: Annotated[str | None, Query(pattern=r"^[0-9]{1,15}$", examples=["18230"])] = None,
) -> RunAnswers:
    """Every answer in the order in which it was kept, of one skill and arm if these are named.

    `traces=true` adds what was sent to the model, step by step.
    """
    wanted = Wanted(skill=skill, arm=arm, traces=traces)
    folder = await asyncio.to_thread(_found, desk_of(request), id)
    start = int(cursor or 0)
    found = await asyncio.to_thread(read_answers, folder, wanted, start=start, limit=limit)
    return RunAnswers(data=list(found.rows), next=None if found.next is None else str(found.next))


@router.get(
    "/v1/runs/{a}/compare/{b}",
    summary="Compare two runs",
    operation_id="compare_runs",
    response_model=Comparison,
    responses=shown(COMPARED, 404, 507),
    openapi_extra=CHAT,
)
async def compared(request: Request, a: RunId, b: RunId) -> Comparison:
    """Two runs side by side, item by item: `b` minus `a`."""
    desk = desk_of(request)
    return await asyncio.to_thread(lambda: compare(_found(desk, a), _found(desk, b)))


def _planned(desk: Desk, order: RunRequest) -> RunPlan:
    from rag_adapt.wiring import outline

    settings = settings_of(order, desk.settings)
    lines = outline(settings, plan_of(order, desk.settings))
    return RunPlan(data=[PlanLine(**{**asdict(x), "arms": list(x.arms)}) for x in lines])


def _listed(desk: Desk, limit: int, cursor: str | None) -> RunList:
    found: list[RunInfo] = []
    for folder in list_runs(desk.home / "runs"):
        if cursor is not None and folder.path.name >= cursor:
            continue
        try:
            found.append(RunInfo(**_info(folder)))
        except RunNotFoundError:
            continue  # damaged: there is nothing to show of it
        if len(found) > limit:
            break
    more = found[limit - 1].id if len(found) > limit else None
    return RunList(data=found[:limit], next=more)


def _found(desk: Desk, id: str) -> RunFolder:
    """A run by its whole id: no beginning, no folder.

    Raises:
        RunNotFoundError: there is none.
    """
    for folder in list_runs(desk.home / "runs"):
        if folder.path.name == id:
            return folder
    raise RunNotFoundError(f"there is no run {id!r}", hint="GET /v1/runs lists them.")


def _file(desk: Desk, id: str, name: str) -> bytes:
    try:
        return (_found(desk, id).path / name).read_bytes()
    except FileNotFoundError as exc:
        raise RunNotFoundError(
            f"run {id!r} has no {name}: it was not finished",
            hint="Start the same run again: it goes on where it stopped.",
        ) from exc


def _info(run: RunFolder) -> dict[str, Any]:
    header = run.header
    return {
        "id": run.path.name,
        "state": header.state,
        "created": header.created,
        "skills": list(header.plan.get("skills", ())),
        "arms": list(header.plan.get("arms", ())),
        "engine": str(header.fingerprint.get("engine", "")),
        "model": str(header.fingerprint.get("model", "")),
    }


def _detail(run: RunFolder) -> RunDetail:
    header = run.header
    return RunDetail(
        **_info(run),
        command=header.command,
        plan=header.plan,
        fingerprint=header.fingerprint,
    )
