"""`/v1/conversations`: questions and answers that stay on the server; a page may leave meanwhile.

It does not know how an answer is made.
"""

from collections.abc import AsyncGenerator
from contextlib import aclosing
from typing import Annotated, Any, Final

from fastapi import APIRouter, Body, Path, Query, Request, Response
from starlette.datastructures import State

from rag_adapt.api.asking import Asked, told
from rag_adapt.api.comparisons import ANSWER
from rag_adapt.api.desk import CHAT, shown
from rag_adapt.api.problems import responses
from rag_adapt.api.security import caller_of
from rag_adapt.schemas.comparisons import AnswerInfo, Sampled, sampling_fields
from rag_adapt.schemas.conversations import (
    AgainRequest,
    ConversationDetail,
    ConversationInfo,
    ConversationList,
    ConversationRemoved,
    ConversationRequest,
    GenerationInfo,
    RenameRequest,
    TurnInfo,
    TurnRequest,
)
from rag_adapt.serving.asked import models_of
from rag_adapt.serving.conversation import Conversation, Generation, Order, Placed, Turn
from rag_adapt.serving.conversations import ConversationBook
from rag_adapt.serving.generations import Ending, Generations

router = APIRouter(tags=["conversations"])
ID: Final = "0d3e5b7c9f1a4c0e8b6d2f4a6c8e0b1d"
TURN_ID: Final = "1e4f6c8d0a2b4d1f9c7e3a5b7d9f1c2e"
GENERATION_ID: Final = "2f5a7d9e1b3c4e2a8d8f4b6c8e0a2d3f"
DIGITS: Final = r"^[0-9a-f]{32}$"
REQUEST: Final[dict[str, Any]] = {
    "title": "Verbs",
    "models": ["route:prompt/past-tense", "route:lora/past-tense"],
}
INFO: Final[dict[str, Any]] = {
    "id": ID,
    "title": "Verbs",
    "skill": None,
    "models": REQUEST["models"],
    "created": 1790000000.0,
    "updated": 1790000005.0,
    "asked": 1,
}
GENERATION: Final[dict[str, Any]] = {
    "id": GENERATION_ID,
    "turn": TURN_ID,
    "model": "route:prompt/past-tense",
    "state": "complete",
    "text": "walked",
    "answer": ANSWER,
    "failure": None,
    "created": 1790000005.0,
    "started": 1790000005.1,
    "ended": 1790000005.3,
}
TURN: Final[dict[str, Any]] = {
    "id": TURN_ID,
    "question": "walk",
    "sampling": {
        "max_tokens": None,
        "temperature": None,
        "top_p": None,
        "stop": None,
        "seed": None,
    },
    "created": 1790000005.0,
    "generations": [GENERATION],
}
QUEUED: Final[dict[str, Any]] = {
    **TURN,
    "generations": [
        {**GENERATION, "state": "queued", "text": "", "answer": None, "started": None}
        | {"ended": None}
    ],
}
LOCATION: Final[dict[str, Any]] = {
    "Location": {"description": "Its path.", "schema": {"type": "string"}, "required": True}
}
ConversationId = Annotated[str, Path(pattern=DIGITS, examples=[ID])]
TurnId = Annotated[str, Path(pattern=DIGITS, examples=[TURN_ID])]
Question = Annotated[
    TurnRequest,
    Body(openapi_examples={"question": {"summary": "A question", "value": {"question": "walk"}}}),
]
LOST: Final = (404, 507)
SENT: Final = (404, 409, 413, 415, 507)


@router.post(
    "/v1/conversations",
    summary="Begin a conversation",
    operation_id="create_conversation",
    status_code=201,
    response_model=ConversationInfo,
    responses={
        201: {**shown({**INFO, "asked": 0}, status=201)[201], "headers": LOCATION},
        **responses(*SENT),
    },
    openapi_extra=CHAT,
)
async def create(
    request: Request,
    response: Response,
    body: Annotated[
        ConversationRequest,
        Body(
            openapi_examples={
                "models": {"summary": "Two routes", "value": REQUEST},
                "skill": {"summary": "A skill's best route", "value": {"skill": "past-tense"}},
            }
        ),
    ],
) -> ConversationInfo:
    """A conversation asks the same models every time, each with its own earlier answers.

    It belongs to the key that begins it: nobody else finds it.
    """
    names = await models_of(request.app.state.service, body.models, body.skill)
    made = await _book(request).create(
        _owner(request), models=names, skill=body.skill, title=body.title or ""
    )
    response.headers["Location"] = f"/v1/conversations/{made.id}"
    return _info(made)


@router.get(
    "/v1/conversations",
    summary="List conversations",
    operation_id="conversations",
    response_model=ConversationList,
    responses=shown({"data": [INFO], "next": None}, 507),
    openapi_extra=CHAT,
)
async def conversations(
    request: Request,
    limit: Annotated[int, Query(ge=1, le=100, examples=[20])] = 20,
    cursor: Annotated[str | None, Query(pattern=r"^[0-9]{1,15}$", examples=["41"])] = None,
) -> ConversationList:
    """The caller's own, newest first, without their turns."""
    behind = None if cursor is None else int(cursor)
    page = await _book(request).page(_owner(request), limit=limit, behind=behind)
    return ConversationList(
        data=[_info(one) for one in page.conversations],
        next=None if page.next is None else str(page.next),
    )


@router.get(
    "/v1/conversations/{id}",
    summary="Show a conversation",
    operation_id="conversation",
    response_model=ConversationDetail,
    responses=shown({**INFO, "turns": [TURN]}, *LOST),
    openapi_extra=CHAT,
)
async def conversation(request: Request, id: ConversationId) -> ConversationDetail:
    """Its turns, oldest first, with every answer as far as it is now."""
    found = await generations_of(request).conversation(_owner(request), id)
    return ConversationDetail(**_fields(found), turns=[_turn(one) for one in found.turns])


@router.patch(
    "/v1/conversations/{id}",
    summary="Rename a conversation",
    operation_id="rename_conversation",
    response_model=ConversationInfo,
    responses=shown(INFO, 404, 413, 415, 507),
    openapi_extra=CHAT,
)
async def rename(
    request: Request,
    id: ConversationId,
    body: Annotated[
        RenameRequest,
        Body(openapi_examples={"title": {"summary": "A title", "value": {"title": "Verbs"}}}),
    ],
) -> ConversationInfo:
    """Give it another title."""
    return _info(await _book(request).rename(_owner(request), id, body.title))


@router.delete(
    "/v1/conversations/{id}",
    summary="Delete a conversation",
    operation_id="delete_conversation",
    response_model=ConversationRemoved,
    responses=shown({"id": ID}, *LOST),
    openapi_extra=CHAT,
)
async def delete(request: Request, id: ConversationId) -> ConversationRemoved:
    """Forget it with all its turns; answers under way are cancelled. Traces stay."""
    gone = await _book(request).delete(_owner(request), id)
    await generations_of(request).cancel(*gone)
    return ConversationRemoved(id=id)


@router.post(
    "/v1/conversations/{id}/turns",
    summary="Ask the next question",
    operation_id="ask",
    status_code=202,
    response_model=TurnInfo,
    responses=shown(QUEUED, *SENT, status=202),
    openapi_extra=CHAT,
)
async def ask(request: Request, id: ConversationId, body: Question) -> TurnInfo:
    """One generation per model begins, and goes on whether or not anybody is connected.

    Refused (409) while an earlier answer is being written.
    """
    placed = await _book(request).ask(_owner(request), id, body.question, _sampling(body))
    return await _begun(request, placed)


@router.put(
    "/v1/conversations/{id}/turns/{turn}",
    summary="Change a question",
    operation_id="edit",
    status_code=202,
    response_model=TurnInfo,
    responses=shown(QUEUED, *SENT, status=202),
    openapi_extra=CHAT,
)
async def edit(request: Request, id: ConversationId, turn: TurnId, body: Question) -> TurnInfo:
    """Ask another question in its place. Its answers and all later turns are deleted; there are no
    branches. Answers under way among them are cancelled."""
    owner = _owner(request)
    placed = await _book(request).edit(owner, id, turn, body.question, _sampling(body))
    return await _begun(request, placed)


@router.post(
    "/v1/conversations/{id}/turns/{turn}/generations",
    summary="Answer a question again",
    operation_id="again",
    status_code=202,
    response_model=TurnInfo,
    responses=shown(QUEUED, *SENT, status=202),
    openapi_extra=CHAT,
)
async def again(
    request: Request,
    id: ConversationId,
    turn: TurnId,
    body: Annotated[
        AgainRequest,
        Body(
            openapi_examples={
                "one": {"summary": "One model", "value": {"model": "route:lora/past-tense"}},
                "all": {"summary": "All models", "value": {}},
            }
        ),
    ],
) -> TurnInfo:
    """A new generation with the turn's own sampling; earlier ones stay as alternatives. The newest
    that is complete stands before later questions."""
    placed = await _book(request).again(_owner(request), id, turn, body.model)
    return await _begun(request, placed)


def generations_of(request: Request) -> Generations:
    """What writes this application's answers."""
    found = request.app.state.generations
    assert isinstance(found, Generations)  # every application has them
    return found


def generation_info(one: Generation) -> GenerationInfo:
    """A generation as it goes over the wire."""
    return GenerationInfo.model_validate(
        {name: getattr(one, name) for name in GenerationInfo.model_fields}
    )


def asks(state: State, order: Order) -> AsyncGenerator[str | Ending, None]:
    """Asks what was ordered as a chat completion would; see `Generations`.

    Args:
        state: The application's: its service and its metrics.
        order: One question to one model.
    """
    asked = Asked(
        model=order.generation.model,
        question=order.question,
        turns=order.turns,
        sampling=Sampled(**order.sampling),
        owner=order.owner,
    )
    return _parts(state, asked)


async def _parts(state: State, asked: Asked) -> AsyncGenerator[str | Ending, None]:
    async with aclosing(told(state, asked)) as parts:
        async for part in parts:
            if isinstance(part, str):
                yield part
            elif isinstance(part, AnswerInfo):
                yield Ending(text=part.text, answer=part.model_dump(mode="json"))
            else:
                yield Ending(failure=part.model_dump(mode="json"))


async def _begun(request: Request, placed: Placed) -> TurnInfo:
    writing = generations_of(request)
    await writing.begin(placed)
    return _turn(writing.turn(placed.turn))


def _book(request: Request) -> ConversationBook:
    book = request.app.state.service.conversations
    assert isinstance(book, ConversationBook)  # every service has one
    return book


def _owner(request: Request) -> str:
    return caller_of(request).name


def _sampling(body: TurnRequest) -> dict[str, Any]:
    return {name: value for name, value in sampling_fields(body).items() if value is not None}


def _fields(one: Conversation) -> dict[str, Any]:
    return {name: getattr(one, name) for name in ConversationInfo.model_fields} | {
        "models": list(one.models)
    }


def _info(one: Conversation) -> ConversationInfo:
    return ConversationInfo(**_fields(one))


def _turn(turn: Turn) -> TurnInfo:
    return TurnInfo(
        id=turn.id,
        question=turn.question,
        sampling=Sampled(**turn.sampling),
        created=turn.created,
        generations=[generation_info(one) for one in turn.generations],
    )
