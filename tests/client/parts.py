"""Clients of the real service over the scripted engine, on a free port of the loopback."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from fastapi import FastAPI

from rag_adapt.client import Client, Retries, Timeouts
from rag_adapt.engines.scripted import ScriptedEngine
from tests.api.parts import app_of, listening
from tests.serving.parts import service

QUICK = Timeouts(connect=2, quick=10, work=20, answer=20, upload=20)
AT_ONCE = Retries(first=0.01)


@contextmanager
def client_of(app: FastAPI | None = None, **more: Any) -> Iterator[Client]:
    """A client of an application that listens."""
    with (
        listening(app or app_of(service(ScriptedEngine()))) as url,
        Client(url, timeouts=QUICK, retries=AT_ONCE, **more) as made,
    ):
        yield made
