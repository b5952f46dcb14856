"""What our side costs a vLLM server with adapters: through us beside the server alone, in one run.

It does not judge: it prints throughputs, their ratios, and the milliseconds of loads and swaps. It
needs a server that `rag-adapt vllm --start` started, and adapters in the same home.

    rag-adapt vllm --start
    python -m benchmarks.vllm_serving
"""

import argparse
import asyncio
import itertools
import random
import statistics
import time
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import httpx
import psutil

from rag_adapt.adapters.store import AdapterStore
from rag_adapt.core.protocols import Silent
from rag_adapt.core.types import Call, Message, Sampling
from rag_adapt.engines.vllm import VllmEngine
from rag_adapt.engines.vllm_server import Running, VllmServer
from rag_adapt.settings import load_settings
from rag_adapt.wiring_engines import services

WORDS: Final = "amber bay copper dune ember fern grove harbour ink juniper kelp lantern".split()
TOKENS: Final = 24
"""Of each answer."""


@dataclass(frozen=True, kw_only=True)
class Bout:
    """Some requests, all at once as far as clients allow."""

    seconds: float
    tokens: int
    first: tuple[float, ...]
    """Seconds to the first token of each request; empty where it was not looked at."""

    @property
    def rate(self) -> float:
        """Tokens per second."""
        return self.tokens / self.seconds

    @property
    def p95(self) -> float:
        """Seconds to the first token, 95th percentile."""
        return sorted(self.first)[int(0.95 * (len(self.first) - 1))]


Ask = Callable[[str | None, str], Awaitable[tuple[int, float]]]
"""Adapter and question; tokens of the answer, and seconds to its first token."""


def question(rng: random.Random) -> str:
    """A short question that no cache has seen."""
    return f"{rng.choice(WORDS)} {rng.choice(WORDS)} {rng.randrange(10**6)}: go on"


async def bout(ask: Ask, adapters: Sequence[str | None], count: int, clients: int) -> Bout:
    """Ask so many questions, so many at once."""
    rng, gate = random.Random(0), asyncio.Semaphore(clients)

    async def one(adapter: str | None, text: str) -> tuple[int, float]:
        async with gate:
            return await ask(adapter, text)

    begun = time.perf_counter()
    chosen = list(itertools.islice(itertools.cycle(adapters), count))
    done = await asyncio.gather(*(one(adapter, question(rng)) for adapter in chosen))
    return Bout(
        seconds=time.perf_counter() - begun,
        tokens=sum(row[0] for row in done),
        first=tuple(row[1] for row in done),
    )


def through(engine: VllmEngine) -> Ask:
    """Ask through our side."""

    async def ask(adapter: str | None, text: str) -> tuple[int, float]:
        call = Call(
            messages=(Message(role="user", content=text),),
            sampling=Sampling(max_tokens=TOKENS),
            adapter=adapter,
        )
        last = [delta async for delta in engine.generate(call)][-1].outcome
        assert last is not None
        return last.usage.tokens_out, last.times.first_token

    return ask


def alone(client: httpx.AsyncClient) -> Ask:
    """Ask the server itself."""

    async def ask(adapter: str | None, text: str) -> tuple[int, float]:
        begun = time.perf_counter()
        body = {
            "model": adapter or "base",
            "messages": [{"role": "user", "content": text}],
            "max_tokens": TOKENS,
            "temperature": 0,
            "stream": True,
            "stream_options": {"include_usage": True},
        }
        first, last = 0.0, ""
        async with client.stream("POST", "/v1/chat/completions", json=body) as reply:
            reply.raise_for_status()
            async for line in reply.aiter_lines():
                if line.startswith("data: {"):
                    first, last = first or time.perf_counter() - begun, line
        tokens = int(last.partition('"completion_tokens":')[2].partition(",")[0].strip(" }"))
        return tokens, first

    return ask


async def throughput(
    engine: VllmEngine, client: httpx.AsyncClient, versions: Sequence[str], count: int, rounds: int
) -> None:
    """Tokens per second: through us and alone; one adapter and several; more than slots."""
    ours, theirs = through(engine), alone(client)
    for version in versions:
        await engine.ensure_loaded(version)
    slots = engine.admission.slots
    hot, many = list(versions[:slots]), list(versions)
    kinds: dict[str, tuple[Ask, Sequence[str | None]]] = {
        "one adapter, the server alone": (theirs, hot[:1]),
        "one adapter, through us": (ours, hot[:1]),
        f"{len(hot)} adapters hot, through us": (ours, hot),
        f"{len(many)} adapters on {slots} slots, through us": (ours, many),
        f"{len(many)} adapters on {slots} slots, the server alone": (theirs, many),
    }
    found: dict[str, list[Bout]] = {name: [] for name in kinds}
    for _ in range(rounds):
        for name, (ask, adapters) in kinds.items():  # side by side: the machine is noisy
            found[name].append(await bout(ask, adapters, count, clients=16))
    reference = statistics.median(one.rate for one in found["one adapter, through us"])
    waited = statistics.median(one.p95 for one in found["one adapter, through us"])
    print(f"\n{count} answers of up to {TOKENS} tokens, 16 clients, median of {rounds} rounds")
    for name, bouts in found.items():
        rate = statistics.median(one.rate for one in bouts)
        p95 = statistics.median(one.p95 for one in bouts)
        print(
            f"{name:<48} {rate:7.1f} tokens/s ({rate / reference:.2f} of one through us), "
            f"first token p95 {p95:.2f} s ({p95 / waited:.2f})"
        )


async def residence(
    engine: VllmEngine, client: httpx.AsyncClient, versions: Sequence[str], home: Path
) -> None:
    """A resident adapter, a cold one, and what a cold one costs without proof."""
    times = []
    for _ in range(500):
        begun = time.perf_counter()
        async with engine.adapters.using(versions[0]):
            times.append(time.perf_counter() - begun)
    print(f"\nresident adapter: {1000 * sorted(times)[494]:.3f} ms (p99 of 500)")
    cold = []
    for version in (*versions, *versions):
        await engine.adapters.unload(version)
        begun = time.perf_counter()
        await engine.ensure_loaded(version)
        cold.append(time.perf_counter() - begun)
    raw = []
    store = AdapterStore(home)
    for version in versions:
        await engine.adapters.unload(version)
        ref = await asyncio.to_thread(store.get, version)
        begun = time.perf_counter()
        body = {"lora_name": version, "lora_path": ref.path}
        (await client.post("/v1/load_lora_adapter", json=body)).raise_for_status()
        raw.append(time.perf_counter() - begun)
        (
            await client.post("/v1/unload_lora_adapter", json={"lora_name": version})
        ).raise_for_status()
    print(
        f"cold adapter, hashed, loaded and proven: {statistics.median(cold):.2f} s (median of "
        f"{len(cold)}); the server's own load alone: {statistics.median(raw):.3f} s"
    )


async def cycles(engine: VllmEngine, running: Running, version: str, count: int) -> None:
    """Memory of the server over many loads and unloads, proofs left out."""
    main = psutil.Process(running.pid)
    family = [main, *main.children(recursive=True)]

    def resident() -> int:
        return sum(process.memory_info().rss for process in family)

    ref = await engine.ensure_loaded(version)
    await engine.adapters.unload(version)
    begun, sizes = time.perf_counter(), []
    for number in range(count):
        await engine.client.load(ref, ref.path)
        await engine.client.unload(version)
        if number in (count // 10, count - 1):
            sizes.append(resident())
    took = 1000 * (time.perf_counter() - begun) / count
    print(
        f"{count} cycles of load and unload: {took:.1f} ms each; memory of the server "
        f"{sizes[0] / 1e6:.0f} MB after a tenth, {sizes[1] / 1e6:.0f} MB at the end "
        f"({100 * (sizes[1] / sizes[0] - 1):+.2f} %)"
    )


async def measure(
    engine: VllmEngine, running: Running, versions: Sequence[str], args: argparse.Namespace
) -> None:
    """All of it, connections closed at the end."""
    root = running.api_base.removesuffix("/v1")
    headers = {"Authorization": f"Bearer {running.api_key}"}
    async with httpx.AsyncClient(
        base_url=root, headers=headers, timeout=600, trust_env=False
    ) as client:
        try:
            await residence(engine, client, versions, args.home)
            await cycles(engine, running, versions[0], args.cycles)
            await throughput(engine, client, versions, args.answers, args.rounds)
        finally:
            await engine.aclose()


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--home", type=Path, default=None)
    parser.add_argument("--answers", type=int, default=48)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--cycles", type=int, default=1000)
    args = parser.parse_args()
    settings = load_settings(home=args.home, engine="vllm")
    args.home = settings.home
    running = VllmServer(settings.home).running()
    if running is None:
        raise SystemExit("no server runs: rag-adapt vllm --start")
    live = services(settings, Silent())
    assert isinstance(live.adapters, VllmEngine)
    files = live.engine.fingerprint.weights
    store = AdapterStore(settings.home)
    versions = [card.version for card in store.list() if card.weights_hash == files]
    if len(versions) < 2:
        raise SystemExit("at least two adapters are needed: rag-adapt adapters train SKILL")
    print(f"vLLM {live.engine.fingerprint.extra['vllm']}, {len(versions)} adapters")
    try:
        asyncio.run(measure(live.adapters, running, versions, args))
    finally:
        live.close()


if __name__ == "__main__":
    main()
