"""The door on a real server: floods and long bodies end early, and a good client is served."""

import contextlib
import socket
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import httpx2
import pytest
import uvicorn

from rag_adapt.api.limits import Limits
from rag_adapt.keys.store import KeyStore
from tests.api.small_app import Small, small_app

LIMITS = Limits(body_bytes=2_000_000, body_seconds=1.0, rate=50, burst=50)


@pytest.fixture
def small(tmp_path: Path) -> Small:
    return small_app(KeyStore(tmp_path / "home"), limits=LIMITS)


@pytest.fixture
def port(small: Small) -> Iterator[int]:
    config = uvicorn.Config(small.app, host="127.0.0.1", port=0, log_level="error")
    server = uvicorn.Server(config)
    thread = threading.Thread(target=server.run)
    thread.start()
    while not server.started:
        time.sleep(0.01)
    yield server.servers[0].sockets[0].getsockname()[1]
    server.should_exit = True
    thread.join()


def first_line(sent: socket.socket) -> str:
    return sent.recv(4096).split(b"\r\n", 1)[0].decode()


def head(port: int, *lines: str) -> bytes:
    fixed = ["POST /v1/ask HTTP/1.1", f"Host: 127.0.0.1:{port}", "Content-Type: application/json"]
    return "\r\n".join([*fixed, *lines, "", ""]).encode()


def test_fifty_megabytes_that_are_announced_are_refused_before_they_are_sent(port: int) -> None:
    with socket.create_connection(("127.0.0.1", port), timeout=10) as sent:
        sent.sendall(head(port, "Content-Length: 50000000"))
        assert first_line(sent).startswith("HTTP/1.1 413 ")


def test_fifty_megabytes_in_chunks_are_cut_off(small: Small, port: int) -> None:
    chunk = b"10000\r\n" + b"x" * 0x10000 + b"\r\n"
    pushed = 0
    with socket.create_connection(("127.0.0.1", port), timeout=10) as sent:
        sent.sendall(head(port, "Transfer-Encoding: chunked"))
        with contextlib.suppress(ConnectionError, TimeoutError):
            for _ in range(800):
                sent.sendall(chunk)
                pushed += 0x10000
    assert pushed < 50_000_000
    assert small.reached == []
    assert httpx2.get(f"http://127.0.0.1:{port}/healthz").status_code == 200


def test_a_body_that_stands_still_is_given_up(port: int) -> None:
    with socket.create_connection(("127.0.0.1", port), timeout=10) as sent:
        sent.sendall(head(port, "Content-Length: 100") + b'{"text": ')
        assert "408" in first_line(sent)


def test_a_good_client_is_served_beside_a_flood_without_a_key(small: Small, port: int) -> None:
    token = small.store.create("good", "chat").token.reveal()
    over = threading.Event()
    refused: list[int] = []

    def flood() -> None:
        with httpx2.Client(base_url=f"http://127.0.0.1:{port}") as bad:
            while not over.is_set():
                answered = bad.post("/v1/ask", json={"text": "x" * 100_000})
                refused.append(answered.status_code)

    threads = [threading.Thread(target=flood) for _ in range(4)]
    for thread in threads:
        thread.start()
    with httpx2.Client(base_url=f"http://127.0.0.1:{port}") as good:
        good.headers["Authorization"] = f"Bearer {token}"
        statuses = [good.post("/v1/ask", json={"text": "x"}).status_code for _ in range(20)]
    over.set()
    for thread in threads:
        thread.join()
    assert statuses == [200] * 20
    assert set(refused) == {401}
