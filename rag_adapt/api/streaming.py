"""Server-sent events, and work that ends when its client goes away.

It does not know what is streamed.
"""

import asyncio
import json
from collections.abc import AsyncGenerator, Coroutine
from typing import Any, Final, TypeVar

from fastapi import Request
from fastapi.responses import Response
from starlette.types import Receive, Scope, Send

from rag_adapt.api.problems import ApiProblem

DONE: Final = "[DONE]"
GONE: Final = 499
"""Status in the log where a client left before its answer: nobody reads it."""
Result = TypeVar("Result")


class ClientGone(Exception):  # noqa: N818 - nobody's fault
    """The client left; what was done for it has ended."""


async def while_connected(request: Request, work: Coroutine[Any, Any, Result]) -> Result:
    """The result of some work, which is cancelled as soon as the client leaves.

    Raises:
        ClientGone: it left first.
    """
    task = asyncio.create_task(work)
    try:
        await asyncio.sleep(0)
        if not task.done():  # what is there at once needs nobody to watch
            await _watched(task, request.receive)
        return task.result()
    finally:
        if not task.done():
            task.cancel()
            await asyncio.gather(task, return_exceptions=True)


async def _watched(task: asyncio.Task[Any], receive: Receive) -> None:
    """Until the work is done.

    Raises:
        ClientGone: the client left first.
    """
    watcher = asyncio.create_task(_until_gone(receive))
    try:
        await asyncio.wait({task, watcher}, return_when=asyncio.FIRST_COMPLETED)
        if not task.done():
            raise ClientGone
    finally:
        watcher.cancel()
        await asyncio.gather(watcher, return_exceptions=True)


class EventStream(Response):
    """Events as they come; the generator is closed when the client leaves.

    Args:
        events: Each one the data of an event.
        source: What the events are made from, begun already: closed in any case.
        headers: Further headers.
    """

    media_type = "text/event-stream"

    def __init__(
        self,
        events: AsyncGenerator[str, None],
        *,
        source: AsyncGenerator[Any, None],
        headers: dict[str, str] | None = None,
    ) -> None:
        self.status_code = 200
        self.background = None
        self._events, self._source = events, source
        self.init_headers(
            {"Cache-Control": "no-cache", "X-Accel-Buffering": "no", **(headers or {})}
        )

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Send until the end, or until the client leaves."""
        sending = asyncio.create_task(self._send(send))
        watcher = asyncio.create_task(_until_gone(receive))
        try:
            await asyncio.wait({sending, watcher}, return_when=asyncio.FIRST_COMPLETED)
            if sending.done():
                sending.result()
        finally:
            sending.cancel()
            watcher.cancel()
            await asyncio.gather(sending, watcher, return_exceptions=True)
            await self._events.aclose()
            await self._source.aclose()

    async def _send(self, send: Send) -> None:
        start = {"status": self.status_code, "headers": self.raw_headers}
        await send({"type": "http.response.start", **start})
        async for event in self._events:
            data = f"data: {event}\n\n".encode()
            await send({"type": "http.response.body", "body": data, "more_body": True})
        await send({"type": "http.response.body", "body": b"", "more_body": False})


def error_event(problem: ApiProblem) -> str:
    """A failure in the middle of a stream: the status is gone, the rest of the problem is told."""
    document = problem.document()
    error = {"message": document.detail, "type": document.code, "param": None}
    return json.dumps({"error": {**error, **document.model_dump()}})


def gone() -> Response:
    """What is answered to nobody."""
    return Response(status_code=GONE)


async def _until_gone(receive: Receive) -> None:
    while (await receive())["type"] != "http.disconnect":
        continue
