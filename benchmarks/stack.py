"""Runs by hand what compose.yaml runs in containers: vLLM, Chroma's server and our service.

It does not judge speed: it reads flags, variables and health checks from compose.yaml, starts each
as a process on loopback, and says whether each part is healthy and an answer comes through all.

    RAG_ADAPT_VLLM_PYTHON=.venv-vllm/bin/python python -m benchmarks.stack
"""

import argparse
import os
import re
import secrets
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any, Final

import httpx
import yaml

ROOT: Final = Path(__file__).parent.parent
START: Final = 600.0
"""Seconds that all of it may take to become healthy."""
VARIABLE: Final = re.compile(r"\$\{(\w+)(?::[-?]([^}]*))?\}")
PYTHON: Final = os.environ.get("RAG_ADAPT_VLLM_PYTHON", sys.executable)
ON_A_PROCESSOR: Final = {"--dtype": "bfloat16", "--max-model-len": "1024"}
"""Flags that differ from a GPU's."""


def services(env: Mapping[str, str]) -> Any:
    """The services of compose.yaml, variables filled in."""
    text = (ROOT / "compose.yaml").read_text()
    filled = VARIABLE.sub(lambda found: env.get(found[1], found[2] or ""), text)
    return yaml.safe_load(filled)["services"]


def free_port() -> int:
    """A port that nobody has now."""
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        return int(taken.getsockname()[1])


@contextmanager
def process(
    name: str, argv: Sequence[str], env: Mapping[str, str], logs: Path
) -> Iterator[subprocess.Popen[bytes]]:
    """One part, ended afterwards."""
    with (logs / f"{name}.log").open("wb") as log:
        child = subprocess.Popen(
            argv, env={**os.environ, **env}, stdout=log, stderr=subprocess.STDOUT, cwd=logs
        )
        try:
            yield child
        finally:
            child.terminate()
            try:
                child.wait(30)
            except subprocess.TimeoutExpired:
                child.kill()
                child.wait()


def vllm_flags(command: Sequence[str], model: Path, port: int) -> list[str]:
    """The flags of the container, with the places and sizes of this machine."""
    flags = dict(flag.partition("=")[::2] for flag in command)
    flags |= {"--model": str(model), "--host": "127.0.0.1", "--port": str(port), **ON_A_PROCESSOR}
    pairs = [f"{name}={value}" if value else name for name, value in flags.items()]
    return [PYTHON, "-m", "vllm.entrypoints.openai.api_server", *pairs, "--enforce-eager"]


def until_healthy(
    name: str, check: Sequence[str], port: int, child: subprocess.Popen[bytes]
) -> None:
    """Run a container's own health check until it passes."""
    argv = [part.replace("8000", str(port)) for part in check[1:]]
    until = time.monotonic() + START
    while subprocess.run(argv, capture_output=True, check=False, timeout=30).returncode != 0:
        if child.poll() is not None or time.monotonic() > until:
            raise SystemExit(f"{name} is not healthy; status {child.returncode}")
        time.sleep(1)
    print(f"{name:<7} healthy, by its own check: {' '.join(check[1:4])[:60]}")


def run(logs: Path) -> None:
    """Bring everything up, ask, and take it down."""
    from rag_adapt.core.protocols import Silent
    from rag_adapt.settings import load_settings
    from rag_adapt.wiring import language_files

    key, home = secrets.token_hex(16), logs / "home"
    ports = {name: free_port() for name in ("vllm", "chroma", "api")}
    base = f"http://127.0.0.1:{ports['vllm']}/v1"
    chosen = {"VLLM_API_KEY": key, "RAG_ADAPT_ENGINE": "vllm", "RAG_ADAPT_API_BASE": base}
    parts = services(chosen)
    model = language_files(load_settings(home=home), Silent()).path
    chroma = Path(sys.executable).parent / "chroma"
    ours = [sys.executable, "-m", "rag_adapt"]
    state = {"RAG_ADAPT_HOME": str(home), "RAG_ADAPT_INDEXES": str(logs / "indexes")}
    made = subprocess.run(
        [*ours, "keys", "create", "stack", "--scope", "chat", "--json"],
        env={**os.environ, **state},
        capture_output=True,
        text=True,
        check=True,
    )
    own_key = yaml.safe_load(made.stdout)["token"]
    argv = {
        "vllm": vllm_flags(parts["vllm"]["command"], model, ports["vllm"]),
        "chroma": [
            *(str(chroma), "run", "--host", "127.0.0.1", "--port", str(ports["chroma"])),
            *("--path", str(logs / "chroma")),
        ],
        "api": [*ours, "serve", "--port", str(ports["api"])],
    }
    env = {
        "vllm": {**parts["vllm"]["environment"], "VLLM_CPU_KVCACHE_SPACE": "1"},
        "chroma": parts["chroma"]["environment"],
        "api": {**parts["api"]["environment"], **state},
    }
    checks = {
        "vllm": parts["vllm"]["healthcheck"]["test"],
        "chroma": parts["chroma"]["healthcheck"]["test"],
        "api": ["CMD", "curl", "--fail", "--silent", "http://127.0.0.1:8000/healthz"],
    }
    with ExitStack() as running:
        for name in ("vllm", "chroma", "api"):
            child = running.enter_context(process(name, argv[name], env[name], logs))
            until_healthy(name, checks[name], ports[name], child)
        ask(f"http://127.0.0.1:{ports['api']}", own_key)


def ask(url: str, key: str) -> None:
    """An answer through the service and vLLM; nobody without the key."""
    body = {"model": "default", "messages": [{"role": "user", "content": "Say one word."}]}
    with httpx.Client(base_url=url, timeout=120, trust_env=False) as client:
        refused = client.post("/v1/chat/completions", json=body)
        client.headers["Authorization"] = f"Bearer {key}"
        until = time.monotonic() + 60
        while client.get("/readyz").status_code != 200 and time.monotonic() < until:
            time.sleep(1)
        answered = client.post("/v1/chat/completions", json={**body, "max_tokens": 8})
    if (refused.status_code, answered.status_code) != (401, 200):
        raise SystemExit(f"without key {refused.status_code}, with it {answered.text}")
    print("answer ", repr(answered.json()["choices"][0]["message"]["content"]))


def main() -> None:
    """Run it and print what was seen; logs stay where it fails."""
    argparse.ArgumentParser(description=__doc__.splitlines()[0]).parse_args()
    with tempfile.TemporaryDirectory(prefix="rag-adapt-stack-") as folder:
        try:
            run(Path(folder))
        except SystemExit:
            for log in sorted(Path(folder).glob("*.log")):
                print(f"--- {log.stem}\n{log.read_text(errors='replace')[-2000:]}", file=sys.stderr)
            raise
    print("the whole stack answered")


if __name__ == "__main__":
    main()
