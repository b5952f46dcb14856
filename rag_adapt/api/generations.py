"""`/v1/conversations/{id}/generations`: look at an answer, read on where one stopped, stop it.

It does not know how an answer is made.
"""

from collections.abc import AsyncGenerator
from contextlib import aclosing
from typing import Annotated, Final

from fastapi import APIRouter, Header, Path, Request, Response

from rag_adapt.api.conversations import (
    DIGITS,
    GENERATION,
    GENERATION_ID,
    LOST,
    ConversationId,
    generation_info,
    generations_of,
)
from rag_adapt.api.desk import CHAT, shown
from rag_adapt.api.named_events import END, described, named
from rag_adapt.api.problems import problem_of, responses
from rag_adapt.api.security import caller_of
from rag_adapt.api.streaming import EventStream
from rag_adapt.core.errors import RagAdaptError
from rag_adapt.schemas.conversations import GenerationInfo, GenerationPiece
from rag_adapt.serving.generations import Look

router = APIRouter(tags=["conversations"])
EVENTS: Final = (
    'data: {"text":"walk"}\nevent: delta\nid: 4\n\ndata: {"text":"ed"}\nevent: delta\nid: 6\n\n'
    'data: {"id":"2f5a7d9e...","state":"complete","text":"walked",...}\nevent: generation\n\n'
    "data: [DONE]\nevent: done\n\n"
)
GenerationId = Annotated[str, Path(pattern=DIGITS, examples=[GENERATION_ID])]
LastEventId = Annotated[
    str | None,
    Header(
        pattern=r"^[0-9]{1,9}$",
        description="The `id` of the last event that was read: characters of the text so far.",
        examples=["4"],
    ),
]


@router.get(
    "/v1/conversations/{id}/generations/{generation}",
    summary="Show a generation",
    operation_id="generation",
    response_model=GenerationInfo,
    responses=shown(GENERATION, *LOST),
    openapi_extra=CHAT,
)
async def generation(
    request: Request, id: ConversationId, generation: GenerationId
) -> GenerationInfo:
    """Its state, its text so far, and the whole answer once it is complete."""
    found = await generations_of(request).find(caller_of(request).name, id, generation)
    return generation_info(found)


@router.post(
    "/v1/conversations/{id}/generations/{generation}/cancel",
    summary="Stop a generation",
    operation_id="cancel_generation",
    response_model=GenerationInfo,
    responses=shown({**GENERATION, "state": "cancelled", "answer": None}, *LOST),
    openapi_extra=CHAT,
)
async def cancel(request: Request, id: ConversationId, generation: GenerationId) -> GenerationInfo:
    """Its work ends now and its text so far is kept. One that has ended stays as it is."""
    owner, writing = caller_of(request).name, generations_of(request)
    await writing.find(owner, id, generation)
    await writing.cancel(generation)
    return generation_info(await writing.find(owner, id, generation))


@router.get(
    "/v1/conversations/{id}/generations/{generation}/events",
    summary="Read a generation as it is written",
    operation_id="generation_events",
    response_class=Response,
    responses={**described(EVENTS, "delta", "generation", "failure"), **responses(*LOST)},
    openapi_extra=CHAT,
)
async def events(
    request: Request,
    id: ConversationId,
    generation: GenerationId,
    last_event_id: LastEventId = None,
) -> Response:
    """Server-sent events: the text so far, then piece by piece as `delta`; the whole `generation`
    at every change of its state and at its end; `done` after it.

    Any number may read at once, leave, and come back with `Last-Event-ID`. Leaving stops nothing.
    """
    owner, writing = caller_of(request).name, generations_of(request)
    await writing.find(owner, id, generation)
    looks = writing.follow(owner, id, generation, start=int(last_event_id or 0))
    return EventStream(_lines(looks), source=looks)


async def _lines(looks: AsyncGenerator[Look, None]) -> AsyncGenerator[str, None]:
    try:
        async with aclosing(looks) as seen:
            async for look in seen:
                yield _line(look)
    except RagAdaptError as error:
        yield named("failure", problem_of(error).document().model_dump_json())
        return
    yield END


def _line(look: Look) -> str:
    if look.generation is not None:
        return named("generation", generation_info(look.generation).model_dump_json())
    return named("delta", GenerationPiece(text=look.piece).model_dump_json(), place=look.place)
