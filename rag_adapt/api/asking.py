"""Asks one model one question for an endpoint that asks several: its failure is its own.

It does not know who else is asked, nor where the answer goes.
"""

import json
import logging
from collections.abc import AsyncGenerator
from contextlib import aclosing
from dataclasses import dataclass
from typing import Final

from starlette.datastructures import State

from rag_adapt.api.exchange import Exchange, Finished, Piece, exchange, open_route
from rag_adapt.api.problems import ApiProblem, problem_of
from rag_adapt.core.errors import RagAdaptError
from rag_adapt.core.types import Message
from rag_adapt.schemas.comparisons import (
    AnswerCost,
    AnswerInfo,
    AnswerTimes,
    FailureInfo,
    Sampled,
)
from rag_adapt.schemas.proof import AdapterProof
from rag_adapt.schemas.requests import Generation

TRACE_ID: Final = "X-Trace-Id"
log = logging.getLogger("rag_adapt.api")
Told = AsyncGenerator[str | AnswerInfo | FailureInfo, None]


@dataclass(frozen=True, kw_only=True)
class Asked:
    """One question to one model."""

    model: str
    question: str
    turns: tuple[Message, ...]
    """What stands before it."""
    sampling: Sampled
    owner: str
    """Who asks: nobody else reads the trace."""


async def told(state: State, asked: Asked) -> Told:
    """Pieces of text as they come, then the answer or why there is none. Closing it cancels.

    Args:
        state: The application's: its service and its metrics.
        asked: The question.
    """
    try:
        made = await _opened(state, asked)
        async with aclosing(made.pieces()) as parts:
            async for part in parts:
                if isinstance(part, Finished):
                    yield _answer(made, part)
                elif isinstance(part, Piece) and part.text:
                    yield part.text
    except Exception as error:
        if not isinstance(error, ApiProblem | RagAdaptError):
            log.exception("the model %s gave no answer", json.dumps(asked.model))
        yield failure_of(error)


async def _opened(state: State, asked: Asked) -> Exchange:
    sampling = asked.sampling
    body = Generation(
        model=asked.model,
        temperature=sampling.temperature,
        top_p=sampling.top_p,
        stop=sampling.stop,
        seed=sampling.seed,
    )
    served = await open_route(state.service, asked.model)
    return exchange(
        state,
        served,
        body,
        limit=sampling.max_tokens,
        inputs=[asked.question],
        turns=asked.turns,
        logprobs=False,
        owner=asked.owner,
    )


def _answer(made: Exchange, one: Finished) -> AnswerInfo:
    times, cost = one.reply.answer.outcome.times, made.cost(one)
    return AnswerInfo(
        text=one.text,
        finish_reason=one.reason,
        usage=made.usage([one]),
        times=AnswerTimes(queued=times.queued, first_token=times.first_token, total=times.total),
        cost=None if cost is None else AnswerCost(value=cost.value, unit=cost.unit),
        proof=None if made.proof is None else AdapterProof.model_validate(made.proof),
        rag_adapt=made.extension([one]),
    )


def failure_of(error: Exception) -> FailureInfo:
    """Why there is no answer, in the shape of a problem; of what is unexpected nothing goes out."""
    if isinstance(error, RagAdaptError):
        error = problem_of(error)
    if not isinstance(error, ApiProblem):
        error = ApiProblem(
            status=500,
            code="internal",
            detail="the service failed in a way that it did not expect",
            hint="The server's log says more; report it.",
        )
    return FailureInfo(**error.document().model_dump(), trace_id=error.headers.get(TRACE_ID))
