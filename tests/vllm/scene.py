"""What tests ask of a real server: through us, and behind our back."""

import asyncio
import json
import uuid
from collections.abc import AsyncIterator, Callable, Coroutine, Iterator
from contextlib import asynccontextmanager, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

import httpx

from rag_adapt.adapters.store import AdapterStore
from rag_adapt.core.protocols import Silent
from rag_adapt.core.types import Call, Message, Outcome, Sampling
from rag_adapt.engines.vllm import VllmEngine
from rag_adapt.engines.vllm_server import VllmServer
from rag_adapt.settings import Settings
from rag_adapt.wiring_engines import services

Result = TypeVar("Result")
SEA = "Write one sentence about the sea."


@dataclass(frozen=True, kw_only=True)
class Said:
    """What the server said behind our back."""

    text: str
    logprobs: tuple[float, ...]


@dataclass(frozen=True, kw_only=True)
class Ground:
    """A running server with our side of it."""

    settings: Settings
    versions: tuple[str, ...]
    server: VllmServer
    engine: VllmEngine
    prove: Callable[[str], Coroutine[Any, Any, Any]]

    @classmethod
    @contextmanager
    def open(
        cls, settings: Settings, versions: tuple[str, ...], server: VllmServer
    ) -> Iterator["Ground"]:
        """Our side, as wiring builds it, closed afterwards."""
        live = services(settings, Silent())
        assert isinstance(live.adapters, VllmEngine)
        try:
            yield cls(
                settings=settings,
                versions=versions,
                server=server,
                engine=live.adapters,
                prove=live.prove,
            )
        finally:
            live.close()

    @property
    def store(self) -> AdapterStore:
        """The adapters of the home."""
        return AdapterStore(self.settings.home)

    def run(self, scene: Coroutine[Any, Any, Result], *, seconds: float = 400) -> Result:
        """Run a scene in a loop of its own, connections closed at its end."""

        async def played() -> Result:
            try:
                return await asyncio.wait_for(scene, seconds)
            finally:
                await self.engine.aclose()

        return asyncio.run(played())

    async def ask(self, adapter: str | None, text: str = SEA, *, tokens: int = 12) -> Outcome:
        """One answer through us."""
        call = call_of(adapter, text, tokens=tokens)
        outcome = [delta async for delta in self.engine.generate(call)][-1].outcome
        assert outcome is not None
        return outcome

    @asynccontextmanager
    async def behind(self) -> AsyncIterator["Behind"]:
        """The server itself."""
        record = self.server.record()
        assert record is not None
        headers = {"Authorization": f"Bearer {record.api_key}"}
        root = record.api_base.removesuffix("/v1")
        async with httpx.AsyncClient(
            base_url=root, headers=headers, timeout=300, trust_env=False
        ) as client:
            yield Behind(client)


class Behind:
    """The server without us in between.

    Args:
        client: Speaks to its root, with its key.
    """

    def __init__(self, client: httpx.AsyncClient) -> None:
        self.client = client

    async def say(self, model: str, text: str = SEA, *, tokens: int = 12) -> Said:
        """An answer that is computed now, not read from the prefix cache."""
        reply = await self.client.post(
            "/v1/chat/completions",
            json={
                "model": model,
                "messages": [{"role": "user", "content": text}],
                "max_tokens": tokens,
                "temperature": 0,
                "logprobs": True,
                "cache_salt": uuid.uuid4().hex,
            },
        )
        reply.raise_for_status()
        choice = reply.json()["choices"][0]
        figures = tuple(row["logprob"] for row in choice["logprobs"]["content"])
        return Said(text=choice["message"]["content"], logprobs=figures)

    async def models(self) -> dict[str, str]:
        """Folders by name."""
        rows = (await self.client.get("/v1/models")).json()["data"]
        return {row["id"]: row["root"] for row in rows}

    async def load(self, name: str, folder: Path) -> httpx.Response:
        """Register an adapter as anybody could."""
        asked = {"lora_name": name, "lora_path": str(folder)}
        return await self.client.post("/v1/load_lora_adapter", json=asked)

    async def unload(self, name: str) -> httpx.Response:
        """Unregister it."""
        return await self.client.post("/v1/unload_lora_adapter", json={"lora_name": name})

    async def well(self) -> bool:
        """Whether it works."""
        return (await self.client.get("/health")).is_success


def call_of(adapter: str | None, text: str, *, tokens: int = 12) -> Call:
    """A greedy question."""
    return Call(
        messages=(Message(role="user", content=text),),
        sampling=Sampling(max_tokens=tokens),
        adapter=adapter,
    )


def distance(one: tuple[float, ...], other: tuple[float, ...]) -> float:
    """Mean absolute difference over the tokens that both have."""
    pairs = list(zip(one, other, strict=False))
    return sum(abs(a - b) for a, b in pairs) / len(pairs)


def renamed(folder: Path, copy: Path, change: Callable[[str], str]) -> Path:
    """A copy of an adapter whose tensors have other names."""
    from safetensors.numpy import save_file

    copy.mkdir()
    for file in folder.iterdir():
        if file.is_file() and file.suffix == ".json":
            (copy / file.name).write_bytes(file.read_bytes())
    weights = {change(k): v for k, v in _arrays(folder).items()}
    save_file(weights, str(copy / "adapter_model.safetensors"))
    return copy


def _arrays(folder: Path) -> dict[str, Any]:
    import torch
    from safetensors.torch import load_file

    loaded = load_file(str(folder / "adapter_model.safetensors"))
    return {name: tensor.to(torch.float32).numpy() for name, tensor in loaded.items()}


def with_config(folder: Path, **changes: Any) -> None:
    """Change an adapter's configuration in place."""
    file = folder / "adapter_config.json"
    file.write_text(json.dumps({**json.loads(file.read_text()), **changes}))
