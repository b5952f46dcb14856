"""`POST /v1/comparisons`: one question to several models at once, answered side by side.

It does not know how any of them answers.
"""

import secrets
from collections.abc import AsyncGenerator
from contextlib import aclosing
from typing import Annotated, Any, Final

from fastapi import APIRouter, Body, Request
from fastapi.responses import Response

from rag_adapt.api.asking import Asked, told
from rag_adapt.api.chat import EXTENSION
from rag_adapt.api.exchange import SEED_BITS
from rag_adapt.api.named_events import END, named
from rag_adapt.api.named_events import described as described_events
from rag_adapt.api.problems import responses
from rag_adapt.api.security import caller_of
from rag_adapt.api.streaming import ClientGone, EventStream, gone, while_connected
from rag_adapt.core.types import Message
from rag_adapt.schemas.comparisons import (
    AnswerInfo,
    Compared,
    ComparedDelta,
    Comparison,
    ComparisonRequest,
    FailureInfo,
    Sampled,
    sampling_fields,
)
from rag_adapt.serving.comparing import Told, side_by_side

router = APIRouter(tags=["answers"])
Part = str | AnswerInfo | FailureInfo
REQUEST: Final[dict[str, Any]] = {
    "models": ["route:prompt/past-tense", "route:auto/past-tense"],
    "question": "walk",
}
ANSWER: Final[dict[str, Any]] = {
    "text": "walked",
    "finish_reason": "stop",
    "usage": {"prompt_tokens": 38, "completion_tokens": 2, "total_tokens": 40},
    "times": {"queued": 0.01, "first_token": 0.09, "total": 0.12},
    "cost": {"value": 0.11, "unit": "compute-seconds"},
    "proof": None,
    "rag_adapt": {
        **EXTENSION,
        "route": "prompt",
        "skill": "past-tense",
        "setup": "prompt",
        "citations": [],
    },
}
FAILURE: Final[dict[str, Any]] = {
    "type": "urn:rag-adapt:problem:model-not-found",
    "title": "Not Found",
    "status": 404,
    "detail": "there is no finished run of 'past-tense'",
    "instance": "urn:uuid:6f1c2a3e-8f0b-4b57-9a4e-2d2c3f0f7c11",
    "code": "model-not-found",
    "hint": "Measure it: `rag-adapt bench past-tense`.",
    "retryable": False,
    "trace_id": None,
}
COMPARISON: Final[dict[str, Any]] = {
    "data": [
        {"index": 0, "model": REQUEST["models"][0], "answer": ANSWER, "failure": None},
        {"index": 1, "model": REQUEST["models"][1], "answer": None, "failure": FAILURE},
    ]
}
EVENTS: Final = (
    'data: {"index":0,"model":"route:prompt/past-tense","text":"walked"}\nevent: delta\n\n'
    'data: {"index":0,"model":"route:prompt/past-tense","answer":{...},"failure":null}\n'
    "event: answer\n\ndata: [DONE]\nevent: done\n\n"
)


def _described() -> dict[int | str, dict[str, Any]]:
    streamed = described_events(EVENTS, "delta", "answer", "failure")[200]["content"]
    answered = {
        "description": "All answers; with `stream` piece by piece, as server-sent events.",
        "content": {"application/json": {"example": COMPARISON}, **streamed},
    }
    return {200: answered, **responses(413, 415)}


@router.post(
    "/v1/comparisons",
    summary="Ask several models at once",
    operation_id="compare",
    response_model=Comparison,
    responses=_described(),
    openapi_extra={"x-scope": "chat"},
)
async def compare(
    request: Request,
    body: Annotated[
        ComparisonRequest,
        Body(
            openapi_examples={
                "two": {"summary": "Two routes of a skill", "value": REQUEST},
                "stream": {
                    "summary": "In pieces, with an earlier turn",
                    "value": {
                        **REQUEST,
                        "turns": [
                            {"role": "user", "content": "go"},
                            {"role": "assistant", "content": "went"},
                        ],
                        "stream": True,
                    },
                },
            }
        ),
    ],
) -> Response:
    """Every model gets the same question, the same earlier turns and the same sampling.

    One that cannot answer leaves the others alone: its `failure` says why. Each answer has a trace
    of its own. A client that leaves cancels them all.
    """
    state, owner = request.app.state, caller_of(request).name
    parts = side_by_side([told(state, asked) for asked in _questions(body, owner)])
    if body.stream:
        return EventStream(_events(body, parts), source=parts)
    try:
        found = await while_connected(request, _whole(body, parts))
    except ClientGone:
        return gone()
    return Response(found.model_dump_json(), media_type="application/json")


def _questions(body: ComparisonRequest, owner: str) -> list[Asked]:
    fields = sampling_fields(body)
    if body.seed is None and body.temperature:
        fields["seed"] = secrets.randbits(SEED_BITS)  # one for all: chance is no difference
    sampling = Sampled(**fields)
    turns = tuple(Message(role=one.role, content=one.content) for one in body.turns)
    return [
        Asked(model=model, question=body.question, turns=turns, sampling=sampling, owner=owner)
        for model in body.models
    ]


async def _whole(body: ComparisonRequest, parts: AsyncGenerator[Told[Part], None]) -> Comparison:
    async with aclosing(parts) as all_parts:
        ends = [_end(body, one.index, one.part) async for one in all_parts if _ends(one.part)]
    return Comparison(data=sorted(ends, key=lambda end: end.index))


async def _events(
    body: ComparisonRequest, parts: AsyncGenerator[Told[Part], None]
) -> AsyncGenerator[str, None]:
    async for one in parts:
        if isinstance(one.part, str):
            delta = ComparedDelta(index=one.index, model=body.models[one.index], text=one.part)
            yield named("delta", delta.model_dump_json())
        else:
            name = "answer" if isinstance(one.part, AnswerInfo) else "failure"
            yield named(name, _end(body, one.index, one.part).model_dump_json())
    yield END


def _ends(part: Part) -> bool:
    return not isinstance(part, str)


def _end(body: ComparisonRequest, index: int, part: Part) -> Compared:
    return Compared(
        index=index,
        model=body.models[index],
        answer=part if isinstance(part, AnswerInfo) else None,
        failure=part if isinstance(part, FailureInfo) else None,
    )
