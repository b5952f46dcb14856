"""Speaks to one vLLM server about everything but answers: adapters, probes, health.

It does not know which adapters ought to be there. It never reloads in place, never asks for
`prompt_logprobs` or `echo` (one of either can kill a server with LoRA enabled), and names only
paths that our own store gave it.
"""

import asyncio
import re
import uuid
from collections.abc import Mapping, Sequence
from contextlib import contextmanager
from functools import cache
from typing import TYPE_CHECKING, Any, Final
from weakref import WeakKeyDictionary

from rag_adapt.core.errors import AdapterError, EngineError, SettingsError
from rag_adapt.core.types import AdapterRef, Message

if TYPE_CHECKING:
    import ssl
    from collections.abc import Iterator

    import httpx

PATIENCE: Final = 5.0
"""Seconds for a question that costs the server nothing."""
WORK_SECONDS: Final = 120.0
"""Seconds for a load or a probe, under load too."""
TOP: Final = 20
"""Candidates whose log-probabilities vLLM gives for each token by default at most."""
SLOTS: Final = re.compile(r'vllm:lora_requests_info\{[^}]*max_lora="(\d+)"')
RUNNING: Final = re.compile(r"^vllm:num_requests_(?:running|waiting)\{[^}]*\} ([\d.e+]+)", re.M)
REFUSED: Final = "add_lora"
"""In what some releases answer with 500 where they refuse an adapter, as one of too high a rank."""
LOADED_ALREADY: Final = "already been loaded"
START: Final = "Start it with `rag-adapt vllm --start`, or correct RAG_ADAPT_API_BASE."


class VllmClient:
    """One server.

    Args:
        api_base: Its address, `/v1` included.
        api_key: Its key, if it wants one.
        base: The name under which it serves the base model.
    """

    def __init__(self, api_base: str, *, api_key: str | None, base: str) -> None:
        self.base = base
        self._root = api_base.rstrip("/").removesuffix("/v1")
        self._headers = {"Authorization": f"Bearer {api_key}"} if api_key else {}
        self._clients: WeakKeyDictionary[asyncio.AbstractEventLoop, httpx.AsyncClient] = (
            WeakKeyDictionary()
        )

    async def healthy(self, patience: float = PATIENCE) -> bool:
        """Whether it answers within so many seconds that it can work."""
        try:
            reply = await self._asked("GET", "/health", patience)
        except EngineError:
            return False
        return reply.is_success

    async def version(self) -> str:
        """The server's own word for it.

        Raises:
            EngineError: it does not answer.
        """
        reply = await self._asked("GET", "/version", PATIENCE)
        return str(_json(reply).get("version", "unknown"))

    async def models(self) -> Mapping[str, str]:
        """What it serves: the folder by name.

        Raises:
            EngineError: it does not answer.
            SettingsError: it refuses the key.
        """
        reply = await self._asked("GET", "/v1/models", PATIENCE)
        self._check(reply, "list its models")
        return {str(row["id"]): str(row.get("root")) for row in _json(reply).get("data", ())}

    async def load(self, ref: AdapterRef, folder: str) -> None:
        """Register an adapter from a folder as the server sees it; again is no fault.

        Raises:
            AdapterError: the server refuses it, or holds another folder under this name.
            SettingsError: it refuses the key, or was started without runtime loading.
            EngineError: it does not answer.
        """
        asked = {"lora_name": ref.version, "lora_path": folder}
        reply = await self._asked("POST", "/v1/load_lora_adapter", WORK_SECONDS, asked)
        if reply.is_success:
            return
        said = _said(reply)
        if LOADED_ALREADY in said:
            if (await self.models()).get(ref.version) == folder:
                return
            said = "another folder is registered under this name"
        self._check_loading(reply)
        if reply.is_server_error and REFUSED not in said:
            self._check(reply, f"load adapter {ref.version!r}")
        raise AdapterError(
            f"vLLM refuses adapter {ref.version!r} (rank {ref.rank}): {said}",
            hint="The server must see the folder of adapters under the same path, and its "
            "`--max-lora-rank` must reach the rank; see docs/vllm.md.",
        )

    async def unload(self, version: str) -> None:
        """Unregister an adapter; one that it does not have is no fault.

        Raises:
            SettingsError: it refuses the key, or was started without runtime loading.
            EngineError: it does not answer, or did not do it.
        """
        asked = {"lora_name": version}
        reply = await self._asked("POST", "/v1/unload_lora_adapter", WORK_SECONDS, asked)
        if reply.is_success or version in _said(reply):
            return
        self._check_loading(reply)
        self._check(reply, f"unload adapter {version!r}")

    async def slots(self) -> int | None:
        """Adapters that it computes with at once; None until it has been asked for one."""
        found = SLOTS.search((await self._asked("GET", "/metrics", PATIENCE)).text)
        return None if found is None else int(found[1])

    async def in_flight(self) -> int:
        """Requests that it works on or keeps waiting.

        Raises:
            EngineError: it does not answer.
        """
        text = (await self._asked("GET", "/metrics", PATIENCE)).text
        return int(sum(float(number) for number in RUNNING.findall(text)))

    async def render(self, messages: Sequence[Message]) -> tuple[int, ...]:
        """The prompt's tokens by the server's own chat template.

        Raises:
            EngineError: it does not answer.
        """
        rows = [{"role": message.role, "content": message.content} for message in messages]
        asked = {"model": self.base, "messages": rows}
        reply = await self._asked("POST", "/tokenize", PATIENCE, asked)
        self._check(reply, "turn messages into tokens")
        return tuple(_json(reply)["tokens"])

    async def logprobs_of_ids(
        self, prompt_ids: Sequence[int], continuation_ids: Sequence[int], adapter: str | None = None
    ) -> tuple[float, ...]:
        """Log-probabilities of given tokens, read off what the server generates itself.

        It generates greedily; where it would have said otherwise, the given token's figure is
        among its candidates, and it is asked again from there. A token that is not among the
        `TOP` candidates has the figure minus infinity, and so have those after it.

        Raises:
            AdapterError: the server does not have the adapter.
            EngineError: it does not answer.
        """
        wanted, found = tuple(continuation_ids), list[float]()
        salt = uuid.uuid4().hex  # nothing is read from a cache that an earlier question filled
        while len(found) < len(wanted):
            asked = {
                "model": adapter or self.base,
                "prompt": [*prompt_ids, *wanted[: len(found)]],
                "max_tokens": len(wanted) - len(found),
                "temperature": 0,
                "ignore_eos": True,
                "logprobs": TOP,
                "return_tokens_as_token_ids": True,
                "cache_salt": salt,
            }
            reply = await self._asked("POST", "/v1/completions", WORK_SECONDS, asked)
            self._check(reply, f"answer with {adapter or self.base!r}", adapter)
            agreed = _agreed(_json(reply)["choices"][0]["logprobs"], wanted[len(found) :])
            found += agreed
            if agreed and agreed[-1] == float("-inf"):
                found += [float("-inf")] * (len(wanted) - len(found))
        return tuple(found)

    async def aclose(self) -> None:
        """Close this event loop's connections."""
        client = self._clients.pop(asyncio.get_running_loop(), None)
        if client is not None:
            await client.aclose()

    async def _asked(
        self, method: str, path: str, seconds: float, body: Mapping[str, Any] | None = None
    ) -> "httpx.Response":
        with self._answering():
            async with asyncio.timeout(seconds):
                return await self._client().request(method, self._root + path, json=body)

    @contextmanager
    def _answering(self) -> "Iterator[None]":
        import httpx

        try:
            yield
        except (httpx.HTTPError, httpx.InvalidURL, TimeoutError) as error:
            what = "within its time" if isinstance(error, TimeoutError) else str(error)
            raise EngineError(
                f"the vLLM server at {self._root} does not answer: {what or type(error).__name__}",
                hint=START,
            ) from error

    def _client(self) -> "httpx.AsyncClient":
        """One for each event loop: connections belong to the loop that opened them."""
        import httpx

        loop = asyncio.get_running_loop()
        if loop not in self._clients:
            self._clients[loop] = httpx.AsyncClient(
                headers=self._headers, timeout=None, trust_env=False, verify=_trusted()
            )
        return self._clients[loop]

    def _check(self, reply: "httpx.Response", what: str, adapter: str | None = None) -> None:
        if reply.is_success:
            return
        if reply.status_code in (401, 403):
            raise SettingsError(
                f"the vLLM server at {self._root} refuses the key",
                hint="Set RAG_ADAPT_API_KEY to the key that it was started with.",
            )
        if reply.status_code == 404 and adapter is not None:
            raise AdapterError(
                f"the vLLM server does not have adapter {adapter!r}",
                hint="Ask again: it is loaded when it is needed.",
            )
        raise EngineError(
            f"the vLLM server at {self._root} did not {what}: {_said(reply)}",
            hint="Its log says more; `rag-adapt vllm` names the file.",
        )

    def _check_loading(self, reply: "httpx.Response") -> None:
        """Whether loading is refused as such, whatever the adapter."""
        if reply.status_code in (401, 403):
            self._check(reply, "load an adapter")
        if reply.status_code in (404, 405) and "error" not in _json(reply):
            raise SettingsError(
                f"the vLLM server at {self._root} cannot load adapters while it runs",
                hint="Start it with --enable-lora and VLLM_ALLOW_RUNTIME_LORA_UPDATING=True, as "
                "`rag-adapt vllm` prints.",
            )


@cache
def _trusted() -> "ssl.SSLContext":
    """Read once: the certificates take longer to load than a server takes to answer."""
    import httpx

    return httpx.create_ssl_context(trust_env=False)


def _agreed(logprobs: Mapping[str, Any], wanted: Sequence[int]) -> list[float]:
    """Figures of the wanted tokens, up to and with the first that the server chose otherwise."""
    found = []
    rows = zip(logprobs["tokens"], logprobs["top_logprobs"], wanted, strict=False)
    for chosen, candidates, token in rows:
        name = f"token_id:{token}"
        found.append(float(candidates.get(name, float("-inf"))))
        if chosen != name:
            break
    return found or [float("-inf")]


def _json(reply: "httpx.Response") -> Any:
    try:
        return reply.json()
    except ValueError:
        return {}


def _said(reply: "httpx.Response") -> str:
    """The server's own words, short."""
    document = _json(reply)
    error = document.get("error", {}) if isinstance(document, dict) else {}
    text = error.get("message") if isinstance(error, dict) else None
    return " ".join(str(text or reply.text).split())[:300] or f"HTTP {reply.status_code}"
