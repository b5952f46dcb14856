"""The embedded engine, started by the first question that nobody else could answer.

It does not know the cache in front of it. An adapter answers only after its proof in this very
process, whoever asked for it first.
"""

import asyncio
import threading
from collections.abc import AsyncGenerator, AsyncIterator, Awaitable, Callable, Sequence
from contextlib import aclosing, asynccontextmanager
from typing import TYPE_CHECKING

from rag_adapt.core.errors import StorageError
from rag_adapt.core.types import AdapterRef, Call, Delta, Fingerprint, Message, TokenLogProbs
from rag_adapt.engines.lifecycle import Lifecycle, Watcher

if TYPE_CHECKING:
    from rag_adapt.engines.embedded import EmbeddedEngine

Lookup = Callable[[str], AdapterRef]


class LateEngine:
    """Starts an engine when it is first needed, and loads adapters when they first answer.

    Args:
        fingerprint: What the engine will report once it is started.
        start: Loads the model.
        lookup: Finds a version's files; raises `AdapterError` where there are none.
        check: Called once for each adapter after it was loaded, before it answers; raises
            `NotProvenError` where it may not.
        before: Called once, before the first adapter is loaded: what the base is like by itself.
    """

    def __init__(
        self,
        fingerprint: Fingerprint,
        *,
        start: "Callable[[], EmbeddedEngine]",
        lookup: Lookup,
        check: "Callable[[str, EmbeddedEngine], Awaitable[None]]",
        before: "Callable[[EmbeddedEngine], Awaitable[None]] | None" = None,
    ) -> None:
        self.fingerprint = fingerprint
        self._start = start
        self._lookup = lookup
        self._check = check
        self._before = before
        self._lock = threading.Lock()
        self._engine: EmbeddedEngine | None = None
        self._adapters: Lifecycle | None = None
        self._watcher: Watcher | None = None

    @property
    def watcher(self) -> Watcher | None:
        """Told of what happens to adapters, also where the engine is started later."""
        return self._watcher

    @watcher.setter
    def watcher(self, watcher: Watcher | None) -> None:
        with self._lock:
            self._watcher = watcher
            if self._adapters is not None:
                self._adapters.watcher = watcher

    @property
    def started(self) -> bool:
        """Whether the model is in memory."""
        return self._engine is not None

    async def generate(self, call: Call) -> AsyncGenerator[Delta, None]:
        """See `rag_adapt.core.protocols.Engine`.

        Raises:
            NotProvenError: the adapter was not shown to be active.
        """
        async with (
            self._held(call.adapter or call.adapter_off) as engine,
            aclosing(engine.generate(call)) as deltas,
        ):
            async for delta in deltas:
                yield delta

    async def logprobs(
        self, messages: Sequence[Message], continuation: str, adapter: str | None = None
    ) -> TokenLogProbs:
        """See `rag_adapt.core.protocols.LogProbs`."""
        async with self._held(adapter) as engine:
            return await engine.logprobs(messages, continuation, adapter)

    async def ensure_loaded(self, version: str) -> AdapterRef:
        """The adapter's files, verified; loaded by the first question that it has to answer.

        Raises:
            AdapterError: no such adapter, or it does not fit the engine's base model.
        """
        if self._adapters is None or self._engine is None:
            return self._lookup(version)
        await self._measure(self._engine)
        return await self._adapters.ensure_loaded(version)

    async def ready(self, adapter: str | None = None) -> "EmbeddedEngine":
        """The engine behind, started, the adapter loaded and checked.

        Raises:
            StorageError: the engine is not the one that was foreseen.
        """
        async with self._held(adapter) as engine:
            return engine

    async def lifecycle(self) -> Lifecycle:
        """Its adapters; the engine is started first.

        Raises:
            StorageError: the engine is not the one that was foreseen.
        """
        await self.ready()
        assert self._adapters is not None  # made where the engine is started
        return self._adapters

    @asynccontextmanager
    async def _held(self, adapter: str | None) -> "AsyncIterator[EmbeddedEngine]":
        """The engine, an adapter kept in it meanwhile."""
        engine = await asyncio.to_thread(self._started)
        if adapter is None or self._adapters is None:
            yield engine
            return
        await self._measure(engine)
        async with self._adapters.using(adapter):
            yield engine

    async def _measure(self, engine: "EmbeddedEngine") -> None:
        before, self._before = self._before, None
        if before is not None:
            await before(engine)

    async def _prove(self, version: str) -> None:
        assert self._engine is not None  # whose adapter was just loaded
        await self._check(version, self._engine)

    def close(self) -> None:
        """End the engine, if it was started."""
        with self._lock:
            if self._engine is not None:
                self._engine.close()

    def _started(self) -> "EmbeddedEngine":
        from rag_adapt.engines.embedded_adapters import EmbeddedBackend

        with self._lock:
            if self._engine is None:
                engine = self._start()
                if engine.fingerprint != self.fingerprint:
                    engine.close()
                    raise StorageError(
                        "the model or this machine changed while the command was starting: "
                        f"{engine.fingerprint} instead of {self.fingerprint}",
                        hint="Run the same command again.",
                    )
                self._adapters = Lifecycle(EmbeddedBackend(engine), self._lookup, self._prove)
                self._adapters.watcher = self._watcher
                self._engine = engine
            return self._engine
