"""Asks a vLLM server short questions without a client: is it healthy, which release, how busy.

It does not know who started it.
"""

import json
import urllib.request
from typing import Final

_DIRECT: Final = urllib.request.build_opener(urllib.request.ProxyHandler({}))
"""Asks the server itself, whatever proxy the environment names."""


def healthy(api_base: str, *, seconds: float = 2.0) -> bool:
    """Whether a server at this address says that it can work."""
    try:
        with _DIRECT.open(f"{_root(api_base)}/health", timeout=seconds) as reply:
            return bool(reply.status == 200)
    except (OSError, ValueError):
        return False


def release_of(api_base: str) -> str | None:
    """The server's own word for its release; None where it does not answer."""
    text = _text(f"{_root(api_base)}/version")
    try:
        return None if text is None else str(json.loads(text)["version"])
    except (ValueError, KeyError, TypeError):
        return None


def in_flight(api_base: str) -> int:
    """Requests that a server works on or keeps waiting; 0 where it does not answer."""
    from rag_adapt.engines.vllm_client import RUNNING

    text = _text(f"{_root(api_base)}/metrics") or ""
    return int(sum(float(number) for number in RUNNING.findall(text)))


def _text(url: str) -> str | None:
    try:
        with _DIRECT.open(url, timeout=5) as reply:
            return str(reply.read().decode())
    except (OSError, ValueError):
        return None


def _root(api_base: str) -> str:
    return api_base.rstrip("/").removesuffix("/v1")
