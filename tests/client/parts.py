"""Clients of the real service over the scripted engine, and transports that play a part."""

import asyncio
import socket
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

import httpx
import uvicorn
from fastapi import FastAPI

from rag_adapt.client import Client, Retries, Timeouts
from rag_adapt.engines.scripted import ScriptedEngine
from rag_adapt.schemas.jobs import JobInfo
from tests.api.parts import app_of, listening
from tests.serving.parts import service

QUICK = Timeouts(quick=60, work=60, answer=60, upload=60)
PATIENCE = 60.0
"""Seconds that a test waits at most for a server or a job."""
AT_ONCE = Retries(first=0.01)
Answer = httpx.Response | Exception


@contextmanager
def client_of(app: FastAPI | None = None, **more: Any) -> Iterator[Client]:
    """A client of an application that listens."""
    with (
        listening(app or app_of(service(ScriptedEngine()))) as url,
        Client(url, timeouts=QUICK, retries=AT_ONCE, **more) as made,
    ):
        yield made


@contextmanager
def killed_at(port: int, app: FastAPI) -> Iterator[None]:
    """The app on this port; in the end it hangs up on everybody."""
    config = uvicorn.Config(app, host="127.0.0.1", port=port, log_level="critical")
    server = uvicorn.Server(config)
    thread = threading.Thread(target=lambda: asyncio.run(server.serve()))
    thread.start()
    try:
        end = time.monotonic() + PATIENCE
        while not server.started:
            assert thread.is_alive(), "the server ended before it had begun"
            assert time.monotonic() < end, "the server did not begin"
            time.sleep(0.01)
        yield
    finally:
        server.should_exit = server.force_exit = True
        thread.join(PATIENCE)
        assert not thread.is_alive(), "the server did not end"


def finished(client: Client, id: str) -> JobInfo:
    """A job that has ended; no test waits for one for ever."""
    end = time.monotonic() + PATIENCE
    while (job := client.jobs.show(id)).ended is None:
        assert time.monotonic() < end, job
        time.sleep(0.05)
    return job


@dataclass
class Played(httpx.BaseTransport):
    """Gives one answer after another, the last one again and again."""

    answers: Sequence[Answer | Callable[[httpx.Request], Answer]]
    seen: list[httpx.Request] = field(default_factory=list)

    def handle_request(self, request: httpx.Request) -> httpx.Response:
        request.read()
        self.seen.append(request)
        found = self.answers[min(len(self.seen), len(self.answers)) - 1]
        answer = found(request) if callable(found) else found
        if isinstance(answer, Exception):
            raise answer
        return answer


class Cut(httpx.SyncByteStream):
    """A body that breaks off after some pieces."""

    def __init__(self, *pieces: str, error: Exception | None = None) -> None:
        self._pieces, self._error = pieces, error

    def __iter__(self) -> Iterator[bytes]:
        for piece in self._pieces:
            yield piece.encode()
        if self._error is not None:
            raise self._error


def cut(*pieces: str, error: Exception | None = None) -> httpx.Response:
    """A stream of events that ends, or breaks off, after these."""
    return httpx.Response(200, stream=Cut(*pieces, error=error))


def free_port() -> int:
    """A port that nobody listens on."""
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
    assert isinstance(port, int)
    return port
