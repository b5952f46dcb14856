"""`POST /v1/chat/completions`: a conversation in, the assistant's next message out.

It does not know routes or engines.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Annotated, Any, Final

from fastapi import APIRouter, Body, Request
from fastapi.responses import Response

from rag_adapt.api.exchange import Exchange, Finished, Piece, exchange, is_plain, open_route
from rag_adapt.api.problems import ApiProblem, responses
from rag_adapt.api.replies import respond
from rag_adapt.api.security import caller_of
from rag_adapt.api.streaming import ClientGone, gone, while_connected
from rag_adapt.core.types import Message
from rag_adapt.schemas.answers import (
    ChatAnswer,
    ChatChoice,
    ChatChunk,
    ChatChunkChoice,
    ChatDelta,
    ChatLogProbs,
    ChatResponse,
    Extension,
    TokenLogProb,
    Usage,
)
from rag_adapt.schemas.requests import ChatMessage, ChatRequest
from rag_adapt.serving.served import Served
from rag_adapt.serving.service import Service

router = APIRouter(tags=["answers"])

REQUEST: Final[dict[str, Any]] = {
    "model": "route:prompt/past-tense",
    "messages": [{"role": "user", "content": "walk"}],
}
EXTENSION: Final[dict[str, Any]] = {
    "route": "rag",
    "skill": "manual",
    "setup": "context, 4 passages",
    "adapter": None,
    "citations": [
        {
            "choice": 0,
            "document": "borage-light.md",
            "start": 120,
            "end": 141,
            "text": "The lamp gives 900 lm",
            "score": 0.24,
        }
    ],
    "run": None,
    "basis": None,
    "recommended": False,
    "sentence": None,
    "trace_id": "5b1f0c8e2d7a4f3c9b6e0d1a2c3f4e5d",
}
RESPONSE: Final[dict[str, Any]] = {
    "id": "chatcmpl-5b1f0c8e2d7a4f3c9b6e0d1a2c3f4e5d",
    "object": "chat.completion",
    "created": 1790000000,
    "model": "route:rag/manual",
    "choices": [
        {
            "index": 0,
            "message": {"role": "assistant", "content": "900 lm"},
            "finish_reason": "stop",
            "logprobs": None,
        }
    ],
    "usage": {"prompt_tokens": 231, "completion_tokens": 5, "total_tokens": 236},
    "rag_adapt": EXTENSION,
}
EVENTS: Final = (
    'data: {"id":"chatcmpl-5b1f","object":"chat.completion.chunk","created":1790000000,'
    '"model":"route:prompt/past-tense","choices":[{"index":0,"delta":{"role":"assistant",'
    '"content":"walked"},"finish_reason":null}]}\n\ndata: [DONE]\n\n'
)
EVENT: Final[dict[str, Any]] = {
    "type": "object",
    "description": 'One event: `data` is a chunk as JSON, `[DONE]`, or `{"error": ...}` where '
    "the answer failed after its first piece.",
    "required": ["data"],
    "properties": {"data": {"type": "string"}, "event": {"type": "string"}},
}
HEADERS: Final[dict[str, Any]] = {
    "X-Trace-Id": {"description": "For GET /v1/traces/{id}.", "schema": {"type": "string"}},
    "X-Trace-Kept": {
        "description": "`false` where the trace could not be written.",
        "schema": {"type": "string"},
        "required": False,
    },
    "X-Adapter": {
        "description": "The adapter's version, where one answers.",
        "schema": {"type": "string"},
        "required": False,
    },
}


def described(response: dict[str, Any], events: str) -> dict[int | str, dict[str, Any]]:
    """The `responses=` of an endpoint that answers whole or as a stream."""
    answered = {
        "description": "The answer; with `stream` the same in pieces, as server-sent events. The "
        "last event before `[DONE]` carries `rag_adapt`.",
        "headers": HEADERS,
        "content": {
            "application/json": {"example": response},
            "text/event-stream": {"schema": EVENT, "example": events},
        },
    }
    return {200: answered, **responses(404, 409, 413, 415, 422, 501, 502, 507)}


@router.post(
    "/v1/chat/completions",
    summary="Answer a conversation",
    operation_id="chat",
    response_model=ChatResponse,
    responses=described(RESPONSE, EVENTS),
    openapi_extra={"x-scope": "chat"},
)
async def chat(
    request: Request,
    body: Annotated[
        ChatRequest,
        Body(
            openapi_examples={
                "route": {"summary": "A route of a skill", "value": REQUEST},
                "stream": {
                    "summary": "In pieces, with earlier turns",
                    "value": {
                        "model": "route:prompt/past-tense",
                        "messages": [
                            {"role": "user", "content": "go"},
                            {"role": "assistant", "content": "went"},
                            {"role": "user", "content": "walk"},
                        ],
                        "stream": True,
                    },
                },
            }
        ),
    ],
) -> Response:
    """Answer in OpenAI's shape.

    `model` names a route of a skill or the engine's model. On a route the last user message is
    the item and earlier turns stand before it; the template speaks the system message, so a
    request must not bring one. On the plain model messages go through as they are.
    """
    service: Service = request.app.state.service
    try:
        served = await while_connected(request, open_route(service, body.model))
    except ClientGone:
        return gone()
    turns = _turns(body.messages, served)
    made = exchange(
        request.app.state,
        served,
        body,
        limit=body.limit,
        inputs=[body.messages[-1].text],
        turns=turns,
        logprobs=bool(body.logprobs),
        owner=caller_of(request).name,
    )
    options = body.stream_options
    return await respond(
        request,
        made,
        ChatShape(exchange=made),
        stream=bool(body.stream),
        tell_usage=options is not None and bool(options.include_usage),
    )


@dataclass(frozen=True, kw_only=True)
class ChatShape:
    """Chat completions and their chunks."""

    exchange: Exchange

    @property
    def _id(self) -> str:
        return f"chatcmpl-{self.exchange.id}"

    def whole(self, done: Sequence[Finished], usage: Usage, extension: Extension) -> ChatResponse:
        """See `Shape`."""
        return ChatResponse(
            id=self._id,
            created=self.exchange.created,
            model=self.exchange.model,
            choices=[
                ChatChoice(
                    index=one.index,
                    message=ChatAnswer(content=one.text),
                    finish_reason=one.reason,
                    logprobs=_logprobs(one),
                )
                for one in done
            ],
            usage=usage,
            rag_adapt=extension,
        )

    def piece(self, piece: Piece, *, first: bool) -> ChatChunk:
        """See `Shape`."""
        delta = ChatDelta(role="assistant" if first else None, content=piece.text)
        return self._chunk([ChatChunkChoice(index=piece.index, delta=delta)])

    def end(self, one: Finished, extension: Extension | None) -> ChatChunk:
        """See `Shape`."""
        choice = ChatChunkChoice(
            index=one.index,
            delta=ChatDelta(),
            finish_reason=one.reason,
            logprobs=_logprobs(one),
        )
        return self._chunk([choice], extension=extension)

    def used(self, usage: Usage, extension: Extension) -> ChatChunk:
        """See `Shape`."""
        return self._chunk([], usage=usage, extension=extension)

    def _chunk(
        self,
        choices: list[ChatChunkChoice],
        *,
        usage: Usage | None = None,
        extension: Extension | None = None,
    ) -> ChatChunk:
        return ChatChunk(
            id=self._id,
            created=self.exchange.created,
            model=self.exchange.model,
            choices=choices,
            usage=usage,
            rag_adapt=extension,
        )


def _logprobs(one: Finished) -> ChatLogProbs | None:
    if one.scores is None:
        return None
    return ChatLogProbs(
        content=[
            TokenLogProb(token=s.text, logprob=s.logprob, bytes=list(s.text.encode()))
            for s in one.scores
        ]
    )


def _turns(messages: Sequence[ChatMessage], served: Served) -> tuple[Message, ...]:
    """What stands before the last message.

    Raises:
        ApiProblem: the last message is not the user's, or a route was handed a system message.
    """
    if messages[-1].role != "user":
        raise ApiProblem(
            status=400,
            code="last-message",
            detail=f"the last message is the {messages[-1].role}'s; there is nothing to answer",
            hint="End `messages` with one of role `user`.",
        )
    if not is_plain(served) and any(m.role in ("system", "developer") for m in messages):
        raise ApiProblem(
            status=400,
            code="system-message",
            detail="a route speaks the system message itself, from the skill's template, as it "
            "was measured; with another one the figures would not hold",
            hint="Leave the system message out, write it into the skill's template, or name the "
            "plain model.",
        )
    return tuple(_message(message) for message in messages[:-1])


def _message(message: ChatMessage) -> Message:
    role = "system" if message.role == "developer" else message.role
    return Message(role=role, content=message.text)
