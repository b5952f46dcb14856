"""Runners and jobs for tests: real processes, a stand-in command, a wait with an end."""

import sys
import time
from collections.abc import Callable
from pathlib import Path

from rag_adapt.jobs.job import Job
from rag_adapt.jobs.runner import JobRunner
from rag_adapt.jobs.store import JobStore
from rag_adapt.jobs.watch import Patience

ROOT = Path(__file__).parent.parent.parent
STAND_IN = (sys.executable, str(Path(__file__).parent / "stand_in.py"))


def runner_of(
    store: JobStore, home: Path, *, interrupt: float = 10.0, terminate: float = 10.0
) -> JobRunner:
    """A runner whose commands are the stand-in."""
    patience = Patience(interrupt=interrupt, terminate=terminate)
    return JobRunner(store, home=home, program=STAND_IN, patience=patience)


def wait_until(true: Callable[[], bool], *, seconds: float = 30.0) -> float:
    """Wait, and say how many seconds it took."""
    begun = time.monotonic()
    while not true():
        assert time.monotonic() - begun < seconds, "waited in vain"
        time.sleep(0.02)
    return time.monotonic() - begun


def ended(store: JobStore, job: Job) -> Job:
    """The job once it has ended."""
    wait_until(lambda: store.get(job.id).has_ended)
    return store.get(job.id)


def beating(store: JobStore, job: Job) -> Job:
    """The job once its command has reported progress."""
    wait_until(lambda: store.get(job.id).progress is not None)
    return store.get(job.id)
