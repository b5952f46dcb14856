"""LiteLLM's errors in our words: the one table of them.

It does not know how a call is made; the library is handed in, so that this file does not load it.
"""

import json
import re
from typing import Any, Final

from rag_adapt.core.errors import (
    AdapterError,
    ContextLengthError,
    EngineError,
    ModelNotFoundError,
    RagAdaptError,
    RefusedError,
    SettingsError,
)

SHOWN: Final = 300
"""Characters of a server's message that are passed on."""
MESSAGE: Final = re.compile(r'"message"\s*:\s*("(?:[^"\\]|\\.)*")')
"""The message in a server's error document."""


def translate(
    litellm: Any,
    error: Exception,
    *,
    where: str,
    adapter: str | None,
    timeout: float,
    secret: str | None,
) -> RagAdaptError | None:
    """The error of our tree that stands for one of LiteLLM's; None for any other.

    Args:
        litellm: The library.
        error: What was caught.
        where: Model and server, for the message.
        adapter: The adapter that was asked for.
        timeout: Seconds that the answer could take.
        secret: The key, which must not be shown.
    """
    cause = getattr(error, "original_exception", None) or error
    said = _said(cause, secret)
    if isinstance(cause, TimeoutError | litellm.Timeout | litellm.httpx.TimeoutException):
        return EngineError(
            f"{where} did not finish an answer within {timeout:g} s",
            hint="Raise `timeout` (RAG_ADAPT_TIMEOUT), or ask less at once with `concurrency`.",
        )
    if isinstance(cause, litellm.ContextWindowExceededError):
        return ContextLengthError(
            f"the prompt does not fit into {where}: {said}",
            hint="Retrieve fewer passages (`top_k`), show fewer examples, or choose a model "
            "with a longer context.",
        )
    if getattr(cause, "status_code", None) in (401, 403):
        return SettingsError(
            f"{where} refused the key: {said}",
            hint="Set `api_key` (RAG_ADAPT_API_KEY), or the provider's own variable.",
        )
    if isinstance(cause, litellm.NotFoundError):
        return _not_found(where, adapter, said)
    if isinstance(cause, litellm.RateLimitError):
        return EngineError(
            f"{where} is over its rate limit: {said}",
            hint="Lower `concurrency` (RAG_ADAPT_CONCURRENCY), wait, and run the same command "
            "again: what was answered is kept.",
        )
    if isinstance(cause, _refusals(litellm)) or _told_in_a_stream(cause, litellm):
        return RefusedError(
            f"{where} refused the request: {said}",
            hint="Name the model with its provider, as in --model openai/gpt-4o-mini, and "
            "check that it takes these sampling settings.",
        )
    if isinstance(cause, _faults(litellm)):
        return EngineError(
            f"{where} could not be asked: {said}",
            hint="Check that the server runs and that `api_base` (RAG_ADAPT_API_BASE) is its "
            "address, then run the same command again.",
        )
    return None


def _not_found(where: str, adapter: str | None, said: str) -> RagAdaptError:
    if adapter is not None:
        return AdapterError(
            f"{where} does not serve adapter {adapter!r}: {said}",
            hint="Load it on the server first, under exactly this name.",
        )
    return ModelNotFoundError(
        f"{where} is not served: {said}",
        hint="See what the server has: GET <api_base>/models; then name it with --model.",
    )


def _said(error: Exception, secret: str | None) -> str:
    """The server's own words, short and without the key."""
    text = str(error).rpartition("Exception - ")[2].strip() or type(error).__name__
    if text.startswith("{") and (found := MESSAGE.search(text)) is not None:
        text = json.loads(found[1])
    text = " ".join(text.split())
    return (text.replace(secret, "***") if secret else text)[:SHOWN]


def _refusals(litellm: Any) -> tuple[type[Exception], ...]:
    return (litellm.BadRequestError, litellm.UnprocessableEntityError)


def _told_in_a_stream(cause: Exception, litellm: Any) -> bool:
    """Whether a stream carried a refusal, after a status that promised an answer."""
    status = getattr(cause, "status_code", None)
    return isinstance(cause, _raw(litellm)) and isinstance(status, int) and 400 <= status < 500


def _raw(litellm: Any) -> tuple[type[Exception], ...]:
    """What comes out of a stream itself, before LiteLLM made anything of it."""
    its_own = litellm.llms.base_llm.chat.transformation.BaseLLMException
    return (litellm.httpx.HTTPError, litellm.openai.APIError, its_own)


def _faults(litellm: Any) -> tuple[type[Exception], ...]:
    """What goes wrong on the way or inside the server, and may go right the next time."""
    return (
        OSError,
        *_raw(litellm),
        litellm.APIConnectionError,
        litellm.APIError,
        litellm.BadGatewayError,
        litellm.InternalServerError,
        litellm.ServiceUnavailableError,
    )
