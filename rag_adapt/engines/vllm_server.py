"""Runs a vLLM server of our own: the right command for this machine, its start, its end.

It does not know adapters or answers. The server listens on loopback alone: its key guards only
some of its paths.
"""

import json
import os
import secrets
import shlex
import shutil
import socket
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Final

from rag_adapt.core.errors import EngineError, MissingPackageError, SettingsError, UserError
from rag_adapt.core.protocols import Progress
from rag_adapt.engines.processes import began, end, find, spawn
from rag_adapt.engines.vllm_looks import healthy as healthy
from rag_adapt.engines.vllm_looks import in_flight
from rag_adapt.engines.vllm_looks import release_of as release_of

if TYPE_CHECKING:
    import psutil

HOST: Final = "127.0.0.1"
SERVED: Final = "base"
"""The name under which it serves the base model."""
RECORD: Final = "server.json"
LOG: Final = "server.log"
MODULE: Final = "vllm.entrypoints.openai.api_server"
START_SECONDS: Final = 900.0
"""Loading several billion parameters and compiling takes minutes."""
DRAIN_SECONDS: Final = 60.0
STOP_SECONDS: Final = 20.0
CPU_CONTEXT: Final = 2048
GPU_CONTEXT: Final = 8192
KEPT: Final = 16
"""Adapters that the server keeps ready in main memory."""
ENVIRONMENT: Final = {
    "VLLM_ALLOW_RUNTIME_LORA_UPDATING": "True",
    "VLLM_NO_USAGE_STATS": "1",
    "HF_HUB_OFFLINE": "1",
    # By default it closes connections that rest for 5 s, sometimes under a request on its way.
    "VLLM_HTTP_TIMEOUT_KEEP_ALIVE": "600",
}
RESOLVERS: Final = (
    "VLLM_PLUGINS",
    "VLLM_LORA_RESOLVER_CACHE_DIR",
    "VLLM_LORA_RESOLVER_HF_REPO_LIST",
)
"""Variables that let a request's `model` name a folder; never handed on."""
MAX_RANKS: Final = (1, 8, 16, 32, 64, 128, 256, 320, 512)
"""What `--max-lora-rank` takes."""


@dataclass(frozen=True, kw_only=True)
class ServerPlan:
    """How a server is started."""

    python: str
    """Interpreter of the environment that vLLM is installed in."""
    model: str
    """The model's folder."""
    port: int
    gpu: bool
    slots: int
    """Adapters computed at once."""
    max_rank: int
    context: int
    """Tokens of prompt and answer together."""

    def argv(self) -> list[str]:
        """The command."""
        common = [
            *(self.python, "-m", MODULE),
            *("--model", self.model, "--served-model-name", SERVED),
            *("--host", HOST, "--port", str(self.port)),
            *("--dtype", "bfloat16", "--max-model-len", str(self.context)),
            *("--enable-lora", "--max-loras", str(self.slots)),
            *("--max-lora-rank", str(self.max_rank)),
            *("--max-cpu-loras", str(max(KEPT, self.slots))),
        ]
        return common if self.gpu else [*common, "--enforce-eager"]

    def environment(self) -> dict[str, str]:
        """What it needs beside its flags; the key is added when it is started."""
        return ENVIRONMENT if self.gpu else {**ENVIRONMENT, "VLLM_CPU_KVCACHE_SPACE": "2"}

    def printed(self) -> str:
        """As one would type it."""
        before = " ".join(f"{name}={value}" for name, value in self.environment().items())
        return f"{before} {shlex.join(self.argv())}"


def plan_for(
    model: Path,
    *,
    python: str,
    gpu: bool,
    port: int,
    slots: int,
    max_rank: int,
    context: int | None,
) -> ServerPlan:
    """The plan for this machine.

    Args:
        model: The model's folder.
        python: Interpreter of the environment that has vLLM.
        gpu: Whether a GPU is wanted where there is one.
        port: On loopback.
        slots: Adapters computed at once.
        max_rank: Largest rank of an adapter.
        context: Tokens of prompt and answer; None takes what suits model and machine.
    """
    on_gpu = gpu and shutil.which("nvidia-smi") is not None
    config = json.loads((model / "config.json").read_text(encoding="utf-8"))
    longest = int(config.get("max_position_embeddings", GPU_CONTEXT))
    return ServerPlan(
        python=python,
        model=str(model.resolve()),
        port=port,
        gpu=on_gpu,
        slots=slots,
        max_rank=max_rank,
        context=context or min(longest, GPU_CONTEXT if on_gpu else CPU_CONTEXT),
    )


@dataclass(frozen=True, kw_only=True)
class Running:
    """A server that we started."""

    pid: int
    created: float
    """When the process began: another one may get its number later."""
    api_base: str
    api_key: str
    log: str
    plan: ServerPlan
    away: str | None = None
    """Why it is down on purpose; None while it ought to run."""
    by: int = 0
    """Process that took it down, and is to start it again."""
    by_created: float = 0.0


class VllmServer:
    """The server of one home.

    Args:
        home: The home folder; the record and the log lie in `home/vllm/`.
        drain_seconds: For how long `paused` waits for answers under way.
        stop_seconds: For how long a process that was asked to end may take.
    """

    def __init__(
        self,
        home: Path,
        *,
        drain_seconds: float = DRAIN_SECONDS,
        stop_seconds: float = STOP_SECONDS,
    ) -> None:
        self.folder = home / "vllm"
        self._drain_seconds = drain_seconds
        self._stop_seconds = stop_seconds

    @property
    def log(self) -> Path:
        """What the server prints."""
        return self.folder / LOG

    def record(self) -> Running | None:
        """What was started last, whether it still runs or not; None where nothing was."""
        try:
            fields = json.loads((self.folder / RECORD).read_text(encoding="utf-8"))
            return Running(**{**fields, "plan": ServerPlan(**fields["plan"])})
        except (OSError, ValueError, TypeError, KeyError):
            return None

    def away(self) -> str | None:
        """Why the server is down on purpose; None where nobody is there to start it again."""
        record = self.record()
        if record is None or find(record.by, record.by_created) is None:
            return None
        return record.away

    def running(self) -> Running | None:
        """The server, if its process lives."""
        record = self.record()
        return record if record is not None and _process(record) is not None else None

    def start(
        self, plan: ServerPlan, progress: Progress, *, seconds: float = START_SECONDS
    ) -> Running:
        """Start it and wait until it is healthy; one that runs already is returned.

        Raises:
            SettingsError: the port is taken.
            MissingPackageError: the interpreter has no vLLM.
            EngineError: it ended, or was not healthy in time; nothing is left behind.
            KeyboardInterrupt: as if it had not been started; one that was away on purpose goes on.
        """
        if (there := self.running()) is not None:
            return there
        _require_port(plan.port)
        _require_vllm(plan.python)
        running, child = self._launched(plan)
        try:
            self._until_healthy(running, child, progress, seconds)
        except BaseException as error:
            if running.away is None or isinstance(error, Exception):
                self.stop()  # else nobody waits any more for one that others want back
            raise
        self._back()
        return _present(running)

    def relaunch(self) -> Running | None:
        """Start it again where whoever took it down is gone and did not; nobody waits for it.

        None where nothing is owed. It is tried once.

        Raises:
            SettingsError: the port is taken.
            OSError: its interpreter is gone.
        """
        record = self.record()
        if record is None or record.away is None or find(record.by, record.by_created) is not None:
            return None
        self._back()
        if _process(record) is not None:  # nobody lived to see it come back
            return None
        _require_port(record.plan.port)
        return self._launched(record.plan)[0]

    def stop(self) -> bool:
        """End it, first asking, then not; whether there was one."""
        record = self.record()
        process = None if record is None else _process(record)
        (self.folder / RECORD).unlink(missing_ok=True)
        if process is not None:
            end(process, seconds=self._stop_seconds)
        return process is not None

    @contextmanager
    def paused(self, why: str, progress: Progress) -> Iterator[None]:
        """Give the GPU to somebody else for a while: drain, stop, and start again afterwards.

        Who asks meanwhile is told `why`. Nothing happens where no server of ours runs on a GPU.
        """
        record = self.running()
        if record is None or not record.plan.gpu:
            yield
            return
        us = os.getpid()
        self._write(replace(record, away=why, by=us, by_created=began(us)))
        try:
            self._drain(record, progress)
            if (process := _process(record)) is not None:
                end(process, seconds=self._stop_seconds)
            yield
        finally:
            try:
                self.start(record.plan, progress)
            finally:
                self._back()

    def _launched(self, plan: ServerPlan) -> "tuple[Running, subprocess.Popen[bytes]]":
        """Begin to start it, and write down which process that is."""
        before = self.record()
        # Who already asks this server goes on with the key that it had.
        key = secrets.token_hex(24) if before is None else before.api_key
        self.folder.mkdir(parents=True, exist_ok=True)
        child = spawn(plan.argv(), env=_environment(plan, key), log=self.log)
        running = Running(
            pid=child.pid,
            created=began(child.pid),
            api_base=f"http://{HOST}:{plan.port}/v1",
            api_key=key,
            log=str(self.log),
            plan=plan,
            away=None if before is None else before.away,
            by=0 if before is None else before.by,
            by_created=0.0 if before is None else before.by_created,
        )
        self._write(running)
        return running, child

    def _back(self) -> None:
        """It is no longer away on purpose."""
        if (record := self.record()) is not None and record.away is not None:
            self._write(_present(record))

    def _drain(self, record: Running, progress: Progress) -> None:
        """Wait until no request is worked on, or for as long as it may take."""
        until = time.monotonic() + self._drain_seconds
        while (busy := in_flight(record.api_base)) and time.monotonic() < until:
            progress.update("vLLM: drain", 0, busy, "answers under way")
            time.sleep(0.5)

    def _until_healthy(
        self,
        running: Running,
        child: "subprocess.Popen[bytes]",
        progress: Progress,
        seconds: float,
    ) -> None:
        begun = time.monotonic()
        while not healthy(running.api_base):
            waited = time.monotonic() - begun
            if child.poll() is not None:
                raise EngineError(
                    f"vLLM ended with status {child.returncode}: {_last_words(self.log)}",
                    hint=f"Read {self.log}; `rag-adapt vllm` prints the command to run by hand.",
                )
            if waited > seconds:
                raise EngineError(
                    f"vLLM was not healthy within {seconds:g} s", hint=f"Read {self.log}."
                )
            progress.update("start vLLM", int(waited), int(seconds), "waiting until it is healthy")
            time.sleep(0.5)

    def _write(self, running: Running) -> None:
        """The record holds the key: nobody else may read it."""
        self.folder.mkdir(parents=True, exist_ok=True)
        fresh = self.folder / f"{RECORD}.new"
        fresh.unlink(missing_ok=True)
        fresh.touch(mode=0o600)
        fresh.write_text(json.dumps(asdict(running), indent=2) + "\n", encoding="utf-8")
        fresh.replace(self.folder / RECORD)


def _environment(plan: ServerPlan, key: str) -> dict[str, str]:
    inherited = {name: value for name, value in os.environ.items() if name not in RESOLVERS}
    return {**inherited, **plan.environment(), "VLLM_API_KEY": key}


def _require_port(port: int) -> None:
    try:
        socket.create_server((HOST, port)).close()
    except OSError as exc:
        raise SettingsError(
            f"port {port} is taken: {exc.strerror or exc}",
            hint="Choose another with `rag-adapt vllm --start --port PORT`, or stop what has it.",
        ) from exc


def _require_vllm(python: str) -> None:
    code = "import importlib.util as u, sys; sys.exit(u.find_spec('vllm') is None)"
    try:
        missing = subprocess.run([python, "-c", code], check=False, timeout=60).returncode != 0
    except (OSError, subprocess.TimeoutExpired) as exc:
        raise UserError(
            f"{python!r} cannot be run: {exc}",
            hint="Set RAG_ADAPT_VLLM_PYTHON to the Python of the environment that has vLLM.",
        ) from exc
    if missing:
        raise MissingPackageError(
            f"{python!r} has no vLLM",
            hint="Install it into an environment of its own (`python3 -m venv vllm-env && "
            "vllm-env/bin/pip install 'vllm>=0.33'`), then set "
            "RAG_ADAPT_VLLM_PYTHON=vllm-env/bin/python.",
        )


def _present(record: Running) -> Running:
    return replace(record, away=None, by=0, by_created=0.0)


def _process(record: Running) -> "psutil.Process | None":
    """The process of a record, if it is still that one."""
    return find(record.pid, record.created)


def _last_words(log: Path) -> str:
    """The line of a log that most likely says what went wrong."""
    lines = log.read_text(encoding="utf-8", errors="replace").strip().splitlines()
    faults = [line for line in lines if "Error" in line]
    return " ".join((faults or lines or ["it printed nothing"])[-1].split())[:300]
