"""`/v1/jobs`: list, show, watch and cancel long work.

It does not know what any job does.
"""

import asyncio
import time
from collections.abc import AsyncGenerator
from contextlib import aclosing
from typing import Annotated, Any, Final

from fastapi import APIRouter, Path, Query, Request
from fastapi.responses import Response

from rag_adapt.api.desk import BENCH, JOB, Desk, desk_of, shown
from rag_adapt.api.problems import problem_of, responses
from rag_adapt.api.streaming import DONE, EventStream, error_event
from rag_adapt.core.errors import RagAdaptError
from rag_adapt.jobs.job import Job, State
from rag_adapt.jobs.store import KEPT, WAITING
from rag_adapt.schemas.jobs import JobInfo, JobList

router = APIRouter(tags=["jobs"])
LOOK_SECONDS: Final = 0.2
"""Between two looks at a job that somebody watches."""
ALL: Final = KEPT + WAITING + 2
DIGITS: Final = r"^[0-9a-f]{32}$"
EVENTS: Final = 'data: {"id":"0b6d7c3f...","state":"done", ...}\n\ndata: [DONE]\n\n'
EVENT: Final[dict[str, Any]] = {
    "type": "object",
    "description": "One event: `data` is the job as JSON, or `[DONE]`.",
    "required": ["data"],
    "properties": {"data": {"type": "string"}, "event": {"type": "string"}},
}
PROVEN: Final[dict[str, Any]] = {
    **JOB,
    "command": ["adapters", "prove", "--json", "--", "orders@e8275acfcb4e"],
    "state": "done",
    "ended": 1790000004.5,
    "exit_code": 0,
    "progress": None,
    "result": "/v1/adapters/orders@e8275acfcb4e",
    "proof": {
        "proven": True,
        "checks": [
            {
                "name": "parity",
                "passed": True,
                "detail": "0.0012 nats/token from PEFT's own pass over 96 tokens, at most 0.0500 "
                "allowed",
                "figure": 0.0012,
            }
        ],
    },
}
JobId = Annotated[str, Path(pattern=DIGITS, examples=[JOB["id"]])]


@router.get(
    "/v1/jobs",
    summary="List jobs",
    operation_id="jobs",
    response_model=JobList,
    responses=shown({"data": [JOB], "next": None}, 507),
    openapi_extra=BENCH,
)
async def jobs(
    request: Request,
    state: Annotated[State | None, Query(examples=["running"])] = None,
    limit: Annotated[int, Query(ge=1, le=100, examples=[20])] = 20,
    cursor: Annotated[str | None, Query(pattern=DIGITS, examples=[JOB["id"]])] = None,
) -> JobList:
    """The newest first. A page begins behind `cursor`, which the page before it names."""
    return await asyncio.to_thread(_page, desk_of(request), state, limit, cursor)


@router.get(
    "/v1/jobs/{id}",
    summary="Show a job",
    operation_id="job",
    response_model=JobInfo,
    responses=shown(PROVEN, 404, 507),
    openapi_extra=BENCH,
)
async def job(request: Request, id: JobId) -> JobInfo:
    """Its state, how far it is, and once it has ended what it made or why it failed; of a proof of
    an adapter, what it measured."""
    return await desk_of(request).find(id)


@router.post(
    "/v1/jobs/{id}/cancel",
    summary="Cancel a job",
    operation_id="cancel",
    response_model=JobInfo,
    responses=shown({**JOB, "cancelling": True}, 404, 507),
    openapi_extra=BENCH,
)
async def cancel(request: Request, id: JobId) -> JobInfo:
    """A waiting job ends now; a running one is interrupted, and keeps what it has finished.

    It may take 25 seconds to end. A job that has ended stays as it is.
    """
    desk = desk_of(request)
    return await asyncio.to_thread(lambda: desk.shown(desk.jobs.ask_to_cancel(id)))


@router.get(
    "/v1/jobs/{id}/events",
    summary="Watch a job",
    operation_id="job_events",
    response_class=Response,
    responses={
        200: {
            "description": "OK",
            "content": {"text/event-stream": {"schema": EVENT, "example": EVENTS}},
        },
        **responses(404, 507),
    },
    openapi_extra=BENCH,
)
async def events(request: Request, id: JobId) -> Response:
    """Server-sent events: the whole job now and at every change, `[DONE]` after its end."""
    desk = desk_of(request)
    await desk.find(id)
    watched = _watch(desk, id)
    return EventStream(_lines(watched), source=watched)


def _page(desk: Desk, state: State | None, limit: int, cursor: str | None) -> JobList:
    known = desk.jobs.list(limit=ALL)
    if cursor is not None:  # gone means forgotten, and then so are all that were older
        places = [number for number, one in enumerate(known, start=1) if one.id == cursor]
        known = known[places[0] :] if places else ()
    found = [one for one in known if state is None or one.state == state]
    more = found[limit - 1].id if len(found) > limit else None
    return JobList(data=[desk.shown(one) for one in found[:limit]], next=more)


async def _watch(desk: Desk, id: str) -> AsyncGenerator[JobInfo, None]:
    """The job now, at every change, and now and then without one, until it has ended."""
    last: Job | None = None
    said = 0.0
    while last is None or not last.has_ended:
        now = await asyncio.to_thread(desk.jobs.get, id)
        if now != last or time.monotonic() - said > desk.beat:
            last, said = now, time.monotonic()
            yield await asyncio.to_thread(desk.shown, now)
        else:
            await asyncio.sleep(LOOK_SECONDS)


async def _lines(watched: AsyncGenerator[JobInfo, None]) -> AsyncGenerator[str, None]:
    try:
        async with aclosing(watched) as looks:
            async for look in looks:
                yield look.model_dump_json()
    except RagAdaptError as error:
        yield error_event(problem_of(error))
        return
    yield DONE
