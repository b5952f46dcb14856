"""How LiteLLM is kept quiet and read for one answer, at the smallest cost per token.

It does not know calls, adapters or errors; the library is handed in. What LiteLLM does beside the
call (its log, prices and callbacks, several times the cost of the call itself) is left out: nobody
here reads it.
"""

from collections.abc import AsyncIterator
from dataclasses import dataclass
from datetime import datetime
from functools import cache
from typing import Any, Final
from uuid import uuid4

from rag_adapt.core.types import Usage

OPENAI_SHAPED: Final = frozenset({"openai", "hosted_vllm"})
"""Providers whose own chunks say everything; LiteLLM's wrapper would take each apart again."""

_loaded: Final[set[str]] = set()
"""Providers that were asked in this process: what LiteLLM loads for them is there."""


@dataclass(kw_only=True)
class Reading:
    """What was read of one answer so far."""

    arrived: float
    text: str = ""
    first_token: float | None = None
    last_token: float | None = None
    reason: str | None = None
    model: str | None = None
    """As the server reports it."""
    usage: Usage | None = None
    ended: bool = False
    """Whether the server itself said that the answer ends."""

    def came(self, now: float) -> None:
        """Text came, at this time."""
        self.last_token = now
        self.first_token = self.first_token or now


async def asked(litellm: Any, **request: Any) -> Any:
    """LiteLLM's answer or stream.

    `acompletion` has every call prepared in a thread, and under load two threads wait for each
    other, up to 5 ms each time. Where nothing of it blocks, it is prepared here, all but the first
    one of a provider, which loads parts of the library.

    Args:
        litellm: The library.
        request: What `acompletion` takes.
    """
    provider = request["model"].partition("/")[0]
    if provider not in _loaded:
        answer = await litellm.acompletion(**request)
        _loaded.update({provider} & OPENAI_SHAPED)
        return answer
    try:
        return await litellm.completion(**request, acompletion=True)
    except Exception as error:
        raise litellm.exception_type(
            model=request["model"],
            custom_llm_provider=provider,
            original_exception=error,
            completion_kwargs=request,
            extra_kwargs={},
        ) from error


def unlogged(litellm: Any, model: str, *, stream: bool) -> Any:
    """What LiteLLM hands its log to, for one call; it drops everything."""
    return silent_log(litellm)(
        model=model,
        messages=[],
        stream=stream,
        call_type="acompletion",
        start_time=datetime.now(),
        litellm_call_id=(id := uuid4().hex),
        function_id=id,
        kwargs={},
    )


@cache
def silent_log(litellm: Any) -> type[Any]:
    """LiteLLM's logging object with everything that costs time taken out."""

    def drop(*args: Any, **more: Any) -> None:
        """Nothing is logged, priced or called back."""

    async def drop_later(*args: Any, **more: Any) -> None:
        """The same, where LiteLLM awaits it."""

    at_once = (
        "pre_call",
        "post_call",
        "success_handler",
        "failure_handler",
        "handle_sync_success_callbacks_for_async_calls",
        "response_cost_calculator",
    )
    awaited = (
        "async_success_handler",
        "async_failure_handler",
        "dispatch_success_handlers",
        "dispatch_failure_handlers",
    )
    dropped = {**dict.fromkeys(at_once, drop), **dict.fromkeys(awaited, drop_later)}
    return type("Unlogged", (litellm.Logging,), dropped)


def chunks_of(stream: Any) -> AsyncIterator[Any]:
    """The chunks of a stream, where possible as the server sent them."""
    inner = stream.completion_stream
    plain = stream.custom_llm_provider in OPENAI_SHAPED and hasattr(inner, "__aiter__")
    found: AsyncIterator[Any] = aiter(inner if plain else stream)
    return found


def read_chunk(chunk: Any, reading: Reading) -> str:
    """Take note of a chunk and return its text."""
    if isinstance(chunk, dict):  # the mark of the end: what it says, LiteLLM made up
        return ""
    reading.model = _named(chunk) or reading.model
    _count(chunk, reading)
    if not chunk.choices:
        return ""
    choice = chunk.choices[0]
    reading.reason = choice.finish_reason or reading.reason
    text: str = choice.delta.content or ""
    reading.text += text
    return text


def read_end(stream: Any, reading: Reading) -> None:
    """Whether the server said that a stream ends; LiteLLM's wrapper makes a "stop" up otherwise."""
    marks = ("received_finish_reason", "intermittent_finish_reason")
    plain = stream.custom_llm_provider in OPENAI_SHAPED
    said = any(getattr(stream, mark, None) is not None for mark in marks)
    reading.ended = reading.reason is not None if plain else said


def read_whole(response: Any, reading: Reading) -> None:
    """Take note of an answer that came at once."""
    reading.model = _named(response)
    _count(response, reading)
    if response.choices:
        choice = response.choices[0]
        reading.text = choice.message.content or ""
        reading.reason = choice.finish_reason
    reading.ended = True


def _named(part: Any) -> str | None:
    """The model that the server says it answered with, before LiteLLM wrote its own name there."""
    hidden = getattr(part, "_hidden_params", None) or {}
    named: str | None = hidden.get("provider_response_model") or getattr(part, "model", None)
    return named


def _count(part: Any, reading: Reading) -> None:
    if (usage := getattr(part, "usage", None)) is not None:
        reading.usage = Usage(tokens_in=usage.prompt_tokens, tokens_out=usage.completion_tokens)
