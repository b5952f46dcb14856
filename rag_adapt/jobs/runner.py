"""Runs the jobs of one home, one at a time, in a thread of its own.

It does not know who submits them. Output goes to files, not to pipes: a job outlives a runner
that is killed, and the next runner finds it.
"""

import logging
import sqlite3
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Final

from rag_adapt.core.errors import RagAdaptError
from rag_adapt.jobs.job import Job, log_path, output_path
from rag_adapt.jobs.store import JobStore
from rag_adapt.jobs.watch import LOOK_SECONDS, Patience, Watch

if TYPE_CHECKING:
    from filelock import BaseFileLock

LOCK_NAME: Final = "jobs.lock"
TEND_SECONDS: Final = 5.0
"""Between two looks at what jobs may have left undone."""
AFTER_FAULT: Final = 1.0
"""Seconds before a runner that failed begins anew."""

log = logging.getLogger("rag_adapt.jobs")


def nothing_to_tend() -> None:
    """Jobs leave nothing undone."""


class JobRunner:
    """Starts, watches and ends jobs.

    Only one runner of a home works; another one waits until it is gone. When it takes over, a
    job that was running is watched on if its process lives, and ends as `interrupted` if not.

    Args:
        store: The jobs.
        home: The folder of `state.db`; handed to every command.
        program: What stands before a job's arguments; our own command line by default.
        patience: How long a cancelled job may take to end.
        tend: Called between jobs, now and then and after each: puts right what one left undone
            that was killed.
    """

    def __init__(
        self,
        store: JobStore,
        *,
        home: Path,
        program: Sequence[str] | None = None,
        patience: Patience | None = None,
        tend: Callable[[], object] = nothing_to_tend,
    ) -> None:
        self._store = store
        self._home = home.absolute()
        self._program = tuple(program) if program is not None else own_program(self._home)
        self._patience = patience or Patience()
        self._tend, self._tended = tend, float("-inf")
        self._stopping = threading.Event()
        self._thread: threading.Thread | None = None

    def start(self) -> None:
        """Begin to work, in a thread."""
        self._stopping.clear()
        self._thread = threading.Thread(target=self._work, name="jobs", daemon=True)
        self._thread.start()

    def stop(self) -> None:
        """Interrupt the running job (it ends as `interrupted`), then end the thread.

        Jobs that wait go on waiting for the next runner.
        """
        self._stopping.set()
        if self._thread is not None:
            self._thread.join()
            self._thread = None

    @property
    def works(self) -> bool:
        """Whether the thread lives: part of being ready."""
        return self._thread is not None and self._thread.is_alive()

    def _work(self) -> None:
        lock = self._locked()
        if lock is None:
            return
        try:
            while not self._stopping.is_set():
                try:
                    self._take_over()
                    self._take_turns()
                except (RagAdaptError, OSError, sqlite3.Error):
                    # a full disk and a busy file pass; what runs is found again
                    log.exception("jobs: begins anew in %g s", AFTER_FAULT)
                    self._stopping.wait(AFTER_FAULT)
        finally:
            lock.release()

    def _take_over(self) -> None:
        """Watch, or give up, what another runner left running."""
        for job in self._store.list("running"):
            log.info("jobs: found %s running", job.id)
            Watch(job, store=self._store, patience=self._patience).until_end(self._stopping)

    def _take_turns(self) -> None:
        while not self._stopping.is_set():
            self._look_after()
            job = self._store.claim()
            if job is None:
                self._stopping.wait(LOOK_SECONDS)
                continue
            child = self._spawn(job)
            watch = Watch(job, store=self._store, patience=self._patience, child=child)
            watch.until_end(self._stopping)
            self._tended = float("-inf")
            self._store.prune()

    def _look_after(self) -> None:
        """Put right what a job left undone; what cannot be is told, and no job waits for it."""
        if (now := time.monotonic()) - self._tended < TEND_SECONDS:
            return
        self._tended = now
        try:
            self._tend()
        except (RagAdaptError, OSError):
            log.exception("jobs: what one left undone cannot be put right")

    def _spawn(self, job: Job) -> "subprocess.Popen[bytes]":
        """Start the process; it leads a group of its own, out of reach of the terminal's Ctrl-C."""
        launcher = (sys.executable, "-m", "rag_adapt.jobs.launch", str(self._home), job.id)
        folder = self._store.folder
        with (
            log_path(folder, job.id).open("ab") as err,
            output_path(folder, job.id).open("ab") as out,
        ):
            return subprocess.Popen(
                (*launcher, *self._program, *job.argv),
                stdin=subprocess.DEVNULL,
                stdout=out,
                stderr=err,
                start_new_session=True,
            )

    def _locked(self) -> "BaseFileLock | None":
        """The right to run jobs of this home; None if the runner is stopped before it has it."""
        from filelock import FileLock, Timeout

        lock = FileLock(self._home / LOCK_NAME, thread_local=False)
        while not self._stopping.is_set():
            try:
                lock.acquire(timeout=LOOK_SECONDS, poll_interval=LOOK_SECONDS / 2)
            except Timeout:
                continue
            return lock
        return None


def own_program(home: Path) -> tuple[str, ...]:
    """Our own command line for this home, with progress for a program."""
    return sys.executable, "-m", "rag_adapt", "--home", str(home), "--progress-json"
