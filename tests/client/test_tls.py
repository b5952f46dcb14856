"""Addresses with TLS: verified, and streams over them closed as others are."""

import asyncio
import shutil
import ssl
import subprocess
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest
import uvicorn

from rag_adapt.client import ApiError, Client
from tests.api.parts import app_of
from tests.api.test_streaming import Slow
from tests.client.test_answers import HELLO
from tests.serving.parts import service
from tests.waiting import wait_until

pytestmark = pytest.mark.skipif(shutil.which("openssl") is None, reason="needs openssl")
SLOW = Slow()


@pytest.fixture
def address(own_folder: Path) -> Iterator[str]:
    """The service behind a certificate that nobody else has signed."""
    command = "openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:prime256v1 -nodes -days 2"
    names = ["-subj", "/CN=127.0.0.1", "-addext", "subjectAltName=IP:127.0.0.1"]
    files = ["-keyout", "key.pem", "-out", "cert.pem"]
    subprocess.run([*command.split(), *names, *files], check=True, capture_output=True)
    config = uvicorn.Config(
        app_of(service(SLOW)),
        host="127.0.0.1",
        port=0,
        log_level="critical",
        ssl_certfile="cert.pem",
        ssl_keyfile="key.pem",
    )
    server = uvicorn.Server(config)
    thread = threading.Thread(target=lambda: asyncio.run(server.serve()))
    thread.start()
    wait_until(lambda: server.started)
    yield f"https://127.0.0.1:{server.servers[0].sockets[0].getsockname()[1]}"
    server.should_exit = True
    thread.join(20)
    assert not thread.is_alive()


def test_a_certificate_that_nobody_vouches_for_is_refused(address: str) -> None:
    with Client(address) as client, pytest.raises(ApiError) as refused:
        client.catalog.health()
    assert (refused.value.code, refused.value.retryable) == ("untrusted", False)
    assert "cafile" in refused.value.hint


def test_with_its_certificate_it_is_asked_and_a_stream_is_closed_by_another_thread(
    address: str,
) -> None:
    trusted = ssl.create_default_context(cafile="cert.pem")
    with Client(address, tls=trusted) as client:
        assert client.catalog.health().status == "ok"
        stream = client.answers.chat_stream(HELLO)
        read: list[object] = []
        reader = threading.Thread(target=lambda: read.extend(stream))
        reader.start()
        wait_until(lambda: read)
        stream.close()
        reader.join(timeout=30)
        assert not reader.is_alive()
        wait_until(lambda: SLOW.cut_off)
