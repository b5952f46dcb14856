"""Which process began something, so that another one can tell whether it will ever end.

It does not know what was begun.
"""

import os
from dataclasses import dataclass
from typing import Final

import psutil

CLOCK_SLACK: Final = 2.0
"""Seconds by which two looks at one process's creation may differ: the clock may be set."""


@dataclass(frozen=True, kw_only=True)
class Process:
    """One process of this machine."""

    pid: int
    born: float
    """When it was created, in seconds since 1970: numbers of processes are used again."""

    @classmethod
    def this(cls) -> "Process":
        """The process that asks."""
        pid = os.getpid()
        return cls(pid=pid, born=float(psutil.Process(pid).create_time()))

    @property
    def lives(self) -> bool:
        """Whether this very process still runs."""
        try:
            process = psutil.Process(self.pid)
            same = abs(float(process.create_time()) - self.born) <= CLOCK_SLACK
            return same and process.status() != psutil.STATUS_ZOMBIE
        except psutil.NoSuchProcess:
            return False
