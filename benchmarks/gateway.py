"""What the service adds to a request, beside the model's own server and beside LiteLLM's proxy.

It does not judge: it prints milliseconds that each gateway adds at a fixed rate, and their ratio.
The model's server is a stub that answers at once, so that nothing but gateways is measured. The
proxy gets an environment of its own, made on first use, and never runs in ours.

    python -m benchmarks.gateway
    python -m benchmarks.gateway --proxy
    python -m benchmarks.gateway --beside ../an-older-checkout
"""

import argparse
import asyncio
import json
import os
import socket
import subprocess
import sys
import tempfile
import time
import venv
from collections.abc import AsyncIterator, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

HERE: Final = Path(__file__).parent
PROXY: Final = "litellm[proxy]==1.106.2"
STUB: Final = "stub"
ANSWER: Final = "It is bright enough."
ALONE: Final = "rag-adapt alone (scripted)"
OLDER: Final = "the other checkout alone"
START: Final = 240.0
"""Seconds that a server may take to start."""


@dataclass(kw_only=True)
class Door:
    """A server to be asked, and what it took."""

    name: str
    url: str
    model: str
    process: int
    """Of the server."""
    seconds: list[float] = field(default_factory=list)
    cpu: float = 0.0
    """Seconds of computing, by the server and its children, for all that was asked."""
    failed: int = 0

    def at(self, share: float) -> float:
        """Milliseconds below which this share of the requests lies."""
        ordered = sorted(self.seconds)
        return 1000 * ordered[min(len(ordered) - 1, int(share * len(ordered)))]

    @property
    def each(self) -> float:
        """Milliseconds of computing per request: steadier than the clock on a shared machine."""
        return 1000 * self.cpu / max(1, len(self.seconds) + self.failed)


@dataclass(frozen=True, kw_only=True)
class Started:
    """A server as a process."""

    base: str
    """Where it answers."""
    process: int


def stub() -> Any:
    """An OpenAI-compatible server that knows one answer."""
    from fastapi import FastAPI, Request
    from fastapi.responses import JSONResponse, StreamingResponse

    app = FastAPI()

    @app.post("/v1/chat/completions", response_model=None)
    async def chat(request: Request) -> JSONResponse | StreamingResponse:
        body = await request.json()
        if body.get("stream"):
            return StreamingResponse(_events(body["model"]), media_type="text/event-stream")
        message = {"role": "assistant", "content": ANSWER}
        choice = {"index": 0, "message": message, "finish_reason": "stop"}
        return JSONResponse(_reply(body["model"], "chat.completion", choices=[choice]))

    return app


async def _events(model: str) -> AsyncIterator[str]:
    for delta, reason in (({"role": "assistant", "content": ANSWER}, None), ({}, "stop")):
        choice = {"index": 0, "delta": delta, "finish_reason": reason}
        chunk = _reply(model, "chat.completion.chunk", choices=[choice])
        yield f"data: {json.dumps(chunk)}\n\n"
    yield "data: [DONE]\n\n"


def _reply(model: str, kind: str, **more: object) -> dict[str, Any]:
    usage = {"prompt_tokens": 9, "completion_tokens": 5, "total_tokens": 14}
    return {"id": "c-1", "object": kind, "created": 1, "model": model, "usage": usage, **more}


def free_port() -> int:
    """A port of the loopback that nothing listens on."""
    with socket.socket() as held:
        held.bind(("127.0.0.1", 0))
        port: int = held.getsockname()[1]
        return port


@contextmanager
def running(
    command: Sequence[str],
    port: int,
    *,
    ready: str,
    folder: Path | None = None,
    more: Mapping[str, str] | None = None,
) -> Iterator[Started]:
    """A server as a process of its own, in this folder or another, until the block ends."""
    base, end = f"http://127.0.0.1:{port}", time.monotonic() + START
    with tempfile.TemporaryFile() as log:
        process = subprocess.Popen(
            command, env={**os.environ, **(more or {})}, stdout=log, stderr=log, cwd=folder
        )
        try:
            while not _answers(f"{base}{ready}"):
                if process.poll() is not None or time.monotonic() > end:
                    log.seek(0)
                    raise SystemExit(log.read()[-2000:].decode(errors="replace"))
                time.sleep(0.2)
            yield Started(base=base, process=process.pid)
        finally:
            process.terminate()
            with suppress(subprocess.TimeoutExpired):
                process.wait(30)
            process.kill()
            process.wait()


def _answers(url: str) -> bool:
    import httpx

    with suppress(httpx.HTTPError):
        return httpx.get(url, timeout=2).status_code == 200
    return False


def proxy_python() -> str:
    """The interpreter of the proxy's own environment."""
    place = HERE / ".venv-proxy"
    python = place / "bin" / "python"
    if not python.exists():
        venv.create(place, with_pip=True)
        subprocess.run([python, "-m", "pip", "install", "-q", PROXY], check=True)
    return str(python)


def doors(stack: ExitStack, home: Path, *, proxy: bool, beside: Path | None) -> list[Door]:
    """Start everything that is to be compared."""
    at = free_port()
    served = f"uvicorn.run(gateway.stub(), port={at}, log_level='error')"
    start = f"import uvicorn; from benchmarks import gateway; {served}"
    origin = stack.enter_context(running([sys.executable, "-c", start], at, ready="/openapi.json"))
    found = [Door(name="the server itself", url=origin.base, model=STUB, process=origin.process)]
    remote = ["--engine", "remote", "--model", f"hosted_vllm/{STUB}"]
    behind = [*remote, "--api-base", f"{origin.base}/v1"]
    wanted: list[tuple[str, list[str], Path | None]] = [
        ("rag-adapt in front of it", behind, None),
        (ALONE, ["--engine", "scripted"], None),
        *([(OLDER, ["--engine", "scripted"], beside)] if beside is not None else []),
    ]
    for number, (name, engine, folder) in enumerate(wanted):
        port = free_port()
        ours = [sys.executable, "-m", "rag_adapt", "--home", str(home / str(number)), "serve"]
        command = [*ours, *engine, "--port", str(port)]
        started = running(command, port, ready="/readyz", folder=folder, more=_quiet())
        found.append(_ours(name, stack.enter_context(started)))
    if proxy:
        found.append(_proxy(stack, home, origin.base))
    return found


def _ours(name: str, server: Started) -> Door:
    """Asked for the engine's own model: the first that it lists."""
    import httpx

    listed = httpx.get(f"{server.base}/v1/models").json()["data"]
    return Door(name=name, url=server.base, model=listed[0]["id"], process=server.process)


def _quiet() -> dict[str, str]:
    """Settings of a service that is asked faster than its defaults allow."""
    return {"RAG_ADAPT_EMBEDDER": "hashing", "RAG_ADAPT_SERVE_RATE": "100000"}


def _proxy(stack: ExitStack, home: Path, origin: str) -> Door:
    port, file = free_port(), home / "proxy.yaml"
    file.write_text(
        "model_list:\n"
        f"  - model_name: {STUB}\n"
        f"    litellm_params: {{model: hosted_vllm/{STUB}, api_base: {origin}/v1}}\n",
        encoding="utf-8",
    )
    python = proxy_python()
    litellm = str(Path(python).with_name("litellm"))
    command = [litellm, "--config", str(file), "--host", "127.0.0.1", "--port", str(port)]
    local = {
        "LITELLM_LOCAL_MODEL_COST_MAP": "True",
        # only this machine can reach it, and it holds no secret
        "LITELLM_DANGEROUSLY_PERMIT_WEAK_OR_UNSET_MASTER_KEY": "true",
    }
    server = stack.enter_context(running(command, port, ready="/health/liveliness", more=local))
    name = "LiteLLM's proxy in front of it"
    return Door(name=name, url=server.base, model=STUB, process=server.process)


async def ask(doors: Sequence[Door], *, rate: float, seconds: float, rounds: int) -> None:
    """Ask every door in turn, several times, at a fixed rate whatever it takes."""
    import httpx

    async with httpx.AsyncClient(timeout=30) as client:
        for door in doors:
            for _ in range(20):
                await _one(client, door, count=False)
        for _ in range(rounds):
            for door in doors:
                before = _computed(door.process)
                await _turn(client, door, rate=rate, seconds=seconds)
                door.cpu += _computed(door.process) - before


async def _turn(client: Any, door: Door, *, rate: float, seconds: float) -> None:
    begin, tasks = time.perf_counter(), []
    for number in range(int(rate * seconds)):
        await asyncio.sleep(max(0.0, begin + number / rate - time.perf_counter()))
        tasks.append(asyncio.create_task(_one(client, door, count=True)))
    await asyncio.gather(*tasks)


def _computed(process: int) -> float:
    """Seconds of computing so far, children included."""
    import psutil

    parent = psutil.Process(process)
    times = [one.cpu_times() for one in (parent, *parent.children(recursive=True))]
    return sum(one.user + one.system for one in times)


async def _one(client: Any, door: Door, *, count: bool) -> None:
    body = {"model": door.model, "messages": [{"role": "user", "content": "How bright is it?"}]}
    import httpx

    start = time.perf_counter()
    try:
        answer = await client.post(f"{door.url}/v1/chat/completions", json=body)
        answer.raise_for_status()
    except httpx.HTTPError:
        if not count:
            raise
        door.failed += 1
        return
    if count:
        door.seconds.append(time.perf_counter() - start)


def report(found: Sequence[Door]) -> None:
    """Milliseconds of every door, and what it adds to the server itself."""
    origin = found[0]
    heads = f"{'p50':>8}{'p99':>8}{'adds p50':>10}{'adds p99':>10}{'CPU':>8}"
    print(f"{'':<32}{heads}  ms, answers, failed")
    for door in found:
        p50, p99 = door.at(0.5), door.at(0.99)
        adds = (
            "" if door is origin else f"{p50 - origin.at(0.5):10.1f}{p99 - origin.at(0.99):10.1f}"
        )
        counts = f"{len(door.seconds)}, {door.failed}"
        print(f"{door.name:<32}{p50:8.1f}{p99:8.1f}{adds:>20}{door.each:8.1f}  {counts}")
    by_name = {door.name: door for door in found}
    if (older := by_name.get(OLDER)) is not None:
        alone = by_name[ALONE]
        print(
            f"alone, this checkout takes {alone.each / older.each:.2f} of the other's computing, "
            f"{alone.at(0.5) / older.at(0.5):.2f} of its p50 and "
            f"{alone.at(0.99) / older.at(0.99):.2f} of its p99"
        )
    proxy = by_name.get("LiteLLM's proxy in front of it")
    if proxy is not None:
        ours = by_name["rag-adapt in front of it"].at(0.5) - origin.at(0.5)
        print(
            f"ours adds {ours / (proxy.at(0.5) - origin.at(0.5)):.2f} of what the proxy adds (p50)"
        )


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--proxy", action="store_true", help="LiteLLM's proxy too")
    parser.add_argument("--beside", type=Path, help="another checkout of ours, asked alone too")
    parser.add_argument("--rate", type=float, default=50.0, help="requests a second")
    parser.add_argument("--seconds", type=float, default=5.0, help="of each turn")
    parser.add_argument("--rounds", type=int, default=4, help="turns of each door")
    given = parser.parse_args()
    with tempfile.TemporaryDirectory() as home, ExitStack() as stack:
        found = doors(stack, Path(home), proxy=given.proxy, beside=given.beside)
        asyncio.run(ask(found, rate=given.rate, seconds=given.seconds, rounds=given.rounds))
        report(found)


if __name__ == "__main__":
    main()
