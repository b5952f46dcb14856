"""A client that leaves ends the work that was done for it, over a real connection."""

import asyncio
import json
import socket

import pytest

from rag_adapt.core.errors import EngineError
from rag_adapt.core.types import Call, Delta
from rag_adapt.engines.scripted import ScriptedEngine
from tests.api.parts import HELLO, app_of, chat, client_of, events, listening
from tests.serving.parts import service
from tests.waiting import wait_until


class Slow(ScriptedEngine):
    """Says a word every 50 ms for 20 seconds; whoever ends it earlier is noticed."""

    begun = 0
    cut_off = 0

    async def generate(self, call: Call):  # type: ignore[no-untyped-def]  # a fake of an async generator
        self.begun += 1
        try:
            for _ in range(400):
                await asyncio.sleep(0.05)
                yield Delta(text="word ")
        except (asyncio.CancelledError, GeneratorExit):
            self.cut_off += 1
            raise


class Silent(Slow):
    """Never says anything."""

    async def generate(self, call: Call):  # type: ignore[no-untyped-def]  # a fake of an async generator
        self.begun += 1
        try:
            await asyncio.sleep(20)
            yield Delta(text="late")
        except (asyncio.CancelledError, GeneratorExit):
            self.cut_off += 1
            raise


class Breaking(ScriptedEngine):
    """Says one word, then fails."""

    async def generate(self, call: Call):  # type: ignore[no-untyped-def]  # a fake of an async generator
        yield Delta(text="one ")
        raise EngineError("it broke in the middle", hint="ask again")


def send(url: str, *, stream: bool, n: int = 1) -> socket.socket:
    """A request over a plain socket, so that leaving is up to the test."""
    host, _, port = url.removeprefix("http://").partition(":")
    body = json.dumps({**HELLO, "stream": stream, "n": n}).encode()
    head = (
        f"POST /v1/chat/completions HTTP/1.1\r\nHost: {host}:{port}\r\n"
        f"Content-Type: application/json\r\nContent-Length: {len(body)}\r\n\r\n"
    )
    connection = socket.create_connection((host, int(port)))
    connection.sendall(head.encode() + body)
    return connection


@pytest.mark.parametrize(
    ("engine", "stream", "n"),
    [(Slow, True, 1), (Slow, False, 1), (Slow, False, 4), (Silent, True, 1), (Silent, False, 1)],
)
def test_a_client_that_leaves_cancels_the_work(engine: type[Slow], stream: bool, n: int) -> None:
    slow = engine()
    with listening(app_of(service(slow))) as url:
        connection = send(url, stream=stream, n=n)
        if stream and engine is Slow:
            assert b"200 OK" in connection.recv(1000)
        else:
            wait_until(lambda: slow.begun)
        assert not slow.cut_off
        connection.close()
        wait_until(lambda: slow.cut_off == slow.begun)


def test_a_cancelled_answer_is_counted_as_such() -> None:
    slow = Slow()
    app = app_of(service(slow))
    with listening(app) as url:
        connection = send(url, stream=True)
        connection.recv(1000)
        connection.close()
        wait_until(lambda: slow.cut_off)
    counted = app.state.metrics.exposition().body.decode()
    assert 'outcome="cancelled",route="scripted"} 1.0' in counted


def test_a_failure_in_the_middle_of_a_stream_is_told_and_ends_it() -> None:
    response = chat(client_of(service(Breaking())), stream=True)
    *chunks, last = events(response.text)
    assert response.status_code == 200
    assert json.loads(chunks[0])["choices"][0]["delta"]["content"] == "one "
    error = json.loads(last)["error"]
    assert error["message"] == "it broke in the middle"
    assert (error["code"], error["hint"], error["retryable"]) == ("engine", "ask again", True)


def test_pieces_reach_the_client_one_by_one() -> None:
    with listening(app_of(service(Slow()))) as url, send(url, stream=True) as connection:
        read = b""
        while read.count(b"word") < 3:
            read += connection.recv(2000)
        assert read.count(b"word") < 100  # the whole answer is 400
