"""`/v1/runs`: plan and start benchmarks, read what they measured.

It does not know how anything is measured.
"""

import asyncio
from dataclasses import asdict
from typing import Annotated, Any, Final, TypeVar

from fastapi import APIRouter, Body, Path, Query, Request, Response

from rag_adapt.api.desk import (
    BENCH,
    CHAT,
    JOB,
    Desk,
    IdempotencyKey,
    accept,
    accepted,
    desk_of,
    shown,
)
from rag_adapt.api.problems import responses
from rag_adapt.api.run_answers import read_answers
from rag_adapt.api.run_index import Shelf, Wanted
from rag_adapt.api.run_orders import again, command_of, plan_of, settings_of
from rag_adapt.api.run_progress import Book, job_of, progress_of, run_of
from rag_adapt.api.run_records import (
    PAGE,
    detail_of,
    file_of,
    found_run,
    info_of,
    listed_runs,
)
from rag_adapt.bench.compare import Comparison, compare
from rag_adapt.bench.figures import Report
from rag_adapt.bench.store import REPORT
from rag_adapt.schemas.jobs import JobInfo
from rag_adapt.schemas.runs import (
    PlanLine,
    RunAnswers,
    RunDetail,
    RunInfo,
    RunList,
    RunPlan,
    RunProgress,
    RunRequest,
)

T = TypeVar("T")
router = APIRouter(tags=["runs"])
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
    "report": "5f0c9b1e7a33",
    "plan": {"skills": {"orders": "2f0c1d9b7a55"}, "arms": ["prompt", "rag"], "items": 40},
    "fingerprint": {"engine": "embedded", "model": "default", "weights": "8b1f0c2a7d3e"},
}
PROGRESS: Final[dict[str, Any]] = {
    "id": ID,
    "state": "running",
    "job": JOB["id"],
    "last": 1790000031.5,
    "arms": [
        {"skill": "orders", "arm": "prompt", "answered": 22, "failed": 0, "total": 40},
        {"skill": "orders", "arm": "rag", "answered": 19, "failed": 1, "total": 40},
    ],
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
    responses=shown({"data": [RUN], "next": None}, 404),
    openapi_extra=CHAT,
)
async def runs(
    request: Request,
    limit: Annotated[int, Query(ge=1, le=100, examples=[20])] = 20,
    cursor: Annotated[str | None, Query(min_length=1, max_length=100, examples=[ID])] = None,
    job: Annotated[str | None, Query(pattern=r"^[0-9a-f]{32}$", examples=[JOB["id"]])] = None,
) -> RunList:
    """The newest first; damaged ones are left out.

    With `job` the one run that this job made, makes, or began before it was stopped.
    """
    desk = desk_of(request)
    if job is not None:
        return await asyncio.to_thread(_of_job, desk, job)
    return await asyncio.to_thread(listed_runs, desk, limit, cursor)


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
    return await asyncio.to_thread(lambda: detail_of(found_run(desk_of(request), id)))


@router.get(
    "/v1/runs/{id}/progress",
    summary="Watch a run",
    operation_id="run_progress",
    response_model=RunProgress,
    responses=shown(PROGRESS, 404, 507),
    openapi_extra=CHAT,
)
async def progress(request: Request, id: RunId) -> RunProgress:
    """How many questions of each arm were answered. No score is told before the end."""
    desk, found = desk_of(request), await asyncio.to_thread(found_run, desk_of(request), id)
    index, book = _shelf(request).of(found.path), _book(request)
    return await asyncio.to_thread(progress_of, found, index=index, book=book, desk=desk)


@router.post(
    "/v1/runs/{id}/resume",
    summary="Resume a run",
    operation_id="resume_run",
    status_code=202,
    response_model=JobInfo,
    responses=accepted(404),
    openapi_extra=BENCH,
)
async def resume(
    request: Request, response: Response, id: RunId, idempotency_key: IdempotencyKey = None
) -> JobInfo:
    """Go on with a run that was cancelled or interrupted: what it answered is not asked again.

    Where a job is at work on it, that job is the answer. Refused (409) where the run is finished,
    and where its skill, the model or this service's settings have changed since.
    """
    desk, live = desk_of(request), request.app.state.service.live
    header = (await asyncio.to_thread(found_run, desk, id)).header
    argv = await asyncio.to_thread(lambda: again(header, desk.settings, live.engine.fingerprint))
    at_work = await asyncio.to_thread(job_of, header, desk)
    if at_work is not None:
        response.headers["Location"] = f"/v1/jobs/{at_work.id}"
        return await asyncio.to_thread(desk.shown, at_work)
    return await accept(request, response, argv, idempotency_key)


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
    found = await asyncio.to_thread(file_of, desk_of(request), id, REPORT)
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
    found = await asyncio.to_thread(file_of, desk_of(request), id, PAGE)
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
    alone: Annotated[bool, Query(examples=[False])] = False,
    limit: Annotated[int, Query(ge=1, le=500, examples=[100])] = 100,
    cursor: Annotated[str | None, Query(pattern=r"^[0-9]{1,15}$", examples=["18230"])] = None,
) -> RunAnswers:
    """Every answer in the order in which it was kept, of one skill and arm if these are named.

    `traces=true` adds what was sent to the model, step by step; `alone=true` leaves only those that
    were computed alone and not read from the cache, whose times are latencies.
    """
    wanted = Wanted(skill=skill, arm=arm, alone=alone, traces=traces)
    folder = await asyncio.to_thread(found_run, desk_of(request), id)
    index, start = _shelf(request).of(folder.path), int(cursor or 0)
    found = await asyncio.to_thread(read_answers, folder, index, wanted, start=start, limit=limit)
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
    return await asyncio.to_thread(lambda: compare(found_run(desk, a), found_run(desk, b)))


def _planned(desk: Desk, order: RunRequest) -> RunPlan:
    from rag_adapt.wiring import outline

    settings = settings_of(order, desk.settings)
    lines = outline(settings, plan_of(order, desk.settings))
    return RunPlan(data=[PlanLine(**{**asdict(x), "arms": list(x.arms)}) for x in lines])


def _of_job(desk: Desk, job: str) -> RunList:
    found = run_of(desk.jobs.get(job), desk)
    return RunList(data=[] if found is None else [RunInfo(**info_of(found))], next=None)


def _shelf(request: Request) -> Shelf:
    """Of this application: where the answers of its runs lie."""
    return _kept(request, "run_shelf", Shelf)


def _book(request: Request) -> Book:
    """Of this application: how many answers its runs want."""
    return _kept(request, "run_book", Book)


def _kept(request: Request, name: str, make: type[T]) -> T:
    """What this application keeps between requests, made when it is first wanted."""
    state = request.app.state
    if not hasattr(state, name):
        setattr(state, name, make())
    found = getattr(state, name)
    assert isinstance(found, make)
    return found
