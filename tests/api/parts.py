"""The service's application over a scripted engine, in process and on a real port."""

import asyncio
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import uvicorn
from fastapi import FastAPI
from fastapi.testclient import TestClient

from rag_adapt.api.app import create_app
from rag_adapt.api.desk import Desk
from rag_adapt.keys.store import KeyStore
from rag_adapt.serving.service import Service
from rag_adapt.settings import Settings
from tests.serving.parts import HOME
from tests.serving.parts import service as scripted_service

ADDRESS = "http://127.0.0.1"
SETTINGS = Settings(home=HOME, engine="scripted", embedder="hashing")
HELLO = {"model": "scripted", "messages": [{"role": "user", "content": "Hello there"}]}


def app_of(service: Service | None = None, **more: Any) -> FastAPI:
    """The whole application, its door included."""
    more.setdefault("desk", Desk.of(SETTINGS))
    return create_app(service or scripted_service(), keys=KeyStore(HOME), **more)


def client_of(service: Service | None = None, **more: Any) -> TestClient:
    """A client in process; unexpected faults come as responses."""
    return TestClient(app_of(service, **more), base_url=ADDRESS, raise_server_exceptions=False)


@contextmanager
def listening(app: FastAPI) -> Iterator[str]:
    """The app on a free port of the loopback, in a thread; hands out its address."""
    config = uvicorn.Config(app, host="127.0.0.1", port=0, log_level="error")
    server = uvicorn.Server(config)
    thread = threading.Thread(target=lambda: asyncio.run(server.serve()))
    thread.start()
    try:
        while not server.started:
            time.sleep(0.01)
        port = server.servers[0].sockets[0].getsockname()[1]
        yield f"{ADDRESS}:{port}"
    finally:
        server.should_exit = True
        thread.join()


def chat(client: TestClient, **more: Any) -> Any:
    """Ask `POST /v1/chat/completions`."""
    return client.post("/v1/chat/completions", json={**HELLO, **more})


def events(text: str) -> list[str]:
    """The data of every event of a stream."""
    return [line.removeprefix("data: ") for line in text.splitlines() if line]
