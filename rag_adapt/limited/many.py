"""The process that reads one file after another: confined once, given time again for each.

It does not know what the task does. Run as `python -m rag_adapt.limited.many TASK BOUNDS`: a
line of JSON in for each call; out comes the answer's length, eight bytes, and the answer.
"""

import json
import os
import resource
import sys
from importlib import import_module
from typing import Final

from rag_adapt.limited.bounds import Bounds
from rag_adapt.limited.child import Task, answered, confine

LENGTH: Final = 8
"""Bytes that say how long an answer is, the highest first."""
FILES: Final = 1000
"""Calls after which the process is replaced, so that what a library leaks stays bounded."""


def main() -> None:
    """Confine this process, then answer until nobody asks any more."""
    name, bounds = sys.argv[1], Bounds(**json.loads(sys.argv[2]))
    module, _, function = name.partition(":")
    task: Task = getattr(import_module(module), function)
    with os.fdopen(os.dup(1), "wb") as out:
        _silence()
        confine(bounds, lifetime=FILES * (bounds.cpu_seconds + 1))
        for line in sys.stdin.buffer:
            allow(bounds)
            answer = json.dumps(answered(task, json.loads(line))).encode()
            out.write(len(answer).to_bytes(LENGTH) + answer)
            out.flush()


def allow(bounds: Bounds) -> None:
    """Begin to count the seconds of computing anew; the limit of the whole life stays."""
    spent = resource.getrusage(resource.RUSAGE_SELF)
    _, most = resource.getrlimit(resource.RLIMIT_CPU)
    wanted = int(spent.ru_utime + spent.ru_stime) + 1 + bounds.cpu_seconds
    soft = wanted if most == resource.RLIM_INFINITY else min(wanted, most)
    resource.setrlimit(resource.RLIMIT_CPU, (soft, most))


def _silence() -> None:
    """What a library prints must not be taken for an answer."""
    nowhere = os.open(os.devnull, os.O_WRONLY)
    os.dup2(nowhere, 1)
    os.close(nowhere)


if __name__ == "__main__":
    main()
