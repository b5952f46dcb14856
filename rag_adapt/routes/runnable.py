"""Every route as a LangChain `Runnable`.

It does not know which routes there are.
"""

import asyncio
from collections.abc import AsyncIterator, Mapping
from typing import TYPE_CHECKING, Any

from rag_adapt.core.errors import EngineError
from rag_adapt.core.protocols import Engine
from rag_adapt.core.trace import Answer, Failure
from rag_adapt.core.types import Delta, Draft, Sampling
from rag_adapt.routes.route import Route

if TYPE_CHECKING:
    from langchain_core.messages import AIMessageChunk
    from langchain_core.runnables import Runnable


def as_runnable(
    route: Route, *, engine: Engine, sampling: Sampling, labels: tuple[str, ...] = ()
) -> "Runnable[str | Mapping[str, str], AIMessageChunk]":
    """The route as a Runnable: a question (text, or `{"input": ...}`) in, a message out.

    The message's `response_metadata` holds `trace`, `route` and the tokens used. Streams with
    `astream`; `invoke` blocks and must not be called where an event loop runs.

    Raises:
        EngineError: when run, if the route fails; the failure's code and hint are in it.
    """
    from langchain_core.messages import AIMessageChunk
    from langchain_core.runnables import RunnableLambda

    async def pieces(question: str | Mapping[str, str]) -> AsyncIterator[AIMessageChunk]:
        text = question if isinstance(question, str) else question["input"]
        draft = Draft(item_id="question", input=text, labels=labels)
        async for part in route.stream(draft, engine=engine, sampling=sampling):
            if isinstance(part, Failure):
                raise EngineError(f"{part.code}: {part.message}", hint=part.hint)
            if isinstance(part, Delta):
                yield AIMessageChunk(content=part.text)
            else:
                yield AIMessageChunk(content="", response_metadata=_metadata(part))

    async def whole(question: str | Mapping[str, str]) -> AIMessageChunk:
        message = AIMessageChunk(content="")
        async for piece in pieces(question):
            message = message + piece
        return message

    def blocking(question: str | Mapping[str, str]) -> AIMessageChunk:
        return asyncio.run(whole(question))

    return RunnableLambda(blocking, afunc=pieces, name=route.name)


def _metadata(answer: Answer) -> dict[str, Any]:
    return {
        "route": answer.trace.route,
        "trace": answer.trace.as_json(),
        "finish_reason": answer.outcome.finish_reason,
    }
