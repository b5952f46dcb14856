"""Calls a function of ours in a process of its own, with limits, and waits for what it gives.

It does not know what is parsed. The child begins as a fresh interpreter: it has neither this
process's memory nor its environment, where secrets may be.
"""

import asyncio
import json
import logging
import os
import signal
import sys
from asyncio.subprocess import DEVNULL, PIPE, Process
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from pathlib import Path
from typing import Any, Final

import rag_adapt
from rag_adapt.core.errors import UserError
from rag_adapt.limited.bounds import Bounds, ParserError, ParsersBusyError
from rag_adapt.limited.child import Task, as_argument

AT_ONCE: Final = 2
"""Children of this process at once: each may use a core, and memory up to its bound."""
PATIENCE: Final = 20.0
"""Seconds that a call waits for one of these places."""
LOOK_SECONDS: Final = 0.05
SMALLER: Final = "Send a smaller or simpler file, or split it."

log = logging.getLogger("rag_adapt.limited")
_running: list[object] = []


async def call(
    task: Task,
    asked: dict[str, Any],
    *,
    refused_as: type[UserError] = ParserError,
    bounds: Bounds | None = None,
    patience: float = PATIENCE,
) -> dict[str, Any]:
    """What `task` gives for `asked`, computed by a child; the event loop is free meanwhile.

    A caller that is cancelled takes its child with it.

    Args:
        task: A function at the top of a module of ours that imports little.
        asked: Plain JSON.
        refused_as: What is raised where the task raised one of our errors.
        bounds: What the child may use up.
        patience: Seconds to wait for a place.

    Raises:
        UserError: of the class `refused_as`: the task refused what it was given.
        ParserError: the child used up its limits, or ended in a way that nobody foresaw.
        ParsersBusyError: others kept all places for too long.
        OSError: the disk is full, or cannot be written.
    """
    limits = bounds or Bounds()
    async with _place(patience), _child(task, limits) as child:
        try:
            async with asyncio.timeout(limits.seconds):
                raw = await _talk(child, json.dumps(asked).encode(), limits.result_bytes)
                await child.wait()
        except TimeoutError as error:
            raise late(limits) from error
        return understood(raw, child.returncode, limits, refused_as)


@asynccontextmanager
async def _place(patience: float) -> AsyncIterator[None]:
    """One of the places; polled, since callers may live in several event loops.

    Raises:
        ParsersBusyError: none became free in time.
    """
    mine = object()
    waited = 0.0
    while len(_running) >= AT_ONCE:
        if waited >= patience:
            raise ParsersBusyError(
                f"{AT_ONCE} files are being read already", hint="Send it again in a moment."
            )
        await asyncio.sleep(LOOK_SECONDS)
        waited += LOOK_SECONDS
    _running.append(mine)
    try:
        yield
    finally:
        _running.remove(mine)


@asynccontextmanager
async def _child(task: Task, bounds: Bounds) -> AsyncIterator[Process]:
    """A child that is gone afterwards, whatever happens."""
    child = await asyncio.create_subprocess_exec(
        *command("rag_adapt.limited.child", task, bounds),
        stdin=PIPE,
        stdout=PIPE,
        stderr=DEVNULL,
        env=environment(),
        start_new_session=True,
    )
    try:
        yield child
    finally:
        with suppress(ProcessLookupError):
            os.killpg(child.pid, signal.SIGKILL)
        await child.wait()


async def _talk(child: Process, asked: bytes, most: int) -> bytes | None:
    """Hand over the question and read the answer; None where it is longer than it may be."""
    assert child.stdin is not None  # both are pipes
    assert child.stdout is not None
    with suppress(BrokenPipeError, ConnectionResetError):  # it died: its status says why
        child.stdin.write(asked)
        await child.stdin.drain()
    child.stdin.close()
    parts: list[bytes] = []
    while part := await child.stdout.read(65536):
        parts.append(part)
        most -= len(part)
        if most < 0:
            with suppress(ProcessLookupError):  # it may have ended by itself
                os.killpg(child.pid, signal.SIGKILL)
            return None
    return b"".join(parts)


def command(module: str, task: Task, bounds: Bounds) -> list[str]:
    """How a child of ours is started."""
    name = f"{task.__module__}:{task.__qualname__}"
    return [sys.executable, "-P", "-m", module, name, as_argument(bounds)]


def environment() -> dict[str, str]:
    """All that a child sees of ours."""
    return {"PYTHONPATH": str(Path(rag_adapt.__file__).parents[1]), "LC_ALL": "C.UTF-8"}


def understood(
    raw: bytes | None, status: int | None, bounds: Bounds, refused_as: type[UserError]
) -> dict[str, Any]:
    """What a child's answer says.

    Args:
        raw: The answer; None where it was longer than it may be.
        status: How the child ended; 0 also where it goes on.
        bounds: Its limits.
        refused_as: What is raised where the task refused.

    Raises:
        UserError: the task refused.
        ParserError: it used up its limits, or broke.
        OSError: the machine's fault.
    """
    if raw is None:
        size = bounds.result_bytes
        raise ParserError(f"what was read of the file has more than {size} bytes", hint=SMALLER)
    if status != 0:
        raise _died(status, bounds)
    answer: dict[str, Any] = json.loads(raw)
    if "refused" in answer:
        fact, hint = answer["refused"]
        raise refused_as(fact, hint=hint)
    if "system" in answer:
        raise OSError(answer["system"], os.strerror(answer["system"]))
    if "ended" in answer:
        raise ParserError(_reasons(bounds)[answer["ended"]], hint=SMALLER)
    result: dict[str, Any] = answer["result"]
    return result


def _died(status: int | None, bounds: Bounds) -> ParserError:
    if status in (-signal.SIGXCPU, -signal.SIGKILL):
        return ParserError(
            f"reading the file took more than {bounds.cpu_seconds} s of computing", hint=SMALLER
        )
    log.warning("a parser ended with status %s", status)
    return ParserError("whatever reads the file broke on it", hint=SMALLER)


def late(bounds: Bounds) -> ParserError:
    """It took longer than it may."""
    return ParserError(f"reading the file took more than {bounds.seconds:g} s", hint=SMALLER)


def _reasons(bounds: Bounds) -> dict[str, str]:
    return {
        "memory": f"reading the file took more than {bounds.memory_bytes >> 20} MB of memory",
        "depth": "the file is nested too deeply",
        "file": f"what comes out of the file is larger than {bounds.file_bytes} bytes",
    }
