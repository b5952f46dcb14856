"""Which adapters a server or an engine holds: loaded and proven before use, counted while in use.

It does not know what loads them. A version is never replaced in place, and never unloaded while a
request uses it: it is unregistered first, then drained, then unloaded.
"""

import asyncio
import time
from collections import OrderedDict
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Final, Protocol

from rag_adapt.core.errors import AdapterError, EngineError, NotProvenError
from rag_adapt.core.types import AdapterRef

RESIDENT: Final = 16
"""Adapters kept loaded; more only while all of them are in use or pinned."""
REFUSED_SECONDS: Final = 60.0
"""For how long a version that was not proven is refused without another try."""

Prove = Callable[[str], Awaitable[None]]


class Backend(Protocol):
    """What holds adapters; each method is called for one version at a time."""

    async def registered(self) -> frozenset[str]:
        """The versions that it holds now.

        Raises:
            EngineError: it does not answer.
        """
        ...

    async def load(self, ref: AdapterRef) -> None:
        """Add an adapter; nothing happens where it is there already.

        Raises:
            AdapterError: it cannot be read, or does not fit.
            EngineError: the backend does not answer.
        """
        ...

    async def unload(self, version: str) -> None:
        """Remove an adapter; nothing happens where it is gone already.

        Raises:
            EngineError: the backend does not answer.
        """
        ...


@dataclass(frozen=True, kw_only=True)
class Resident:
    """One adapter that is loaded and proven."""

    version: str
    uses: int
    """Requests that it answers at this moment."""
    pinned: bool
    """Whether it stays however long nobody asks for it."""


@dataclass(kw_only=True)
class _Entry:
    ref: AdapterRef
    uses: int = 0
    idle: asyncio.Event = field(default_factory=asyncio.Event)


@dataclass(frozen=True, kw_only=True)
class _Refusal:
    error: NotProvenError
    when: float


class Lifecycle:
    """The adapters of one backend.

    Args:
        backend: What holds them.
        lookup: Finds a version's files and verifies them; raises `AdapterError` where there are
            none. Called in a thread.
        prove: Awaited after each load, before the first answer; raises `NotProvenError`.
        limit: Adapters kept loaded; the least recently used ones go.
        clock: Seconds on a monotonic clock.
    """

    def __init__(
        self,
        backend: Backend,
        lookup: Callable[[str], AdapterRef],
        prove: Prove,
        *,
        limit: int = RESIDENT,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._backend = backend
        self._lookup = lookup
        self._prove = prove
        self._limit = limit
        self._clock = clock
        self._there: OrderedDict[str, _Entry] = OrderedDict()
        self._pinned: set[str] = set()
        self._loading: dict[str, asyncio.Task[None]] = {}
        self._leaving: dict[str, asyncio.Task[None]] = {}
        self._refused: dict[str, _Refusal] = {}

    async def ensure_loaded(self, version: str) -> AdapterRef:
        """See `rag_adapt.core.protocols.Adapters`; also proven.

        Raises:
            AdapterError: no such adapter, or it cannot be loaded.
            NotProvenError: it was loaded and not shown to be active.
        """
        return (await self._entry(version)).ref

    @asynccontextmanager
    async def using(self, version: str) -> AsyncIterator[AdapterRef]:
        """Hold a version for one request: it stays loaded until the request has ended."""
        entry = await self._entry(version)
        entry.uses += 1
        try:
            yield entry.ref
        finally:
            entry.uses -= 1
            if entry.uses == 0:
                entry.idle.set()

    async def pin(self, version: str) -> None:
        """Load a version and keep it, also across restarts of the server.

        Raises:
            AdapterError: no such adapter, or it cannot be loaded.
            NotProvenError: it was not shown to be active.
        """
        await self._entry(version)
        self._pinned.add(version)

    def unpin(self, version: str) -> None:
        """Let a version go when its place is needed."""
        self._pinned.discard(version)

    async def unload(self, version: str) -> None:
        """Unregister, wait until no request uses it, unload; afterwards its files may go.

        A request that comes meanwhile waits and loads it again.
        """
        self._pinned.discard(version)
        self._refused.pop(version, None)
        if (loading := self._loading.get(version)) is not None:
            await asyncio.wait({loading})
        if version in self._there:
            self._start_leaving(version)
        if (leaving := self._leaving.get(version)) is not None:
            await asyncio.shield(leaving)

    def resident(self) -> tuple[Resident, ...]:
        """What is loaded, the least recently used first."""
        return tuple(
            Resident(version=version, uses=entry.uses, pinned=version in self._pinned)
            for version, entry in self._there.items()
        )

    def lost(self, version: str) -> None:
        """The backend says that it does not hold this version: the next use loads it again."""
        self._there.pop(version, None)

    async def reconcile(self) -> tuple[str, ...]:
        """Compare with what the backend holds: forget what it lost, load again what is pinned.

        Returns:
            The versions that it had lost: after a restart all of them.

        Raises:
            EngineError: the backend does not answer.
        """
        before = set(self._there)
        found = await self._backend.registered()
        gone = tuple(v for v in before if v not in found and v in self._there)
        for version in gone:
            self.lost(version)
        for version in sorted(self._pinned - set(self._there)):
            try:
                await self._entry(version)
            except (AdapterError, NotProvenError):
                self._pinned.discard(version)  # whoever asks for it is told why
        return gone

    async def _entry(self, version: str) -> _Entry:
        """The version's entry; nothing is awaited between its last look and the caller."""
        while True:
            if (leaving := self._leaving.get(version)) is not None:
                await asyncio.wait({leaving})
                continue
            if (entry := self._there.get(version)) is not None:
                self._there.move_to_end(version)
                return entry
            self._stop_refused(version)
            await asyncio.shield(self._loading.get(version) or self._start_loading(version))

    def _stop_refused(self, version: str) -> None:
        refusal = self._refused.get(version)
        if refusal is None:
            return
        if self._clock() - refusal.when > REFUSED_SECONDS:
            del self._refused[version]
            return
        raise NotProvenError(refusal.error.fact, hint=refusal.error.hint)

    def _start_loading(self, version: str) -> asyncio.Task[None]:
        """One load for all who wait; it goes on when a client leaves."""
        task = self._loading[version] = asyncio.create_task(self._load(version))
        task.add_done_callback(lambda done: _ended(self._loading, version, done))
        return task

    async def _load(self, version: str) -> None:
        ref = await asyncio.to_thread(self._lookup, version)
        self._make_room()
        await self._backend.load(ref)
        try:
            await self._prove(version)
        except BaseException as error:
            if isinstance(error, NotProvenError):
                self._refused[version] = _Refusal(error=error, when=self._clock())
            await self._drop(version)
            raise
        self._there[version] = _Entry(ref=ref)

    def _make_room(self) -> None:
        for version, entry in list(self._there.items()):
            if len(self._there) < self._limit:
                return
            if entry.uses == 0 and version not in self._pinned:
                self._start_leaving(version)

    def _start_leaving(self, version: str) -> None:
        entry = self._there.pop(version)
        task = self._leaving[version] = asyncio.create_task(self._leave(version, entry))
        task.add_done_callback(lambda done: _ended(self._leaving, version, done))

    async def _leave(self, version: str, entry: _Entry) -> None:
        while entry.uses:
            entry.idle.clear()
            await entry.idle.wait()
        await self._drop(version)

    async def _drop(self, version: str) -> None:
        """Unload; a backend that does not answer holds nothing once it is started again."""
        try:
            await self._backend.unload(version)
        except EngineError:
            self.lost(version)


def _ended(tasks: dict[str, asyncio.Task[None]], version: str, task: asyncio.Task[None]) -> None:
    if tasks.get(version) is task:
        del tasks[version]
    if not task.cancelled():
        task.exception()  # seen, also where everybody who waited has left
