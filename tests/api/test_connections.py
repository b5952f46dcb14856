"""Connections without a request lock nobody out, and heads are bounded."""

import socket
import threading
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path

import httpx2
import pytest
import uvicorn

from rag_adapt.api.connections import HEAD_BYTES, MOST, most_connections, server_config
from rag_adapt.keys.store import KeyStore
from tests.api.small_app import small_app

MANY = 40
HEAD = b"GET /healthz HTTP/1.1\r\nHost: 127.0.0.1\r\n"


@contextmanager
def listening(home: Path, *, most: int = 8, head_seconds: float = 30.0) -> Iterator[int]:
    app = small_app(KeyStore(home)).app
    config = server_config(app, grace=1, most=most, head_seconds=head_seconds)
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
        begun = time.monotonic()
        end_of(slow)
        assert time.monotonic() - begun < 3


def test_an_endless_header_is_cut_off(tmp_path: Path) -> None:
    with listening(tmp_path) as port, connected(port) as sent:
        sent.sendall(HEAD + b"X-Long: " + b"x" * (HEAD_BYTES + 10))
        assert sent.recv(4096).startswith(b"HTTP/1.1 400 ")


def test_as_many_connections_as_half_of_the_files() -> None:
    assert 16 <= most_connections() <= MOST
