"""Connections without a request lock nobody out, and heads are bounded."""

import asyncio
import json
import socket
import threading
import time
from collections.abc import AsyncGenerator, Iterator
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path

import httpx2
import pytest
import uvicorn
from fastapi.responses import PlainTextResponse

from rag_adapt.api.connections import HEAD_BYTES, MOST, most_connections, server_config
from rag_adapt.core.types import Call, Delta
from rag_adapt.engines.scripted import ScriptedEngine
from rag_adapt.keys.store import KeyStore
from tests.api.parts import HELLO, app_of
from tests.api.small_app import small_app
from tests.serving.parts import HOME, service

MANY = 40
HEAD = b"GET /healthz HTTP/1.1\r\nHost: 127.0.0.1\r\n"


@contextmanager
def listening(home: Path, *, most: int = 8, head_seconds: float = 30.0) -> Iterator[int]:
    app = small_app(KeyStore(home)).app
    with serving(server_config(app, grace=1, most=most, head_seconds=head_seconds)) as port:
        yield port


@contextmanager
def serving(config: uvicorn.Config) -> Iterator[int]:
    config.host, config.port = "127.0.0.1", 0
    server = uvicorn.Server(config)
    thread = threading.Thread(target=server.run)
    thread.start()
    try:
        while not server.started:
            time.sleep(0.01)
        yield server.servers[0].sockets[0].getsockname()[1]
    finally:
        server.should_exit = True
        thread.join()


def connected(port: int) -> socket.socket:
    return socket.create_connection(("127.0.0.1", port), timeout=10)


def end_of(sent: socket.socket) -> bytes:
    """What comes before the server closes the connection; the deadline is the socket's."""
    got = b""
    with suppress(ConnectionError):
        while piece := sent.recv(65536):
            got += piece
    return got


def test_idle_connections_make_room_for_whoever_asks(tmp_path: Path) -> None:
    with listening(tmp_path) as port, ExitStack() as idle:
        first = idle.enter_context(connected(port))
        for _ in range(MANY):
            idle.enter_context(connected(port))
        assert httpx2.get(f"http://127.0.0.1:{port}/healthz").status_code == 200
        assert end_of(first) == b""


def test_a_connection_that_was_answered_goes_on_and_is_counted_idle(tmp_path: Path) -> None:
    with listening(tmp_path) as port, httpx2.Client(base_url=f"http://127.0.0.1:{port}") as kept:
        statuses = [kept.get("/healthz").status_code for _ in range(3)]
    assert statuses == [200] * 3


@pytest.mark.parametrize("sent", [b"", HEAD], ids=["nothing", "half a head"])
def test_a_head_that_does_not_end_is_given_up(tmp_path: Path, sent: bytes) -> None:
    with listening(tmp_path, head_seconds=0.3) as port, connected(port) as slow:
        slow.sendall(sent)
        assert end_of(slow) == b""


def test_a_further_request_has_a_deadline_too(tmp_path: Path) -> None:
    with listening(tmp_path, head_seconds=0.3) as port, connected(port) as slow:
        slow.sendall(HEAD + b"\r\n")
        assert slow.recv(4096).startswith(b"HTTP/1.1 200 ")
        slow.sendall(HEAD)
        assert end_of(slow) == b""


def test_an_endless_header_is_cut_off(tmp_path: Path) -> None:
    with listening(tmp_path) as port, connected(port) as sent:
        sent.sendall(HEAD + b"X-Long: " + b"x" * (HEAD_BYTES + 10))
        assert sent.recv(4096).startswith(b"HTTP/1.1 400 ")


def test_many_headers_are_refused_as_a_long_one_is(tmp_path: Path) -> None:
    with listening(tmp_path) as port, connected(port) as sent:
        sent.sendall(HEAD + b"X-Some: some\r\n" * (HEAD_BYTES // 10) + b"\r\n")
        assert sent.recv(4096).startswith(b"HTTP/1.1 400 ")


def test_a_long_target_is_refused(tmp_path: Path) -> None:
    with listening(tmp_path) as port, connected(port) as sent:
        sent.sendall(HEAD.replace(b"healthz", b"x" * HEAD_BYTES) + b"\r\n")
        assert sent.recv(4096).startswith(b"HTTP/1.1 400 ")


CHUNKED = (
    b"POST /v1/ask HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Type: application/json\r\n"
    b"Transfer-Encoding: chunked\r\n\r\n"
)
ENDLESS = {
    "an extension": b"3;x=" + b"x" * (4 * HEAD_BYTES),
    "one trailer": b"0\r\nX-Late: " + b"x" * (4 * HEAD_BYTES),
    "trailers": b"0\r\n" + b"X-Late: x\r\n" * HEAD_BYTES,
}


@pytest.mark.parametrize("sent", ENDLESS.values(), ids=ENDLESS)
def test_what_comes_beside_a_body_has_an_end_too(tmp_path: Path, sent: bytes) -> None:
    with listening(tmp_path) as port, connected(port) as client:
        client.sendall(CHUNKED + b'3\r\n{"a\r\n')
        time.sleep(0.05)
        with suppress(ConnectionError):
            client.sendall(sent)
        assert client.recv(4096).startswith(b"HTTP/1.1 4")


def test_what_comes_behind_a_body_is_no_header(tmp_path: Path) -> None:
    late = b'e\r\n{"text": "hi"}\r\n0\r\nHost: evil.example\r\nOrigin: null\r\n\r\n'
    with listening(tmp_path) as port, connected(port) as client:
        client.sendall(CHUNKED)
        time.sleep(0.05)
        client.sendall(late)
        assert client.recv(4096).startswith(b"HTTP/1.1 200 ")


def test_several_requests_at_once_are_answered_in_turn(tmp_path: Path) -> None:
    with listening(tmp_path) as port, connected(port) as client:
        last = HEAD + b"Connection: close\r\n\r\n"
        client.sendall((HEAD + b"\r\n") * 3 + last)
        assert end_of(client).count(b"HTTP/1.1 200 ") == 4


def test_an_upgrade_is_answered_as_if_nobody_had_asked_for_it(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    asked = HEAD + b"Connection: Upgrade\r\nUpgrade: websocket\r\n\r\n"
    with listening(tmp_path) as port, connected(port) as client:
        client.sendall(asked)
        answered = end_of(client)
    assert answered.startswith(b"HTTP/1.1 200 ")
    assert b"connection: close" in answered
    assert caplog.text == ""


@pytest.mark.parametrize(
    "head",
    [
        b"POST /v1/ask HTTP/1.1\r\nContent-Length: 3\r\nTransfer-Encoding: chunked\r\n",
        b"POST /v1/ask HTTP/1.1\r\nContent-Length: 3\r\nContent-Length: 4\r\n",
        b"GET /healthz HTTP/1.1\r\nX-Folded: a\r\n b\r\n",
        b"GET /healthz HTTP/1.1\r\nX-Spaced : a\r\n",
        b"NO SUCH THING\r\n",
    ],
    ids=["two lengths", "two figures", "folded", "a space", "no HTTP"],
)
def test_a_head_of_which_servers_make_different_things_is_refused(
    tmp_path: Path, head: bytes
) -> None:
    with listening(tmp_path) as port, connected(port) as client:
        client.sendall(head + b"Host: 127.0.0.1\r\n\r\n")
        assert client.recv(4096).startswith(b"HTTP/1.1 400 ")


def test_as_many_connections_as_half_of_the_files() -> None:
    assert 16 <= most_connections() <= MOST


class Talker(ScriptedEngine):
    """Says long things without end, and notices when it is closed."""

    said = 0
    closed = threading.Event()

    async def generate(self, call: Call) -> AsyncGenerator[Delta, None]:
        try:
            while True:
                await asyncio.sleep(0)
                self.said += 1
                yield Delta(text="x" * 20_000)
        finally:
            self.closed.set()


@contextmanager
def talking(engine: Talker, *, reply_seconds: float, buffer: int = 4096) -> Iterator[socket.socket]:
    """A client of an endless stream, whose own buffer has so many bytes."""
    config = server_config(app_of(service(engine)), grace=1, reply_seconds=reply_seconds)
    with serving(config) as port, socket.socket() as client:
        client.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, buffer)
        client.settimeout(10)
        client.connect(("127.0.0.1", port))
        body = json.dumps({**HELLO, "stream": True}).encode()
        head = f"POST /v1/chat/completions HTTP/1.1\r\nHost: 127.0.0.1:{port}\r\n"
        kind = f"Content-Type: application/json\r\nContent-Length: {len(body)}\r\n\r\n"
        client.sendall(f"{head}{kind}".encode() + body)
        yield client


def test_a_client_that_does_not_read_is_cut_off_and_its_work_is_cancelled() -> None:
    engine = Talker()
    engine.closed.clear()
    with talking(engine, reply_seconds=1.0) as client:
        assert client.recv(4096).startswith(b"HTTP/1.1 200 ")
        assert engine.closed.wait(8)
        assert engine.said * 20_000 < 2_000_000, "what nobody reads is not made"


def test_a_client_that_reads_slowly_but_steadily_is_served() -> None:
    engine = Talker()
    engine.closed.clear()
    with talking(engine, reply_seconds=2.0, buffer=100_000) as client:
        end, got = time.monotonic() + 4.0, 0
        while time.monotonic() < end:
            got += len(client.recv(1_000_000))
            time.sleep(0.02)
        assert got > 1_000_000, "it was read on after a pause"
        assert not engine.closed.is_set()


def test_an_answer_that_is_left_unread_does_not_keep_its_connection() -> None:
    app = small_app(KeyStore(HOME)).app

    @app.get("/long", openapi_extra={"x-scope": "none"})
    async def long() -> PlainTextResponse:
        return PlainTextResponse("x" * 8_000_000)

    config = server_config(app, grace=1, reply_seconds=0.5)
    with serving(config) as port, socket.socket() as client:
        client.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        client.settimeout(10)
        client.connect(("127.0.0.1", port))
        client.sendall(b"GET /long HTTP/1.1\r\nHost: 127.0.0.1\r\nConnection: close\r\n\r\n")
        time.sleep(2)
        assert len(end_of(client)) < 8_000_000


def test_a_kept_connection_is_closed_where_nothing_more_is_asked(tmp_path: Path) -> None:
    config = server_config(small_app(KeyStore(tmp_path)).app, grace=1)
    config.timeout_keep_alive = 1
    with serving(config) as port, connected(port) as client:
        client.sendall(HEAD + b"\r\n")
        assert end_of(client).startswith(b"HTTP/1.1 200 ")


def test_the_end_of_the_server_closes_kept_connections(tmp_path: Path) -> None:
    with ExitStack() as clients:
        with serving(server_config(small_app(KeyStore(tmp_path)).app, grace=1)) as port:
            client = clients.enter_context(connected(port))
            client.sendall(HEAD + b"\r\n")
            assert client.recv(4096).startswith(b"HTTP/1.1 200 ")
        assert end_of(client) == b""
