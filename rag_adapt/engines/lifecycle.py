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
from typing import Final, Literal, Protocol

from rag_adapt.core.errors import AdapterError, EngineError, NotProvenError
from rag_adapt.core.types import AdapterRef

RESIDENT: Final = 16
"""Adapters kept loaded; more only while all of them are in use or pinned."""
REFUSED_SECONDS: Final = 60.0
"""For how long a version that was not proven is refused without another try."""

Prove = Callable[[str], Awaitable[None]]
Swap = Literal["load", "unload", "eviction", "loss"]
"""What happened to a version: it was loaded and proven; somebody wanted it gone; it had to make
room; the backend does not have it any more, as after a restart."""


class Watcher(Protocol):
    """Told of what happens to adapters, when it has happened."""

    def swap(self, *, adapter: str, kind: Swap, succeeded: bool) -> None:
        """One version came or went, or could not."""
        ...

    def proof_failed(self, *, adapter: str) -> None:
        """One version was not shown to be active."""
        ...


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
        self.watcher: Watcher | None = None
        """Told of every load, departure and failed proof, if there is one."""
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
            self._start_leaving(version, "unload")
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
        if self._there.pop(version, None) is not None:
            self._tell(version, "loss", succeeded=True)

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
        ready = False
        try:
            await self._backend.load(ref)
            await self._check(version)
            ready = True
        finally:
            self._tell(version, "load", succeeded=ready)
        self._there[version] = _Entry(ref=ref)

    async def _check(self, version: str) -> None:
        """Prove what was loaded, or take it away again."""
        try:
            await self._prove(version)
        except BaseException as error:
            if isinstance(error, NotProvenError):
                self._refused[version] = _Refusal(error=error, when=self._clock())
                if self.watcher is not None:
                    self.watcher.proof_failed(adapter=version)
            await self._drop(version)
            raise

    def _make_room(self) -> None:
        for version, entry in list(self._there.items()):
            if len(self._there) < self._limit:
                return
            if entry.uses == 0 and version not in self._pinned:
                self._start_leaving(version, "eviction")

    def _start_leaving(self, version: str, why: Swap) -> None:
        entry = self._there.pop(version)
        task = self._leaving[version] = asyncio.create_task(self._leave(version, entry, why))
        task.add_done_callback(lambda done: _ended(self._leaving, version, done))

    async def _leave(self, version: str, entry: _Entry, why: Swap) -> None:
        while entry.uses:
            entry.idle.clear()
            await entry.idle.wait()
        gone = False
        try:
            gone = await self._drop(version)
        finally:
            self._tell(version, why, succeeded=gone)

    async def _drop(self, version: str) -> bool:
        """Unload, and whether the backend said so.

        One that does not answer holds nothing once it is started again.
        """
        try:
            await self._backend.unload(version)
        except EngineError:
            return False
        return True

    def _tell(self, version: str, kind: Swap, *, succeeded: bool) -> None:
        if self.watcher is not None:
            self.watcher.swap(adapter=version, kind=kind, succeeded=succeeded)


def _ended(tasks: dict[str, asyncio.Task[None]], version: str, task: asyncio.Task[None]) -> None:
    if tasks.get(version) is task:
        del tasks[version]
    if not task.cancelled():
        task.exception()  # seen, also where everybody who waited has left
