"""What is besieged: the service as a process, and a model's server that is never done.

It does not know what is done to them.
"""

import asyncio
import itertools
import json
import os
import signal
import subprocess
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import httpx
import psutil

from benchmarks.gateway import STUB, free_port

START: Final = 120.0
"""Seconds that a service may take to start."""
TASKS: Final = "SOAK_TASKS"
"""Variable that names the file for the number of tasks."""


@dataclass(frozen=True, kw_only=True)
class Held:
    """What a process holds."""

    files: int
    tasks: int
    memory: int
    """Resident bytes."""


@dataclass(kw_only=True)
class Running:
    """A service as a process."""

    home: Path
    port: int
    arguments: tuple[str, ...]
    process: "subprocess.Popen[bytes]"

    @property
    def url(self) -> str:
        """Where it answers."""
        return f"http://127.0.0.1:{self.port}"

    def ready(self) -> None:
        """Wait until it can answer."""
        end = time.monotonic() + START
        while time.monotonic() < end and self.process.poll() is None:
            with suppress(httpx.HTTPError):
                if httpx.get(f"{self.url}/readyz", timeout=2).status_code == 200:
                    return
            time.sleep(0.1)
        log = (self.home / "serve.log").read_text(errors="replace")
        raise SystemExit(f"the service did not start:\n{log[-2000:]}")

    def held(self) -> Held:
        """Files, tasks and memory now; it is asked for its tasks by a signal."""
        told = self.home / "tasks"
        told.unlink(missing_ok=True)
        self.process.send_signal(signal.SIGUSR1)
        end = time.monotonic() + 10
        while not (told.exists() and told.read_text()) and time.monotonic() < end:
            httpx.get(f"{self.url}/healthz", timeout=5)  # the loop wakes up for it
        process = psutil.Process(self.process.pid)
        memory = process.memory_info().rss
        return Held(files=process.num_fds(), tasks=int(told.read_text()), memory=memory)

    def kill(self) -> None:
        """End it without a word, and start another one in its place."""
        self.process.kill()
        self.process.wait()
        self.process = _spawn(self.home, self.port, self.arguments)
        self.ready()


def _spawn(home: Path, port: int, arguments: tuple[str, ...]) -> "subprocess.Popen[bytes]":
    command = [
        sys.executable,
        "-m",
        "benchmarks.besieged",
        "--home",
        str(home),
        "serve",
        *arguments,
    ]
    quiet = {"RAG_ADAPT_EMBEDDER": "hashing", TASKS: str(home / "tasks")}
    with (home / "serve.log").open("ab") as log:
        return subprocess.Popen(
            [*command, "--port", str(port)], env={**os.environ, **quiet}, stdout=log, stderr=log
        )


@contextmanager
def serving(*arguments: str) -> Iterator[Running]:
    """A service in a new home, until the block ends."""
    with tempfile.TemporaryDirectory() as folder:
        home, port = Path(folder), free_port()
        process = _spawn(home, port, arguments)
        running = Running(home=home, port=port, arguments=arguments, process=process)
        try:
            running.ready()
            yield running
        finally:
            running.process.terminate()
            running.process.wait(30)


def serve(arguments: list[str]) -> int:
    """The service itself, which says how many tasks it has when it is asked by a signal."""
    from rag_adapt.cli.app import run

    def tell(*_: object) -> None:
        Path(os.environ[TASKS]).write_text(str(len(asyncio.all_tasks())))

    signal.signal(signal.SIGUSR1, tell)
    return run(arguments)


def slow_model() -> Any:
    """A model's server that says a word every 50 ms, and how many of its answers are under way."""
    from fastapi import FastAPI, Request
    from fastapi.responses import JSONResponse, Response, StreamingResponse

    app, under_way = FastAPI(), Counter[str]()

    @app.get("/under-way")
    async def count() -> int:
        return under_way.total()

    @app.post("/v1/chat/completions", response_model=None)
    async def chat(request: Request) -> Response:
        body = await request.json()

        async def words() -> Any:
            under_way["stream"] += 1
            try:
                for number in itertools.count():
                    choice = {"index": 0, "delta": {"content": f"{number} "}}
                    chunk = {"id": "c", "created": 1, "model": STUB, "choices": [choice]}
                    yield f"data: {json.dumps(chunk)}\n\n"
                    await asyncio.sleep(0.05)
            finally:
                under_way["stream"] -= 1

        if body.get("stream"):
            return StreamingResponse(words(), media_type="text/event-stream")
        under_way["whole"] += 1
        await _left(request)  # it never finds the answer
        under_way["whole"] -= 1
        return JSONResponse({})

    return app


async def _left(request: Any) -> None:
    while (await request.receive())["type"] != "http.disconnect":
        continue


@contextmanager
def modelling() -> Iterator[str]:
    """The slow model as a process of its own; hands out its address."""
    port = free_port()
    server = f"uvicorn.run(besieged.slow_model(), port={port}, log_level='error')"
    start = f"import uvicorn; from benchmarks import besieged; {server}"
    process = subprocess.Popen([sys.executable, "-c", start])
    try:
        end = time.monotonic() + START
        while time.monotonic() < end:
            with suppress(httpx.HTTPError):
                httpx.get(f"http://127.0.0.1:{port}/under-way", timeout=2)
                break
            time.sleep(0.1)
        yield f"http://127.0.0.1:{port}"
    finally:
        process.terminate()
        process.wait(30)


if __name__ == "__main__":
    sys.exit(serve(sys.argv[1:]))
