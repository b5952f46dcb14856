"""Asks a model that runs elsewhere: any provider or OpenAI-compatible server, through LiteLLM.

It does not know settings or prices. This is the one place that calls LiteLLM; its retries, cache
and fallbacks stay off, because an experiment must know who answered, and how often it asked.
"""

import asyncio
import os
import time
from collections.abc import AsyncGenerator, Callable, Sequence
from contextlib import aclosing
from dataclasses import asdict, dataclass
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
    Usage,
)
from rag_adapt.engines.remote_errors import translate

NO_KEY: Final = "none"
"""Sent to a server of one's own that has no key, so that no other provider's key reaches it."""
REASONS: Final[dict[str, FinishReason]] = {"stop": "stop", "eos": "stop", "length": "length"}


@dataclass(frozen=True, kw_only=True)
class Cost:
    """What one answer cost."""

    value: float
    unit: str
    """`USD`."""


@dataclass(kw_only=True)
class _Reading:
    """What was read of one answer so far."""

    arrived: float
    text: str = ""
    first_token: float | None = None
    last_token: float | None = None
    reason: str | None = None
    model: str | None = None
    """As the server reports it."""
    usage: Usage | None = None


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

    async def generate(self, call: Call) -> AsyncGenerator[Delta, None]:
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
        name = self._name_for(call)
        litellm = await asyncio.to_thread(_import_litellm)
        alone = self._in_flight == 0
        self._in_flight += 1
        self._started += 1
        turn = self._started
        reading = _Reading(arrived=self._clock())
        try:
            async with aclosing(self._stream(litellm, name, call, reading)) as texts:
                async for text in texts:
                    yield Delta(text=text)
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
        litellm = await asyncio.to_thread(_import_litellm)
        await litellm.close_litellm_async_clients()

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

    async def _stream(
        self, litellm: Any, name: str, call: Call, reading: _Reading
    ) -> AsyncGenerator[str, None]:
        """Texts as they come; `reading` is filled on the way."""
        deadline = asyncio.get_running_loop().time() + self._timeout
        stream: Any = None
        try:
            async with asyncio.timeout_at(deadline):
                stream = await litellm.acompletion(**self._request(name, call))
            while True:
                async with asyncio.timeout_at(deadline):
                    chunk = await anext(stream, None)
                if chunk is None:
                    break
                if text := _read(chunk, reading):
                    reading.last_token = self._clock()
                    reading.first_token = reading.first_token or reading.last_token
                    yield text
            self._check(call, reading, whole=_ended(stream))
        except Exception as error:
            known = translate(
                litellm,
                error,
                where=self._where,
                adapter=call.adapter,
                timeout=self._timeout,
                secret=self._api_key,
            )
            if known is None:
                raise
            raise known from error
        finally:
            if stream is not None:
                await stream.aclose()

    def _request(self, name: str, call: Call) -> dict[str, Any]:
        own = self._api_base is not None
        return {
            "model": name,
            "messages": [asdict(message) for message in call.messages],
            "stream": True,
            "stream_options": {"include_usage": True},
            "api_base": self._api_base,
            "api_key": self._api_key or (NO_KEY if own else None),
            "timeout": self._timeout,
            "num_retries": 0,
            "max_retries": 0,
            **_parameters(call.sampling),
        }

    def _check(self, call: Call, reading: _Reading, *, whole: bool) -> None:
        """Whether the whole answer came, and from the model that was asked."""
        if not whole or reading.usage is None:
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

    def _outcome(self, call: Call, reading: _Reading, alone: bool) -> Outcome:
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

    litellm.suppress_debug_info = True
    litellm.telemetry = False
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


def _read(chunk: Any, reading: _Reading) -> str:
    """Take note of a chunk and return its text."""
    hidden = getattr(chunk, "_hidden_params", None) or {}
    reading.model = hidden.get("provider_response_model") or reading.model
    if (usage := getattr(chunk, "usage", None)) is not None:
        reading.usage = Usage(tokens_in=usage.prompt_tokens, tokens_out=usage.completion_tokens)
    if not chunk.choices:
        return ""
    choice = chunk.choices[0]
    reading.reason = choice.finish_reason or reading.reason
    text: str = choice.delta.content or ""
    reading.text += text
    return text


def _ended(stream: Any) -> bool:
    """Whether the server itself said that the answer ends; LiteLLM makes a "stop" up otherwise."""
    marks = ("received_finish_reason", "intermittent_finish_reason")
    return any(getattr(stream, mark, None) is not None for mark in marks)


def _without_credentials(url: str) -> str:
    """Scheme, host, port and path of a URL."""
    parts = urlsplit(url)
    return urlunsplit((parts.scheme, parts.netloc.rpartition("@")[2], parts.path, "", ""))
