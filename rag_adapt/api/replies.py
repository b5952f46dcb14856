"""Answers one exchange, whole or as a stream, in whichever shape an endpoint speaks.

It does not know the shapes.
"""

from collections.abc import AsyncGenerator, Sequence
from typing import Protocol

from fastapi import Request
from fastapi.responses import Response
from pydantic import BaseModel

from rag_adapt.api.exchange import Exchange, Finished, Piece
from rag_adapt.api.problems import ApiProblem, problem_of
from rag_adapt.api.streaming import (
    DONE,
    ClientGone,
    EventStream,
    error_event,
    gone,
    while_connected,
)
from rag_adapt.core.errors import RagAdaptError
from rag_adapt.schemas.answers import Extension, Usage

Parts = AsyncGenerator[Piece | Finished, None]


class Shape(Protocol):
    """How an endpoint writes answers."""

    def whole(self, done: Sequence[Finished], usage: Usage, extension: Extension) -> BaseModel:
        """All choices at once."""
        ...

    def piece(self, piece: Piece, *, first: bool) -> BaseModel:
        """Some text of a choice; `first` where it is the choice's first."""
        ...

    def end(self, one: Finished, extension: Extension | None) -> BaseModel:
        """The end of a choice."""
        ...

    def used(self, usage: Usage, extension: Extension) -> BaseModel:
        """What was used, after all choices."""
        ...


async def respond(
    request: Request, exchange: Exchange, shape: Shape, *, stream: bool, tell_usage: bool
) -> Response:
    """The response; what was begun for a client that leaves is cancelled.

    Raises:
        ApiProblem: there is no answer.
    """
    try:
        if stream:
            return await _stream(request, exchange, shape, tell_usage=tell_usage)
        done = await while_connected(request, exchange.whole())
    except ClientGone:
        return gone()
    answer = shape.whole(done, exchange.usage(done), exchange.extension(done))
    return Response(
        answer.model_dump_json(), headers=exchange.headers, media_type="application/json"
    )


async def _stream(
    request: Request, exchange: Exchange, shape: Shape, *, tell_usage: bool
) -> Response:
    """The first part is awaited before the status is sent: until then a failure has its own."""
    parts = exchange.pieces()
    head = await while_connected(request, anext(parts))
    events = _events(exchange, head, parts, shape, tell_usage=tell_usage)
    return EventStream(events, source=parts, headers=exchange.headers)


async def _events(
    exchange: Exchange, head: Piece | Finished, parts: Parts, shape: Shape, *, tell_usage: bool
) -> AsyncGenerator[str, None]:
    done: list[Finished] = []
    begun: set[int] = set()
    try:
        async for part in _joined(head, parts):
            if part.index not in begun:
                text = part.text if isinstance(part, Piece) else ""
                yield _data(shape.piece(Piece(index=part.index, text=text), first=True))
                begun.add(part.index)
            elif isinstance(part, Piece):
                yield _data(shape.piece(part, first=False))
            if isinstance(part, Finished):
                done.append(part)
                last = len(done) == len(exchange.questions) and not tell_usage
                yield _data(shape.end(part, exchange.extension(done) if last else None))
    except (ApiProblem, RagAdaptError) as error:
        yield error_event(error if isinstance(error, ApiProblem) else problem_of(error))
        return
    if tell_usage:
        yield _data(shape.used(exchange.usage(done), exchange.extension(done)))
    yield DONE


async def _joined(head: Piece | Finished, parts: Parts) -> Parts:
    yield head
    async for part in parts:
        yield part


def _data(event: BaseModel) -> str:
    return event.model_dump_json()
