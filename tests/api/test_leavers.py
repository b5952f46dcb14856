"""Clients that leave in the middle leave nothing behind; thousands of them do in `make soak`."""

import asyncio
import socket

import psutil
import pytest

from rag_adapt.api.limits import Limits
from tests.api.parts import app_of, listening
from tests.api.test_streaming import Slow, send
from tests.serving.parts import service
from tests.waiting import wait_until

CLIENTS = 12


class Counted(Slow):
    """Knows how many answers are under way, and the loop that they run in."""

    under_way = 0
    loop: asyncio.AbstractEventLoop | None = None

    async def generate(self, call):  # type: ignore[no-untyped-def]  # a fake of an async generator
        self.loop = asyncio.get_running_loop()
        self.under_way += 1
        try:
            async for delta in super().generate(call):
                yield delta
        finally:
            self.under_way -= 1

    @property
    def tasks(self) -> int:
        """Tasks of that loop now."""
        assert self.loop is not None
        return len(asyncio.all_tasks(self.loop))


def leave(url: str, engine: Counted) -> None:
    """So many ask at once, half of them reading along, and go."""
    begun = engine.begun
    asked: list[socket.socket] = [send(url, stream=bool(n % 2)) for n in range(CLIENTS)]
    wait_until(lambda: engine.begun == begun + CLIENTS)
    for connection in asked:
        connection.close()
    wait_until(lambda: engine.under_way == 0)


@pytest.mark.parametrize("rounds", [4])
def test_no_task_file_or_place_stays_taken(rounds: int) -> None:
    engine = Counted()
    limits = Limits(concurrency=16)  # two rounds at once would not fit
    with listening(app_of(service(engine), limits=limits)) as url:
        leave(url, engine)
        wait_until(lambda: engine.tasks <= 4)
        tasks, files = engine.tasks, psutil.Process().num_fds()
        for _ in range(rounds):
            leave(url, engine)
        wait_until(lambda: engine.tasks <= tasks)
        wait_until(lambda: psutil.Process().num_fds() <= files)
