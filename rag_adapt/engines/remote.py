"""Asks a model that runs elsewhere: any provider or OpenAI-compatible server, through LiteLLM.

It does not know settings or prices. This is the one place that calls LiteLLM; its retries, cache
and fallbacks stay off, because an experiment must know who answered, and how often it asked.
"""

import asyncio
import os
import time
from collections.abc import AsyncGenerator, Callable, Iterator, Sequence
from contextlib import aclosing, contextmanager
from dataclasses import dataclass
from typing import Any, Final
from urllib.parse import urlsplit, urlunsplit

from rag_adapt.core.errors import (
    AdapterError,
    EngineError,
    NoLogProbsError,
    NotProvenError,
    RefusedError,
)
from rag_adapt.core.types import (
    Call,
    Delta,
    Fingerprint,
    FinishReason,
    Message,
    Outcome,
    Sampling,
    Sent,
    Times,
    TokenLogProbs,
)
from rag_adapt.engines.remote_calls import (
    Reading,
    asked,
    chunks_of,
    read_chunk,
    read_end,
    read_whole,
    silent_log,
    unlogged,
)
from rag_adapt.engines.remote_errors import translate

Ask = Callable[[str, Call, Reading], AsyncGenerator[str, None]]
"""Texts of an answer from a model's name and a call; the reading is filled on the way."""
NO_KEY: Final = "none"
"""Sent to a server of one's own that has no key, so that no other provider's key reaches it."""
REASONS: Final[dict[str, FinishReason]] = {"stop": "stop", "eos": "stop", "length": "length"}


@dataclass(frozen=True, kw_only=True)
class Cost:
    """What one answer cost."""

    value: float
    unit: str
    """`USD`."""


class RemoteEngine:
    """One model of one server or provider.

    Args:
        model: A LiteLLM name with its provider, such as `openai/gpt-4o-mini`, or
            `hosted_vllm/base` together with `api_base`.
        api_base: Base URL of an OpenAI-compatible server.
        api_key: Its key; the provider's own variable counts where no `api_base` is given.
        timeout: Seconds that one answer may take, first to last byte.
        clock: Seconds on a monotonic clock.
    """

    def __init__(
        self,
        model: str,
        *,
        api_base: str | None = None,
        api_key: str | None = None,
        timeout: float = 120.0,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._model = model
        self._api_base = api_base
        self._api_key = api_key
        self._timeout = timeout
        self._clock = clock
        self._reported: str | None = None
        self._in_flight = 0
        self._started = 0
        self._litellm: Any = None

    async def ready(self) -> None:
        """Load LiteLLM, which takes seconds; the first answer does so otherwise."""
        if self._litellm is None:
            self._litellm = await asyncio.to_thread(_import_litellm)

    @property
    def fingerprint(self) -> Fingerprint:
        """See `rag_adapt.core.protocols.Engine`; neither key nor credentials are part of it."""
        return Fingerprint(
            engine="remote",
            model=self._model,
            weights=self._model,
            template_hash=None,
            dtype="unknown",
            device="remote",
            deterministic=False,
            extra={"api_base": _without_credentials(self._api_base)} if self._api_base else {},
        )

    def generate(self, call: Call) -> AsyncGenerator[Delta, None]:
        """Stream one answer; closing the iterator closes the connection.

        Raises:
            SettingsError: the key was refused.
            ModelNotFoundError: the server does not serve the model.
            AdapterError: the server does not serve the adapter.
            NotProvenError: something else than the adapter answered.
            ContextLengthError: the prompt does not fit.
            RefusedError: the server refuses this request.
            EngineError: rate limit, timeout, lost connection, or a server's own fault.
        """
        return self._answer(call, self._stream)

    def whole(self, call: Call) -> AsyncGenerator[Delta, None]:
        """`generate` for a reader who waits for the end, asked without a stream: half the work.

        The text is one delta; its first token is taken to arrive with its last.
        """
        return self._answer(call, self._at_once)

    async def _answer(self, call: Call, ask: Ask) -> AsyncGenerator[Delta, None]:
        name = self._name_for(call)
        await self.ready()
        alone = self._in_flight == 0
        self._in_flight += 1
        self._started += 1
        turn = self._started
        reading = Reading(arrived=self._clock())
        try:
            with self._translated(call):
                async with aclosing(ask(name, call, reading)) as texts:
                    async for text in texts:
                        yield Delta(text=text)
                self._check(call, reading)
        finally:
            self._in_flight -= 1
        yield Delta(text="", outcome=self._outcome(call, reading, alone and turn == self._started))

    async def logprobs(
        self, messages: Sequence[Message], continuation: str, adapter: str | None = None
    ) -> TokenLogProbs:
        """Never: servers do not score given text, or break when asked to.

        Raises:
            NoLogProbsError: always.
        """
        raise NoLogProbsError(
            f"{self._model!r} on a server gives no log-probabilities of given text",
            hint="Use `--engine embedded` with a local model, or score by generation alone.",
        )

    def cost(self, outcome: Outcome) -> Cost | None:
        """The provider's list price of an answer; None where nobody publishes one.

        A server of one's own (`api_base`) has no price: its cost is compute seconds.
        """
        if self._api_base is not None:
            return None
        litellm = _import_litellm()
        try:
            parts = litellm.cost_per_token(
                model=self._model,
                prompt_tokens=outcome.usage.tokens_in,
                completion_tokens=outcome.usage.tokens_out,
            )
        except (litellm.BadRequestError, litellm.exceptions.ModelNotMappedError):
            return None
        return Cost(value=float(sum(parts)), unit="USD")

    async def aclose(self) -> None:
        """Close the connections that LiteLLM keeps open."""
        await self.ready()
        await self._litellm.close_litellm_async_clients()

    def _name_for(self, call: Call) -> str:
        if call.adapter is None:
            return self._model
        if self._api_base is None:
            raise AdapterError(
                f"adapter {call.adapter!r} was asked of {self._model!r}, which has no server of "
                "ours to load it",
                hint="Set api_base (RAG_ADAPT_API_BASE) to a vLLM server with --enable-lora, or "
                "use `--engine embedded`.",
            )
        return f"hosted_vllm/{call.adapter}"

    async def _stream(self, name: str, call: Call, reading: Reading) -> AsyncGenerator[str, None]:
        """Texts as they come; `reading` is filled on the way."""
        deadline = asyncio.get_running_loop().time() + self._timeout
        stream: Any = None
        try:
            async with asyncio.timeout_at(deadline):
                stream = await asked(
                    self._litellm,
                    **self._request(name, call),
                    stream=True,
                    stream_options={"include_usage": True},
                    litellm_logging_obj=unlogged(self._litellm, name, stream=True),
                )
            chunks = chunks_of(stream)
            while True:
                async with asyncio.timeout_at(deadline):
                    chunk = await anext(chunks, None)
                if chunk is None:
                    break
                if text := read_chunk(chunk, reading):
                    reading.came(self._clock())
                    yield text
            read_end(stream, reading)
        finally:
            if stream is not None:
                await stream.aclose()

    async def _at_once(self, name: str, call: Call, reading: Reading) -> AsyncGenerator[str, None]:
        """The whole text."""
        async with asyncio.timeout(self._timeout):
            response = await asked(
                self._litellm,
                **self._request(name, call),
                litellm_logging_obj=unlogged(self._litellm, name, stream=False),
            )
        read_whole(response, reading)
        if reading.text:
            reading.came(self._clock())
            yield reading.text

    @contextmanager
    def _translated(self, call: Call) -> Iterator[None]:
        """Raise our errors for LiteLLM's; others pass."""
        try:
            yield
        except Exception as error:
            known = translate(
                self._litellm,
                error,
                where=self._where,
                adapter=call.adapter,
                timeout=self._timeout,
                secret=self._api_key,
            )
            if known is None:
                raise
            raise known from error

    def _request(self, name: str, call: Call) -> dict[str, Any]:
        own = self._api_base is not None
        return {
            "model": name,
            "messages": [{"role": one.role, "content": one.content} for one in call.messages],
            "api_base": self._api_base,
            "api_key": self._api_key or (NO_KEY if own else None),
            "timeout": self._timeout,
            "num_retries": 0,
            "max_retries": 0,
            **_parameters(call.sampling),
        }

    def _check(self, call: Call, reading: Reading) -> None:
        """Whether the whole answer came, and from the model that was asked."""
        if not reading.ended or reading.usage is None:
            raise EngineError(
                f"the stream from {self._where} broke off after {len(reading.text)} characters",
                hint="Run the same command again: what was answered is kept.",
            )
        if reading.reason not in REASONS:
            raise RefusedError(
                f"{self._where} ended the answer with reason {reading.reason!r}",
                hint="The provider withheld the answer; change the prompt or the model.",
            )
        if call.adapter is not None:
            if reading.model != call.adapter:
                raise NotProvenError(
                    f"adapter {call.adapter!r} was asked for, {reading.model!r} answered",
                    hint="Look at the server's list of models: GET <api_base>/models.",
                )
            return
        self._reported = self._reported or reading.model
        if reading.model != self._reported:
            raise EngineError(
                f"{self._where} changed models: {self._reported!r} before, now {reading.model!r}",
                hint="Name one exact version of the model with --model, then start a new run.",
            )

    def _outcome(self, call: Call, reading: Reading, alone: bool) -> Outcome:
        assert reading.usage is not None  # `_check` saw to it
        last = reading.last_token or self._clock()
        return Outcome(
            text=reading.text,
            finish_reason=REASONS[reading.reason or "stop"],
            usage=reading.usage,
            times=Times(
                queued=0.0,
                first_token=(reading.first_token or last) - reading.arrived,
                total=last - reading.arrived,
                alone=alone,
            ),
            sent=Sent(
                messages=call.messages,
                template_hash=None,
                token_ids=None,
                adapter=call.adapter,
                model=reading.model or self._model,
            ),
        )

    @property
    def _where(self) -> str:
        if self._api_base is None:
            return repr(self._model)
        return f"{self._model!r} at {_without_credentials(self._api_base)}"


def _import_litellm() -> Any:
    """Takes seconds the first time, so callers use a thread."""
    os.environ.setdefault("LITELLM_LOCAL_MODEL_COST_MAP", "True")
    import litellm
    import litellm.llms.base_llm.chat.transformation  # else loaded, or not, by the first answer

    litellm.suppress_debug_info = True
    litellm.telemetry = False
    silent_log(litellm)
    return litellm


def _parameters(sampling: Sampling) -> dict[str, Any]:
    """Only what differs from a server's own defaults: not every provider takes every name."""
    given: dict[str, Any] = {
        "max_tokens": sampling.max_tokens,
        "temperature": sampling.temperature,
    }
    if sampling.top_p != 1.0:
        given["top_p"] = sampling.top_p
    if sampling.temperature > 0:
        given["seed"] = sampling.seed
    if sampling.stop:
        given["stop"] = list(sampling.stop)
    return given


def _without_credentials(url: str) -> str:
    """Scheme, host, port and path of a URL."""
    parts = urlsplit(url)
    return urlunsplit((parts.scheme, parts.netloc.rpartition("@")[2], parts.path, "", ""))
