"""The model in this process: many requests computed together, each with its own adapter.

It does not know where weights or adapters come from. One thread computes; callers await.
"""

import asyncio
import threading
import time
from collections import Counter
from collections.abc import AsyncGenerator, Iterator, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING, Final

from rag_adapt.core.errors import AdapterError, ContextLengthError, RagAdaptError
from rag_adapt.core.types import (
    AdapterRef,
    Call,
    Delta,
    Fingerprint,
    FinishReason,
    Message,
    Outcome,
    Sent,
    Times,
    TokenLogProbs,
    Usage,
)

if TYPE_CHECKING:
    from rag_adapt.engines.embedded_rows import Asked
    from rag_adapt.models.loading import LoadedModel

MAX_BATCH: Final = 32
WINDOW: Final = 0.01
KEYS_BYTES: Final = 256 * 1024 * 1024
Piece = tuple[str, bool] | RagAdaptError


class _Flight:
    """One request between its arrival and its end."""

    def __init__(self) -> None:
        self.arrived = time.monotonic()
        self.alone = True
        self.loop = asyncio.get_running_loop()
        self.pieces: asyncio.Queue[Piece] = asyncio.Queue()
        self.asked: Asked | None = None

    def put(self, piece: Piece) -> None:
        """Called from the engine's thread."""
        try:
            self.loop.call_soon_threadsafe(self.pieces.put_nowait, piece)
        except RuntimeError:  # the caller's event loop has ended: nobody waits any more
            if self.asked is not None:
                self.asked.cancelled = True


class EmbeddedEngine:
    """Answers with a transformers model and PEFT adapters.

    Rows computed together may differ in adapter, sampling and length; each is the same as
    computed alone, up to rounding. In deterministic mode (`loaded.deterministic`) every request
    is computed alone, by the library's own cache and attention: the tokens of `generate`.

    Usage counts every chosen token, the one that ends the answer included.

    Args:
        loaded: The model.
        max_batch: Rows computed together.
        window_seconds: How long an idle engine waits for more requests after the first.
        keys_bytes: Memory for keys and values of the rows computed together.
    """

    def __init__(
        self,
        loaded: "LoadedModel",
        *,
        max_batch: int = MAX_BATCH,
        window_seconds: float = WINDOW,
        keys_bytes: int = KEYS_BYTES,
    ) -> None:
        from rag_adapt.engines.embedded_adapters import AdapterBank
        from rag_adapt.engines.embedded_batch import Runner
        from rag_adapt.engines.embedded_thread import EngineThread

        plain = loaded.deterministic
        self.loaded = loaded
        self.fingerprint = _fingerprint(loaded)
        self._lock = threading.Lock()
        self._flights: set[_Flight] = set()
        self._resident: dict[str, AdapterRef] = {}
        self._uses: Counter[str] = Counter()
        self.thread = EngineThread(
            runner=Runner(loaded.model, device=loaded.device, plain=plain),
            bank=AdapterBank(loaded.model, device=loaded.device, plain=plain),
            max_batch=1 if plain else max_batch,
            window=0.0 if plain else window_seconds,
            keys_bytes=keys_bytes,
            prefixes=not plain,
        )

    async def generate(self, call: Call) -> AsyncGenerator[Delta, None]:
        """See `rag_adapt.core.protocols.Engine`.

        Raises:
            ContextLengthError: prompt and answer do not fit into the model's context.
            AdapterError: the adapter is not loaded.
            EngineError: the computation failed, or the engine is closed.
        """
        with self._flying() as flight, self._using(call.adapter):
            tokens = self.loaded.chat.render(call.messages)
            self._check_length(len(tokens), call.sampling.max_tokens)
            asked = self._asked(call, tokens, flight)
            self.thread.ask(asked)
            try:
                ended = False
                while not ended:
                    piece = await flight.pieces.get()
                    if isinstance(piece, RagAdaptError):
                        raise piece
                    text, ended = piece
                    yield Delta(
                        text=text, outcome=_outcome(self, call, asked, flight) if ended else None
                    )
            finally:
                asked.cancelled = True

    async def logprobs(
        self, messages: Sequence[Message], continuation: str, adapter: str | None = None
    ) -> TokenLogProbs:
        """See `rag_adapt.core.protocols.LogProbs`; the token that ends an answer is left out."""
        prompt = self.loaded.chat.render(messages)
        tokens = self.loaded.chat.answer_ids(continuation)[:-1]
        return TokenLogProbs(
            token_ids=tokens,
            logprobs=await self.logprobs_of_ids(prompt, tokens, adapter),
            text_bytes=len(continuation.encode()),
        )

    async def logprobs_of_ids(
        self, prompt_ids: Sequence[int], continuation_ids: Sequence[int], adapter: str | None = None
    ) -> tuple[float, ...]:
        """Natural-log probability of every continuation token after the prompt.

        Raises:
            ContextLengthError: the tokens do not fit into the model's context.
            AdapterError: the adapter is not loaded.
        """
        from concurrent.futures import Future

        import numpy as np

        from rag_adapt.engines.embedded_scores import Scored

        if not continuation_ids:
            return ()
        with self._flying(), self._using(adapter):
            self._check_length(len(prompt_ids), len(continuation_ids))
            future: Future[tuple[float, ...]] = Future()
            scored = Scored(
                tokens=np.array([*prompt_ids, *continuation_ids], dtype=np.int64),
                count=len(continuation_ids),
                adapter=adapter,
                future=future,
            )
            self.thread.score(scored)
            return await asyncio.wrap_future(future)

    async def load_adapter(self, ref: AdapterRef) -> None:
        """Load an adapter beside the others; nothing happens if it is resident.

        Raises:
            AdapterError: it cannot be read, or does not fit the model.
        """
        if ref.version in self._resident:
            return
        await asyncio.wrap_future(self.thread.do(lambda: self._load(ref)))

    async def unload_adapter(self, version: str) -> None:
        """Remove an adapter from memory.

        Raises:
            AdapterError: it is not resident, or a request uses it.
        """
        with self._lock:
            self._check_resident(version)
            if self._uses[version]:
                raise AdapterError(
                    f"adapter {version!r} is in use by {self._uses[version]} requests",
                    hint="Wait until they have ended, then unload it.",
                )
            del self._resident[version]
        await asyncio.wrap_future(self.thread.do(lambda: self._unload(version)))

    def resident(self) -> tuple[str, ...]:
        """Versions of the loaded adapters, in order of loading."""
        with self._lock:
            return tuple(self._resident)

    def in_use(self, version: str) -> bool:
        """Whether a request uses an adapter right now."""
        with self._lock:
            return self._uses[version] > 0

    def close(self) -> None:
        """Stop the thread; requests that are not finished fail with `EngineError`."""
        self.thread.close()

    def _load(self, ref: AdapterRef) -> None:
        if ref.version in self._resident:
            return
        self.thread.bank.load(ref)
        with self._lock:
            self._resident[ref.version] = ref

    def _unload(self, version: str) -> None:
        self.thread.prefixes.forget(version)
        self.thread.bank.unload(version)

    def _asked(self, call: Call, tokens: Sequence[int], flight: _Flight) -> "Asked":
        import numpy as np

        from rag_adapt.engines.embedded_rows import Asked, Row

        chat = self.loaded.chat
        flight.asked = Asked(
            tokens=np.array(tokens, dtype=np.int64),
            adapter=call.adapter,
            row=Row(
                call.sampling,
                repeat=call.repeat,
                stop_ids=chat.stop_ids,
                decode=chat.decode,
                device=self.loaded.device,
            ),
            tell=lambda text, last: flight.put((text, last)),
            fail=flight.put,
        )
        return flight.asked

    @contextmanager
    def _flying(self) -> Iterator[_Flight]:
        """Count a request; those under way at the same time are not alone."""
        flight = _Flight()
        with self._lock:
            for other in self._flights:
                other.alone = flight.alone = False
            self._flights.add(flight)
        try:
            yield flight
        finally:
            with self._lock:
                self._flights.discard(flight)

    @contextmanager
    def _using(self, adapter: str | None) -> Iterator[None]:
        """Keep an adapter from being unloaded."""
        if adapter is None:
            yield
            return
        with self._lock:
            self._check_resident(adapter)
            self._uses[adapter] += 1
        try:
            yield
        finally:
            with self._lock:
                self._uses[adapter] -= 1

    def _check_resident(self, version: str) -> None:
        if version not in self._resident:
            raise AdapterError(
                f"adapter {version!r} is not loaded in the embedded engine",
                hint="See what there is with `rag-adapt adapters list`.",
            )

    def _check_length(self, prompt: int, more: int) -> None:
        if prompt + more > self.loaded.context:
            raise ContextLengthError(
                f"a prompt of {prompt} tokens and an answer of up to {more} do not fit into the "
                f"context of {self.loaded.files.name!r}: {self.loaded.context} tokens",
                hint="Use a shorter prompt, fewer passages (--top-k) or fewer answer tokens.",
            )


def _outcome(engine: EmbeddedEngine, call: Call, asked: "Asked", flight: _Flight) -> Outcome:
    row = asked.row
    finish: FinishReason = row.finish or "stop"
    started, first = asked.started or asked.ended, asked.first or asked.ended
    return Outcome(
        text=row.stream.text,
        finish_reason=finish,
        usage=Usage(tokens_in=len(asked.tokens), tokens_out=len(row.produced)),
        times=Times(
            queued=started - flight.arrived,
            first_token=first - flight.arrived,
            total=asked.ended - flight.arrived,
            alone=flight.alone,
        ),
        sent=Sent(
            messages=call.messages,
            template_hash=engine.loaded.chat.template_hash,
            token_ids=tuple(asked.tokens.tolist()),
            adapter=call.adapter,
            model=engine.loaded.files.weights,
        ),
    )


def _fingerprint(loaded: "LoadedModel") -> Fingerprint:
    import torch
    import transformers

    return Fingerprint(
        engine="embedded",
        model=loaded.files.name,
        weights=loaded.files.weights,
        template_hash=loaded.chat.template_hash,
        dtype=loaded.dtype,
        device=loaded.device,
        deterministic=loaded.deterministic,
        extra={"torch": torch.__version__, "transformers": transformers.__version__},
    )
