"""Answers calls on a vLLM server whose adapters we own.

It does not know where the server comes from, nor settings. Every adapter is loaded and proven
before it answers, kept while it answers, and admitted in its turn; a server that stops answering
ends the answers under way within seconds, and one that comes back is brought to what it held.
"""

import asyncio
from collections.abc import AsyncGenerator, AsyncIterator, Callable, Sequence
from contextlib import AsyncExitStack, aclosing, asynccontextmanager
from dataclasses import dataclass, replace
from typing import Final, Protocol

from rag_adapt.core.errors import AdapterError, EngineError, NoLogProbsError, RagAdaptError
from rag_adapt.core.types import AdapterRef, Call, Delta, Fingerprint, Message, TokenLogProbs
from rag_adapt.engines.admission import Admission
from rag_adapt.engines.lifecycle import Lifecycle, Prove, Watcher
from rag_adapt.engines.vllm_client import START, VllmClient

BASE_MIXED_FIXED: Final = "0.33"
"""From this release on a request for the base is answered by the base, whatever it is beside."""
SLOTS: Final = 4
"""Adapters computed at once where the server does not say."""
CLOSED: Final = "ServerDisconnectedError"
"""What aiohttp, below LiteLLM, says of a connection that was closed before a word came."""
BEAT: Final = 2.0
"""Seconds between two looks at the server."""
SILENCE: Final = 3.0
"""Seconds within which a server that works says so."""


class Answers(Protocol):
    """What asks the server for answers: see `rag_adapt.engines.remote`."""

    def generate(self, call: Call) -> AsyncGenerator[Delta, None]:
        """Stream one answer."""
        ...

    def whole(self, call: Call) -> AsyncGenerator[Delta, None]:
        """One answer, asked without a stream."""
        ...

    async def aclose(self) -> None:
        """Close this event loop's connections."""
        ...


@dataclass(frozen=True, kw_only=True)
class Ours:
    """Our side of the server: how adapters are found, seen and checked."""

    lookup: Callable[[str], AdapterRef]
    """Finds a version's files; raises `AdapterError`."""
    seen: Callable[[AdapterRef], str]
    """The adapter's folder as the server sees it."""
    prove: Prove
    """Awaited after each load; raises `NotProvenError`."""
    null: Callable[[], AdapterRef]
    """Writes the adapter that changes nothing."""


class VllmEngine:
    """One server.

    Args:
        answers: Asks it for answers.
        client: Asks it for everything else.
        ours: How adapters are found, seen and checked.
        fingerprint: What it computes in.
        limit: Adapters kept registered.
        busy: Says why the server is away on purpose, such as a training; None while it is not.
        beat: Seconds between two looks at the server.
        silence: Seconds within which a server that works says so.
    """

    def __init__(
        self,
        answers: Answers,
        client: VllmClient,
        ours: Ours,
        fingerprint: Fingerprint,
        *,
        limit: int = 16,
        busy: Callable[[], str | None] = lambda: None,
        beat: float = BEAT,
        silence: float = SILENCE,
    ) -> None:
        self.fingerprint = fingerprint
        self.adapters = Lifecycle(_Held(client, ours), self._found, self._proven, limit=limit)
        """What the server ought to hold."""
        self._answers = answers
        self.client = client
        """Asks the server for everything else."""
        self._ours = ours
        self._busy = busy
        self._beat, self._silence = beat, silence
        self.admission = Admission(SLOTS)
        """Who may be in flight now."""
        self._slots: int | None = None
        self._null: AdapterRef | None = None
        self._known: asyncio.Task[None] | None = None
        self._waits: set[asyncio.Timeout] = set()
        self._restoring: asyncio.Task[None] | None = None
        self._fault: str | None = None
        self._watched = False
        self._asked = False

    @property
    def watcher(self) -> Watcher | None:
        """Told of what happens to adapters."""
        return self.adapters.watcher

    @watcher.setter
    def watcher(self, watcher: Watcher | None) -> None:
        self.adapters.watcher = watcher

    @property
    def fault(self) -> str | None:
        """Why it cannot answer now; None while it can, as far as was seen."""
        return self._busy() or self._fault

    async def generate(self, call: Call) -> AsyncGenerator[Delta, None]:
        """See `rag_adapt.core.protocols.Engine`.

        Raises:
            NotProvenError: the adapter was not shown to be active.
            EngineError: the server does not answer, or stopped answering.
        """
        async with aclosing(self._answer(call, self._answers.generate)) as deltas:
            async for delta in deltas:
                yield delta

    async def whole(self, call: Call) -> AsyncGenerator[Delta, None]:
        """`generate` for a reader who waits for the end."""
        async with aclosing(self._answer(call, self._answers.whole)) as deltas:
            async for delta in deltas:
                yield delta

    async def logprobs(
        self, messages: Sequence[Message], continuation: str, adapter: str | None = None
    ) -> TokenLogProbs:
        """Never: asking a server with LoRA enabled to score given text can end it.

        Raises:
            NoLogProbsError: always.
        """
        raise NoLogProbsError(
            "log-probabilities of given text are not asked of vLLM",
            hint="Use `--engine embedded`, or score by generation alone.",
        )

    async def ensure_loaded(self, version: str) -> AdapterRef:
        """See `rag_adapt.core.protocols.Adapters`; also proven."""
        await self.connect()
        return await self.adapters.ensure_loaded(version)

    async def lifecycle(self) -> Lifecycle:
        """What the server ought to hold; it is asked first what it is.

        Raises:
            EngineError: it does not answer.
        """
        await self.connect()
        return self.adapters

    async def connect(self) -> None:
        """Learn once what the server is: its release, its slots, whether its base can be asked.

        Raises:
            EngineError: it does not answer.
        """
        known = self._known
        if known is None or _failed(known) or known.get_loop() is not asyncio.get_running_loop():
            known = self._known = asyncio.create_task(self._learn())
        await asyncio.shield(known)

    async def watch(self) -> None:
        """Look at the server for ever: end what hangs on a dead one, restore one that is back."""
        self._watched = True
        try:
            while True:
                await self._look()
                await asyncio.sleep(self._beat)
        finally:
            self._watched = False
            if self._restoring is not None:
                self._restoring.cancel()

    async def aclose(self) -> None:
        """Close this event loop's connections."""
        await self.client.aclose()
        if self._asked:  # else there is none, and loading what would close it takes seconds
            await self._answers.aclose()

    async def _answer(
        self, call: Call, ask: Callable[[Call], AsyncGenerator[Delta, None]]
    ) -> AsyncGenerator[Delta, None]:
        for last in (False, True):
            begun = False
            self._asked = True
            try:
                async with self._prepared(call) as sent, aclosing(ask(sent)) as deltas:
                    while (delta := await self._next(deltas, sent.adapter)) is not None:
                        begun = True
                        yield _as_asked(delta, call)
                return
            except _NotThereError as error:
                if begun or last:
                    raise error.cause from error
                self._restarted(error.version)
            except EngineError as error:
                if begun or last or not _unheard(error):
                    raise

    @asynccontextmanager
    async def _prepared(self, call: Call) -> AsyncIterator[Call]:
        """The call as it is sent, its adapter loaded, kept and admitted meanwhile."""
        self._stop_faulty()
        await self.connect()
        version = call.adapter or call.adapter_off
        async with AsyncExitStack() as held:
            if version is not None:
                await held.enter_async_context(self.adapters.using(version))
            if call.adapter is not None:
                await held.enter_async_context(self.admission.turn(call.adapter))
            elif self._null is not None:
                await held.enter_async_context(self.adapters.using(self._null.version))
                call = replace(call, adapter=self._null.version)
            yield call

    async def _next(self, deltas: AsyncGenerator[Delta, None], adapter: str | None) -> Delta | None:
        """The next piece; ended by `_look` when the server is gone."""
        try:
            async with asyncio.timeout(None) as wait:
                self._waits.add(wait)
                try:
                    return await anext(deltas, None)
                finally:
                    self._waits.discard(wait)
        except TimeoutError as error:
            if not wait.expired():
                raise
            raise EngineError(
                f"the answer broke off: {self._fault or 'no word from the vLLM server'}", hint=START
            ) from error
        except AdapterError as error:
            if adapter is None:
                raise
            raise _NotThereError(adapter, error) from error

    async def _look(self) -> None:
        """One look; two in a row without an answer end what waits."""
        patience = self._silence
        if await self.client.healthy(patience) or await self.client.healthy(patience):
            came_back, self._fault = self._fault is not None, None
            try:
                await self._restored(came_back)
            except RagAdaptError as error:
                self._fault = error.fact
            return
        self._fault = "the vLLM server does not answer"
        self._known = None
        now = asyncio.get_running_loop().time()
        for wait in list(self._waits):
            if not wait.expired():  # one that a look ended already may still be closing its stream
                wait.reschedule(now)

    async def _restored(self, came_back: bool) -> None:
        """Restore for one beat; what takes longer goes on, and the looks with it.

        A proof may have to wait for answers that only a look ends, where the server hangs again.
        """
        if self._restoring is None:
            self._restoring = asyncio.create_task(self._restore(came_back))
        await asyncio.wait({self._restoring}, timeout=self._beat)
        if self._restoring.done():
            done, self._restoring = self._restoring, None
            done.result()

    async def _restore(self, came_back: bool) -> None:
        if await self.adapters.reconcile() or came_back:
            self._known = None
        await self.connect()

    def _stop_faulty(self) -> None:
        """Do not make clients wait for a server that is known to be away.

        Raises:
            EngineError: it is.
        """
        if (busy := self._busy()) is not None:
            raise EngineError(busy, hint="Ask again when it is done: `rag-adapt vllm` says so.")
        if self._watched and self._fault is not None:
            raise EngineError(self._fault, hint=START)

    def _restarted(self, version: str) -> None:
        """The server said that it does not have what it had: learn all anew."""
        self.adapters.lost(version)
        self._known = None

    async def _learn(self) -> None:
        from packaging.version import InvalidVersion, Version

        release = await self.client.version()
        try:
            mixes = Version(release) < Version(BASE_MIXED_FIXED)
        except InvalidVersion:
            mixes = True
        await self.adapters.reconcile()
        self._null = self._ours.null() if mixes else None
        # Unknown until the first proof: then one adapter at a time.
        computed = any(row.version != _name(self._null) for row in self.adapters.resident())
        await self._count_slots(otherwise=SLOTS if computed else 1)
        if self._null is not None:
            await self.adapters.pin(self._null.version)

    async def _count_slots(self, *, otherwise: int) -> None:
        """A server says how many it has once it has computed an adapter, not before."""
        self._slots = await self.client.slots()
        slots = self._slots or otherwise
        self.admission.slots = slots if self._null is None else max(1, slots - 1)

    def _found(self, version: str) -> AdapterRef:
        if self._null is not None and version == self._null.version:
            return self._null
        return self._ours.lookup(version)

    async def _proven(self, version: str) -> None:
        """Prove a version in its turn: a proof has the server compute with it as an answer does.

        Whoever waits for a load holds no place himself, so this waits for answers alone.
        """
        if version == _name(self._null):
            return  # it has a slot of its own, and what changes nothing is not proven
        async with self.admission.turn(version):
            await self._ours.prove(version)
            if self._slots is None:
                await self._count_slots(otherwise=SLOTS)


class _NotThereError(Exception):
    """The server does not have an adapter that was just loaded: it was started anew.

    Args:
        version: The adapter.
        cause: What the server said.
    """

    def __init__(self, version: str, cause: AdapterError) -> None:
        super().__init__(version)
        self.version = version
        self.cause = cause


class _Held:
    """The server as what holds adapters; see `rag_adapt.engines.lifecycle`."""

    def __init__(self, client: VllmClient, ours: Ours) -> None:
        self._client, self._ours = client, ours

    async def registered(self) -> frozenset[str]:
        return frozenset(await self._client.models()) - {self._client.base}

    async def load(self, ref: AdapterRef) -> None:
        await self._client.load(ref, self._ours.seen(ref))

    async def unload(self, version: str) -> None:
        await self._client.unload(version)


def _name(adapter: AdapterRef | None) -> str | None:
    return None if adapter is None else adapter.version


def _failed(task: asyncio.Task[None]) -> bool:
    return task.done() and (task.cancelled() or task.exception() is not None)


def _unheard(error: BaseException | None) -> bool:
    """Whether the question met a kept connection in the moment the server closed it."""
    while error is not None:
        if type(error).__name__ == CLOSED:
            return True
        error = error.__cause__ or error.__context__
    return False


def _as_asked(delta: Delta, call: Call) -> Delta:
    """The outcome names the call's own adapter; which name was sent stands in `model`."""
    if delta.outcome is None or delta.outcome.sent.adapter == call.adapter:
        return delta
    sent = replace(delta.outcome.sent, adapter=call.adapter)
    return replace(delta, outcome=replace(delta.outcome, sent=sent))
