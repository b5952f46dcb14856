"""Lets at most so many different adapters into a server at once, and every one in its turn.

It does not know adapters or servers: names alone. A server that is asked for more adapters than
it has slots defers some of them without fairness.
"""

import asyncio
from collections import OrderedDict, deque
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Final

QUANTUM: Final = 32
"""Requests of one adapter that go in before another one that waits has its turn."""


class Admission:
    """The slots of one server.

    Args:
        slots: Different names inside at once, at least 1.
        quantum: Requests of one name before the next name's turn.
    """

    def __init__(self, slots: int, *, quantum: int = QUANTUM) -> None:
        self.slots = slots
        self._quantum = quantum
        self._inside: dict[str, int] = {}
        self._turn: dict[str, int] = {}
        self._waiting: OrderedDict[str, deque[asyncio.Future[None]]] = OrderedDict()

    @asynccontextmanager
    async def turn(self, name: str) -> AsyncIterator[None]:
        """Wait for a slot, and hold it."""
        await self._enter(name)
        try:
            yield
        finally:
            self._leave(name)

    @property
    def inside(self) -> dict[str, int]:
        """Requests inside, by name."""
        return dict(self._inside)

    async def _enter(self, name: str) -> None:
        if self._may_enter(name):
            self._admit(name)
            return
        place: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._waiting.setdefault(name, deque()).append(place)
        try:
            await place
        except asyncio.CancelledError:
            if place.done() and not place.cancelled():
                self._leave(name)  # admitted in the moment it left
            else:
                self._forget(name, place)
            raise

    def _may_enter(self, name: str) -> bool:
        if not self._waiting:
            return name in self._inside or len(self._inside) < self.slots
        return name in self._inside and self._turn[name] < self._quantum

    def _admit(self, name: str) -> None:
        self._inside[name] = self._inside.get(name, 0) + 1
        # A turn is counted only while others wait for it to end.
        self._turn[name] = self._turn.get(name, 0) + 1 if self._waiting else 0

    def _leave(self, name: str) -> None:
        self._inside[name] -= 1
        if self._inside[name] == 0:
            del self._inside[name], self._turn[name]
        self._advance()

    def _forget(self, name: str, place: "asyncio.Future[None]") -> None:
        queue = self._waiting[name]
        queue.remove(place)
        if not queue:
            del self._waiting[name]
        self._advance()

    def _advance(self) -> None:
        """Let in whoever's turn it is, in the order in which names began to wait."""
        while (name := self._next()) is not None:
            queue = self._waiting.pop(name)
            going = [queue.popleft() for _ in range(min(len(queue), self._quantum))]
            if queue:
                self._waiting[name] = queue  # its next turn is after all others'
            self._inside[name] = self._inside.get(name, 0) + len(going)
            self._turn[name] = len(going)
            for place in going:
                place.set_result(None)

    def _next(self) -> str | None:
        for name in self._waiting:
            if name not in self._inside and len(self._inside) < self.slots:
                return name
            if name in self._inside and len(self._waiting) == 1:
                return name
        return None
