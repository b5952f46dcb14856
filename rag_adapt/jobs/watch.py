"""Watches one running job until its process is gone: progress, cancellation, end.

It does not know who started it: a process that another runner left behind is watched as well.
"""

import contextlib
import os
import signal
import subprocess
import threading
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from rag_adapt.jobs.job import Job, Report, Said, log_path, outcome, read_lines
from rag_adapt.jobs.process import is_alive, send
from rag_adapt.jobs.store import JobStore

LOOK_SECONDS: Final = 0.1
"""Between two looks at the process and the table."""
TAIL_BYTES: Final = 65_536
"""The end of a log that is read for its last lines."""


@dataclass(frozen=True, kw_only=True)
class Patience:
    """Seconds that a job gets to end by itself."""

    interrupt: float = 20.0
    """After Ctrl-C, until it is terminated."""
    terminate: float = 5.0
    """After that, until it is killed."""


class Watch:
    """One running job.

    Args:
        job: As it was claimed or found.
        store: Where its progress and end are noted.
        patience: How long it may take to end when asked to.
        child: Its process, where this runner started it.
    """

    def __init__(
        self,
        job: Job,
        *,
        store: JobStore,
        patience: Patience,
        child: "subprocess.Popen[bytes] | None" = None,
    ) -> None:
        self._job, self._store, self._patience, self._child = job, store, patience, child
        self._log = log_path(store.folder, job.id)
        self._read = -1
        self._shown: Report | None = job.progress
        self._sent: dict[signal.Signals, float] = {}

    def until_end(self, stopping: threading.Event) -> None:
        """Return when the job has ended; interrupt it when `stopping` is set."""
        while self._lives():
            self._note_progress()
            self._job = self._store.get(self._job.id)
            if self._job.cancelling or stopping.is_set():
                self._press()
                time.sleep(LOOK_SECONDS)
            else:
                stopping.wait(LOOK_SECONDS)
        self._note_end()

    def _lives(self) -> bool:
        if self._child is not None:
            return self._child.poll() is None
        pid, born = self._job.pid, self._job.born
        return pid is not None and born is not None and is_alive(pid, born)

    def _note_progress(self) -> None:
        size = self._log.stat().st_size if self._log.exists() else 0
        if size == self._read:
            return
        self._read = size
        progress = tail(self._log).progress
        if progress is not None and progress != self._shown:
            self._store.report(self._job.id, progress)
            self._shown = progress

    def _press(self) -> None:
        """Ctrl-C first; terminate, then kill, what does not end in time."""
        now = time.monotonic()
        begun = self._sent.get(signal.SIGINT)
        if begun is None:
            self._send(signal.SIGINT, now)
        elif signal.SIGTERM not in self._sent:
            if now - begun >= self._patience.interrupt:
                self._send(signal.SIGTERM, now)
        elif now - self._sent[signal.SIGTERM] >= self._patience.terminate:
            self._send(signal.SIGKILL, now)

    def _send(self, number: signal.Signals, now: float) -> None:
        self._sent[number] = now
        if self._child is not None:  # not waited for yet: the number cannot be another's
            with contextlib.suppress(ProcessLookupError):
                os.killpg(self._child.pid, number)
        elif self._job.pid is not None and self._job.born is not None:
            send(self._job.pid, self._job.born, number)

    def _note_end(self) -> None:
        self._note_progress()
        code = self._child.returncode if self._child is not None else tail(self._log).exit_code
        asked = self._store.get(self._job.id).cancelling
        self._store.finish(self._job.id, outcome(exit_code=code, cancelling=asked), exit_code=code)


def tail(log: Path) -> Said:
    """What the last lines of a log say; nothing where there is none."""
    try:
        with log.open("rb") as file:
            file.seek(max(0, log.stat().st_size - TAIL_BYTES))
            return read_lines(file.read().splitlines())
    except FileNotFoundError:
        return Said()
