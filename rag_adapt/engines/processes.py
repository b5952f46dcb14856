"""Starts processes that may outlive us, finds them again, and ends them with all they started.

It does not know what they run.
"""

import signal
import subprocess
from collections.abc import Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    import psutil

SAME_SECONDS: Final = 1.0
"""Two processes of one number began further apart than this."""
_CHILDREN: Final[dict[int, "subprocess.Popen[bytes]"]] = {}
"""What was started here and was not seen to end."""


def spawn(argv: Sequence[str], *, env: Mapping[str, str], log: Path) -> "subprocess.Popen[bytes]":
    """A process in a session of its own; it prints into the log, which is made anew."""
    _reap()
    with log.open("wb") as stream:
        child = subprocess.Popen(
            argv,
            env=env,
            stdout=stream,
            stderr=subprocess.STDOUT,
            stdin=subprocess.DEVNULL,
            start_new_session=True,
        )
    _CHILDREN[child.pid] = child
    return child


def began(pid: int) -> float:
    """When a process began, in seconds since 1970: another one may get its number later."""
    import psutil

    return float(psutil.Process(pid).create_time())


def find(pid: int, began: float) -> "psutil.Process | None":
    """The process of this number, if it lives and is the one that began then."""
    import psutil

    try:
        process = psutil.Process(pid)
        same = abs(process.create_time() - began) < SAME_SECONDS
        return process if same and process.status() != psutil.STATUS_ZOMBIE else None
    except psutil.Error:
        return None


def end(process: "psutil.Process", *, seconds: float) -> None:
    """End a process and those it started: first ask, then do not, each for so many seconds."""
    import psutil

    with suppress(psutil.NoSuchProcess):
        family = [process, *process.children(recursive=True)]
        process.send_signal(signal.SIGTERM)
        _, left = psutil.wait_procs(family, timeout=seconds)
        for one in left:
            with suppress(psutil.NoSuchProcess):
                one.kill()
        psutil.wait_procs(left, timeout=seconds)
    _reap()


def _reap() -> None:
    """Take note of what has ended."""
    for pid, child in list(_CHILDREN.items()):
        if child.poll() is not None:
            del _CHILDREN[pid]
