"""A job's process: whether it is still the one that was started, and how to end it.

It does not know jobs.
"""

import contextlib
import os
import signal
from typing import Final

import psutil

CLOCK_SLACK: Final = 2.0
"""Seconds by which two looks at one process's creation may differ: the clock may be set."""


def birth(pid: int) -> float:
    """When a process was created, in seconds since the epoch.

    Raises:
        psutil.NoSuchProcess: there is none.
    """
    return float(psutil.Process(pid).create_time())


def is_alive(pid: int, born: float) -> bool:
    """Whether this very process still runs, and not another one with its number."""
    try:
        process = psutil.Process(pid)
        same = abs(float(process.create_time()) - born) <= CLOCK_SLACK
        return same and process.status() != psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return False


def send(pid: int, born: float, number: signal.Signals) -> None:
    """Send a signal to a process and those it started; nothing if it is gone.

    It must lead a process group of its own.
    """
    if is_alive(pid, born):
        with contextlib.suppress(ProcessLookupError):  # it ended since the look
            os.killpg(pid, number)
