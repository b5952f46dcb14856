"""The process that a parser runs in: it confines itself, then calls one function of ours.

It does not know what the function does. Run as `python -m rag_adapt.limited.child TASK BOUNDS`:
plain JSON in by standard input, plain JSON out by standard output.
"""

import errno
import json
import os
import resource
import sys
from collections.abc import Callable
from dataclasses import asdict
from importlib import import_module
from typing import Any, Final

from rag_adapt.core.errors import RagAdaptError
from rag_adapt.limited.bounds import Bounds

Task = Callable[[dict[str, Any]], dict[str, Any]]
"""Takes and gives plain JSON."""
FORBIDDEN: Final = (
    "socket.",
    "subprocess.",
    "os.exec",
    "os.fork",
    "os.posix_spawn",
    "os.spawn",
    "os.system",
    "ctypes.dlopen",
)
"""What no parser needs once it runs; names of Python's audit events, by how they begin."""
SYSTEM: Final = (errno.ENOSPC, errno.EDQUOT, errno.EROFS, errno.EACCES)
"""Faults of the machine, which are nobody's file's."""
LONGEST: Final = 2000
"""Characters of a message that go out."""


def main() -> None:
    """Confine this process, call the task, write what came of it."""
    name, bounds = sys.argv[1], Bounds(**json.loads(sys.argv[2]))
    module, _, function = name.partition(":")
    task: Task = getattr(import_module(module), function)
    asked = json.loads(sys.stdin.buffer.read())
    confine(bounds)
    answer = json.dumps(answered(task, asked)).encode()
    sys.stdout.buffer.write(answer)
    sys.stdout.buffer.flush()


def answered(task: Task, asked: dict[str, Any]) -> dict[str, Any]:
    """What a task gave, or which fault ended it; unexpected ones pass."""
    try:
        return {"result": task(asked)}
    except RagAdaptError as error:
        return {"refused": [error.fact[:LONGEST], error.hint[:LONGEST]]}
    except MemoryError:
        return {"ended": "memory"}
    except RecursionError:
        return {"ended": "depth"}
    except OSError as error:
        if error.errno == errno.EFBIG:
            return {"ended": "file"}
        if error.errno in SYSTEM:
            return {"system": error.errno}
        raise


def confine(bounds: Bounds, *, lifetime: int | None = None) -> None:
    """Take away what a parser does not need; nothing gives it back.

    Args:
        bounds: The limits.
        lifetime: Seconds of computing for all calls together, where there are several.
    """
    sizes = {
        resource.RLIMIT_CPU: lifetime or bounds.cpu_seconds,
        resource.RLIMIT_AS: bounds.memory_bytes,
        resource.RLIMIT_FSIZE: bounds.file_bytes,
        resource.RLIMIT_NOFILE: bounds.open_files,
        resource.RLIMIT_CORE: 0,
        resource.RLIMIT_NPROC: 0,
    }
    for kind, wanted in sizes.items():
        _, most = resource.getrlimit(kind)
        size = wanted if most == resource.RLIM_INFINITY else min(wanted, most)
        resource.setrlimit(kind, (size, size))
    os.nice(5)
    sys.addaudithook(_refuse)


def as_argument(bounds: Bounds) -> str:
    """Bounds as this process takes them."""
    return json.dumps(asdict(bounds))


def _refuse(event: str, arguments: tuple[Any, ...]) -> None:
    if event.startswith(FORBIDDEN):
        raise PermissionError(f"a parser asked for {event}")


if __name__ == "__main__":
    main()
