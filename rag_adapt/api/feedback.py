"""`/v1/feedback`: votes and better answers per trace, decided before anything learns from them.

It does not know how feedback is kept, compared or turned into rows.
"""

import asyncio
from dataclasses import asdict
from typing import Annotated, Any, Final

from fastapi import APIRouter, Body, Path, Query, Request, Response

from rag_adapt.api.desk import BENCH, CHAT, shown
from rag_adapt.api.judging import judged_answer
from rag_adapt.api.problems import ApiProblem, responses
from rag_adapt.api.security import Caller, caller_of
from rag_adapt.feedback.entry import Decision, Entry, FeedbackNotFoundError, State, Verdict
from rag_adapt.feedback.firewall import decide
from rag_adapt.feedback.rows import Kind, export
from rag_adapt.feedback.store import FeedbackBook, Wanted
from rag_adapt.schemas.feedback import FeedbackInfo, FeedbackList, FeedbackRequest, Withdrawn
from rag_adapt.serving.service import Service

router = APIRouter(tags=["feedback"])
GIVEN: Final[dict[str, Any]] = {
    "trace_id": "5b1f0c8e2d7a4f3c9b6e0d1a2c3f4e5d",
    "vote": "down",
    "correction": "went",
}
ENTRY: Final[dict[str, Any]] = {
    "id": "c2f4a8e01b7d4d0c8f3e5a6b7c8d9e0f",
    "state": "pending",
    "giver": "local",
    "trace_id": GIVEN["trace_id"],
    "choice": 0,
    "model": "route:prompt/past-tense",
    "route": "prompt",
    "skill": "past-tense",
    "adapter": None,
    "question": "go",
    "turns": [],
    "answer": "goed",
    "vote": "down",
    "correction": "went",
    "note": "",
    "given": 1790000000.0,
    "decided": None,
    "decider": None,
}
DECIDED: Final[dict[str, Any]] = {"decided": 1790000060.0, "decider": "local"}
LINES: Final = '{"input": "go", "targets": ["went"]}\n'
JSON_LINES: Final = "application/x-ndjson"
LEFT_OUT: Final = "X-Left-Out"
EXPORTED: Final[dict[str, Any]] = {
    "description": "One JSON object per line.",
    "content": {JSON_LINES: {"schema": {"type": "string"}, "example": LINES}},
    "headers": {
        LEFT_OUT: {
            "description": "Accepted pieces that are not among the rows: test items, and those of "
            "skills that cannot be read.",
            "schema": {"type": "string"},
            "required": True,
        }
    },
}
FeedbackId = Annotated[str, Path(pattern=r"^[0-9a-f]{32}$", examples=[ENTRY["id"]])]
Name = Annotated[str | None, Query(max_length=100, examples=["past-tense"])]


@router.post(
    "/v1/feedback",
    summary="Judge an answer",
    operation_id="give_feedback",
    status_code=201,
    response_model=FeedbackInfo,
    responses=shown(ENTRY, 404, 409, 413, 415, 507, status=201),
    openapi_extra=CHAT,
)
async def give(
    request: Request,
    body: Annotated[
        FeedbackRequest,
        Body(openapi_examples={"better": {"summary": "A better answer", "value": GIVEN}}),
    ],
) -> FeedbackInfo:
    """Vote for or against one of your own answers, or say what it should have been.

    Question and answer are copied. What you said of the same answer before is replaced, under a
    new id, as long as nobody has decided it.
    """
    service: Service = request.app.state.service
    caller = caller_of(request)
    judged = await judged_answer(service, caller, trace_id=body.trace_id, choice=body.choice)
    verdict = Verdict(vote=body.vote, correction=body.correction, note=body.note)
    book = _book(request)
    return _info(await asyncio.to_thread(book.give, judged, verdict, giver=caller.name))


@router.get(
    "/v1/feedback",
    summary="List feedback",
    operation_id="feedback",
    response_model=FeedbackList,
    responses=shown({"data": [ENTRY], "next": None}, 507),
    openapi_extra=CHAT,
)
async def feedback(
    request: Request,
    state: Annotated[State | None, Query(examples=["pending"])] = None,
    skill: Name = None,
    route: Annotated[str | None, Query(max_length=100, examples=["rag"])] = None,
    limit: Annotated[int, Query(ge=1, le=100, examples=[20])] = 20,
    cursor: Annotated[str | None, Query(pattern=r"^[0-9]{1,18}$", examples=["41"])] = None,
) -> FeedbackList:
    """The newest first; with the scope `bench` everybody's, otherwise your own."""
    caller = caller_of(request)
    giver = None if _reads_all(caller) else caller.name
    wanted = Wanted(state=state, skill=skill, route=route, giver=giver)
    before = None if cursor is None else int(cursor)
    page = await asyncio.to_thread(_book(request).page, wanted, limit=limit, before=before)
    more = None if page.next is None else str(page.next)
    return FeedbackList(data=[_info(entry) for entry in page.entries], next=more)


@router.get(
    "/v1/feedback:export",
    summary="Export accepted feedback",
    operation_id="export_feedback",
    response_class=Response,
    responses={200: EXPORTED, **responses(507)},
    openapi_extra=BENCH,
)
async def export_(
    request: Request,
    kind: Annotated[Kind, Query(examples=["training"])] = "training",
    skill: Name = None,
) -> Response:
    """Rows to train on, as JSON Lines: `training` is `{"input", "targets"}`, `preferences` is
    `{"prompt", "chosen", "rejected"}`, each a list of messages.

    Test items never come out, also those that became one after they were accepted.
    """
    service: Service = request.app.state.service
    made = await asyncio.to_thread(export, _book(request), service.live.home, kind, skill=skill)
    return Response(made.lines(), media_type=JSON_LINES, headers={LEFT_OUT: str(made.left_out)})


@router.get(
    "/v1/feedback/{id}",
    summary="Show feedback",
    operation_id="one_feedback",
    response_model=FeedbackInfo,
    responses=shown(ENTRY, 404, 507),
    openapi_extra=CHAT,
)
async def one(request: Request, id: FeedbackId) -> FeedbackInfo:
    """What was said, the answer that it judges, and what was decided."""
    return _info(await asyncio.to_thread(_visible, request, id))


@router.delete(
    "/v1/feedback/{id}",
    summary="Withdraw feedback",
    operation_id="withdraw_feedback",
    response_model=Withdrawn,
    responses=shown(Withdrawn(id=ENTRY["id"]).model_dump(), 404, 409, 507),
    openapi_extra=CHAT,
)
async def withdraw(request: Request, id: FeedbackId) -> Withdrawn:
    """Delete what you said, as long as nobody has decided it; 403 where somebody else said it."""
    await asyncio.to_thread(_withdraw, request, id)
    return Withdrawn(id=id)


@router.post(
    "/v1/feedback/{id}/accept",
    summary="Accept feedback",
    operation_id="accept_feedback",
    response_model=FeedbackInfo,
    responses=shown({**ENTRY, "state": "accepted", **DECIDED}, 404, 409, 507),
    openapi_extra=BENCH,
)
async def accept(request: Request, id: FeedbackId) -> FeedbackInfo:
    """From now on it is exported. Refused (409 `leak`) where its question is, or resembles, a
    test item of its skill: nothing may learn from those."""
    return await _decided(request, id, "accepted")


@router.post(
    "/v1/feedback/{id}/reject",
    summary="Reject feedback",
    operation_id="reject_feedback",
    response_model=FeedbackInfo,
    responses=shown({**ENTRY, "state": "rejected", **DECIDED}, 404, 507),
    openapi_extra=BENCH,
)
async def reject(request: Request, id: FeedbackId) -> FeedbackInfo:
    """It is kept and never exported; what was accepted by mistake can be rejected, too."""
    return await _decided(request, id, "rejected")


def _book(request: Request) -> FeedbackBook:
    book = request.app.state.feedback
    assert isinstance(book, FeedbackBook)  # made with the application
    return book


def _reads_all(caller: Caller) -> bool:
    """Whoever decides, or anybody on this machine as long as there are no keys."""
    return caller.key is None or caller.key.scope in ("bench", "admin")


def _visible(request: Request, id: str) -> Entry:
    """The feedback, if this caller may read it.

    Raises:
        FeedbackNotFoundError: there is none, or it is somebody else's.
    """
    caller, entry = caller_of(request), _book(request).get(id)
    if _reads_all(caller) or entry.giver == caller.name:
        return entry
    raise FeedbackNotFoundError(
        f"there is no feedback {id!r}", hint="GET /v1/feedback lists what you gave."
    )


def _withdraw(request: Request, id: str) -> None:
    entry = _visible(request, id)
    if entry.giver != caller_of(request).name:
        raise ApiProblem(
            status=403,
            code="not-yours",
            detail="only whoever gave this feedback can withdraw it",
            hint=f"Reject it: POST /v1/feedback/{id}/reject.",
        )
    _book(request).withdraw(id)


async def _decided(request: Request, id: str, decision: Decision) -> FeedbackInfo:
    service: Service = request.app.state.service
    home, decider = service.live.home, caller_of(request).name
    entry = await asyncio.to_thread(decide, _book(request), home, id, decision, decider=decider)
    return _info(entry)


def _info(entry: Entry) -> FeedbackInfo:
    judged = asdict(entry.judged)
    return FeedbackInfo(
        id=entry.id,
        state=entry.state,
        giver=entry.giver,
        trace_id=judged.pop("trace"),
        **judged,
        **asdict(entry.verdict),
        given=entry.given,
        decided=entry.decided,
        decider=entry.decider,
    )
