"""`POST /v1/completions`: one or several prompts in, texts out.

It does not know routes or engines.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import accumulate
from typing import Annotated, Any, Final

from fastapi import APIRouter, Body, Request
from fastapi.responses import Response

from rag_adapt.api.chat import EXTENSION, described
from rag_adapt.api.exchange import Exchange, Finished, Piece, exchange, open_route
from rag_adapt.api.problems import ApiProblem
from rag_adapt.api.replies import respond
from rag_adapt.api.security import caller_of
from rag_adapt.api.streaming import ClientGone, gone, while_connected
from rag_adapt.schemas.answers import (
    CompletionResponse,
    Extension,
    TextChoice,
    TextLogProbs,
    Usage,
)
from rag_adapt.schemas.requests import MOST_CHOICES, CompletionRequest
from rag_adapt.serving.service import Service

router = APIRouter(tags=["answers"])

REQUEST: Final[dict[str, Any]] = {"model": "route:prompt/past-tense", "prompt": "walk"}
RESPONSE: Final[dict[str, Any]] = {
    "id": "cmpl-5b1f0c8e2d7a4f3c9b6e0d1a2c3f4e5d",
    "object": "text_completion",
    "created": 1790000000,
    "model": "route:rag/manual",
    "choices": [{"index": 0, "text": "900 lm", "finish_reason": "stop", "logprobs": None}],
    "usage": {"prompt_tokens": 231, "completion_tokens": 5, "total_tokens": 236},
    "rag_adapt": EXTENSION,
}
EVENTS: Final = (
    'data: {"id":"cmpl-5b1f","object":"text_completion","created":1790000000,'
    '"model":"route:prompt/past-tense","choices":[{"index":0,"text":"walked",'
    '"finish_reason":null}]}\n\ndata: [DONE]\n\n'
)


@router.post(
    "/v1/completions",
    summary="Answer prompts",
    operation_id="complete",
    response_model=CompletionResponse,
    responses=described(RESPONSE, EVENTS),
    openapi_extra={"x-scope": "chat"},
)
async def complete(
    request: Request,
    body: Annotated[
        CompletionRequest,
        Body(openapi_examples={"route": {"summary": "A route of a skill", "value": REQUEST}}),
    ],
) -> Response:
    """Answer in OpenAI's older shape.

    Each prompt is an item of the skill; with the plain model it is sent as one user message, for
    the engines answer chats and do not continue texts.
    """
    service: Service = request.app.state.service
    _check_count(body)
    try:
        served = await while_connected(request, open_route(service, body.model))
    except ClientGone:
        return gone()
    made = exchange(
        request.app.state,
        served,
        body,
        limit=body.max_tokens,
        inputs=body.prompts,
        logprobs=body.logprobs is not None,
        owner=caller_of(request).name,
    )
    options = body.stream_options
    return await respond(
        request,
        made,
        TextShape(exchange=made),
        stream=bool(body.stream),
        tell_usage=options is not None and bool(options.include_usage),
    )


@dataclass(frozen=True, kw_only=True)
class TextShape:
    """Text completions; their chunks look the same."""

    exchange: Exchange

    def whole(
        self, done: Sequence[Finished], usage: Usage, extension: Extension
    ) -> CompletionResponse:
        """See `Shape`."""
        choices = [_choice(one, one.text) for one in done]
        return self._response(choices, usage=usage, extension=extension)

    def piece(self, piece: Piece, *, first: bool) -> CompletionResponse:
        """See `Shape`."""
        return self._response([TextChoice(index=piece.index, text=piece.text, finish_reason=None)])

    def end(self, one: Finished, extension: Extension | None) -> CompletionResponse:
        """See `Shape`."""
        return self._response([_choice(one, "")], extension=extension)

    def used(self, usage: Usage, extension: Extension) -> CompletionResponse:
        """See `Shape`."""
        return self._response([], usage=usage, extension=extension)

    def _response(
        self,
        choices: list[TextChoice],
        *,
        usage: Usage | None = None,
        extension: Extension | None = None,
    ) -> CompletionResponse:
        return CompletionResponse(
            id=f"cmpl-{self.exchange.id}",
            created=self.exchange.created,
            model=self.exchange.model,
            choices=choices,
            usage=usage,
            rag_adapt=extension,
        )


def _choice(one: Finished, text: str) -> TextChoice:
    return TextChoice(index=one.index, text=text, finish_reason=one.reason, logprobs=_logprobs(one))


def _logprobs(one: Finished) -> TextLogProbs | None:
    if one.scores is None:
        return None
    tokens = [score.text for score in one.scores]
    offsets = [0, *accumulate(map(len, tokens))]
    return TextLogProbs(
        tokens=tokens,
        token_logprobs=[score.logprob for score in one.scores],
        text_offset=offsets[: len(tokens)],
    )


def _check_count(body: CompletionRequest) -> None:
    wanted = len(body.prompts) * (body.n or 1)
    if wanted > MOST_CHOICES:
        raise ApiProblem(
            status=400,
            code="too-many-choices",
            detail=f"{len(body.prompts)} prompts with n {body.n} make {wanted} answers; one "
            f"request may ask for {MOST_CHOICES}",
            hint="Send fewer prompts or a smaller n, in several requests.",
        )
