"""Clients of a service whose jobs are real processes of a stand-in command."""

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

from fastapi.testclient import TestClient

from rag_adapt.api.desk import Desk
from tests.api.parts import SETTINGS, client_of
from tests.jobs.running import STAND_IN


def idle_desk() -> Desk:
    """A desk whose runner is not started: jobs wait."""
    return Desk.of(SETTINGS, program=STAND_IN)


@contextmanager
def working(desk: Desk) -> Iterator[TestClient]:
    """A client of a service that runs the jobs of this desk."""
    with client_of(desk=desk) as client:
        yield client


def shown(client: TestClient, path: str, true: Callable[[Any], bool], seconds: float = 60) -> Any:
    """What a path shows once something is true of it."""
    begun = time.monotonic()
    while not true(found := client.get(path).json()):
        assert time.monotonic() - begun < seconds, f"waited in vain: {found}"
        time.sleep(0.05)
    return found


def ended(client: TestClient, id: str) -> Any:
    """A job once it has ended."""
    over = ("done", "failed", "cancelled", "interrupted")
    return shown(client, f"/v1/jobs/{id}", lambda job: job["state"] in over)
