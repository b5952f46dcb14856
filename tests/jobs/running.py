"""Runners and jobs for tests: real processes, a stand-in command, a wait with an end."""

import sys
from pathlib import Path

from rag_adapt.jobs.job import Job
from rag_adapt.jobs.runner import JobRunner
from rag_adapt.jobs.store import JobStore
from rag_adapt.jobs.watch import Patience
from tests.waiting import wait_until

ROOT = Path(__file__).parent.parent.parent
STAND_IN = (sys.executable, str(Path(__file__).parent / "stand_in.py"))


def runner_of(
    store: JobStore, home: Path, *, interrupt: float = 10.0, terminate: float = 10.0
) -> JobRunner:
    """A runner whose commands are the stand-in."""
    patience = Patience(interrupt=interrupt, terminate=terminate)
    return JobRunner(store, home=home, program=STAND_IN, patience=patience)


def ended(store: JobStore, job: Job) -> Job:
    """The job once it has ended."""
    wait_until(lambda: store.get(job.id).has_ended)
    return store.get(job.id)


def beating(store: JobStore, job: Job) -> Job:
    """The job once its command has reported progress."""
    wait_until(lambda: store.get(job.id).progress is not None)
    return store.get(job.id)
