"""The table of jobs in a home's `state.db`; every change is one transaction.

It does not know processes.
"""

import json
import sqlite3
import threading
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import asdict
from pathlib import Path
from typing import Any, Final
from uuid import uuid4

from rag_adapt.jobs.job import (
    Job,
    JobError,
    JobNotFoundError,
    QueueFullError,
    Report,
    State,
    checked_argv,
    log_path,
    output_path,
)
from rag_adapt.retrieval.sqlite import close_with, open_writer, transaction, translated

STATE_FILE: Final = "state.db"
LOGS: Final = "jobs"
WAITING: Final = 20
"""Jobs that wait behind the one that runs."""
KEPT: Final = 500
"""Jobs that ended and are remembered, logs included; older ones go."""
SCHEMA: Final = """
CREATE TABLE IF NOT EXISTS jobs (
  number INTEGER PRIMARY KEY AUTOINCREMENT,
  id TEXT NOT NULL UNIQUE,
  argv TEXT NOT NULL,
  state TEXT NOT NULL,
  key TEXT UNIQUE,
  created REAL NOT NULL,
  started REAL,
  ended REAL,
  exit_code INTEGER,
  progress TEXT,
  pid INTEGER,
  born REAL,
  cancelling INTEGER NOT NULL DEFAULT 0
) STRICT
"""
BY_STATE: Final = "CREATE INDEX IF NOT EXISTS jobs_state ON jobs (state, number)"
COLUMNS: Final = (
    "id, argv, state, key, created, started, ended, exit_code, progress, pid, born, cancelling"
)


class JobStore:
    """Submits, finds and changes jobs; threads and processes may do so at once.

    The file is opened when it is first needed, so that a busy one delays no start.

    Args:
        home: The folder that holds `state.db` and `jobs/`, the logs.
        waiting: Jobs that may wait behind the one that runs.
    """

    def __init__(self, home: Path, *, waiting: int = WAITING) -> None:
        self.path = home / STATE_FILE
        self.folder = home / LOGS
        self._waiting = waiting
        self._lock = threading.Lock()
        self._connection: sqlite3.Connection | None = None
        self.folder.mkdir(parents=True, exist_ok=True)

    def submit(self, argv: Sequence[str], *, key: str | None = None) -> Job:
        """A new job that waits for its turn; or the one that this key made before.

        Args:
            argv: A command and its arguments, as after `rag-adapt`. Values that a client chose
                must not look like options: put them behind `--`, or check them first.
            key: What the client calls the request; put the caller's name in front of it.

        Raises:
            JobError: no command of ours, or the key belongs to another command line.
            QueueFullError: too many wait.
        """
        line = checked_argv(argv)
        with self._changing() as connection:
            if key is not None and (known := _one(connection, "key = ?", key)) is not None:
                return _same(known, line)
            self._check_room(connection)
            connection.execute(
                "INSERT INTO jobs (id, argv, state, key, created) VALUES (?, ?, 'queued', ?, ?)",
                (job := uuid4().hex, json.dumps(line), key, time.time()),
            )
            made = _one(connection, "id = ?", job)
        assert made is not None  # inserted in this transaction
        return made

    def get(self, job: str) -> Job:
        """The job as it is now.

        Raises:
            JobNotFoundError: there is none.
        """
        with self._reading() as connection:
            found = _one(connection, "id = ?", job)
        if found is None:
            raise JobNotFoundError(
                f"no job {job[:60]!r}", hint="GET /v1/jobs lists the jobs that are remembered."
            )
        return found

    def list(self, *states: State, limit: int = KEPT) -> tuple[Job, ...]:
        """The newest jobs first; only those in these states, where any are given."""
        where = f"state IN ({', '.join('?' * len(states))})" if states else "1"
        query = f"SELECT {COLUMNS} FROM jobs WHERE {where} ORDER BY number DESC LIMIT ?"
        with self._reading() as connection:
            rows = connection.execute(query, (*states, limit)).fetchall()
        return tuple(_job(row) for row in rows)

    def claim(self) -> Job | None:
        """Make the oldest waiting job the running one; None if none waits or one runs."""
        if not self._any_waits():  # asked ten times a second: others write here meanwhile
            return None
        with self._changing() as connection:
            row = connection.execute(
                "UPDATE jobs SET state = 'running', started = ? WHERE number = "
                "(SELECT min(number) FROM jobs WHERE state = 'queued') "
                "AND NOT EXISTS (SELECT 1 FROM jobs WHERE state = 'running') "
                f"RETURNING {COLUMNS}",
                (time.time(),),
            ).fetchone()
        return _job(row) if row else None

    def begin(self, job: str, *, pid: int, born: float) -> bool:
        """Note the process of a job that was claimed; False if it must not begin any more."""
        with self._changing() as connection:
            return bool(
                connection.execute(
                    "UPDATE jobs SET pid = ?, born = ? "
                    "WHERE id = ? AND state = 'running' AND pid IS NULL AND NOT cancelling",
                    (pid, born, job),
                ).rowcount
            )

    def report(self, job: str, progress: Report) -> None:
        """Note how far a running job is."""
        with self._changing() as connection:
            connection.execute(
                "UPDATE jobs SET progress = ? WHERE id = ? AND state = 'running'",
                (json.dumps(asdict(progress)), job),
            )

    def finish(self, job: str, state: State, *, exit_code: int | None = None) -> None:
        """Note the end of a running job; the first to say so is right."""
        with self._changing() as connection:
            connection.execute(
                "UPDATE jobs SET state = ?, ended = ?, exit_code = ? "
                "WHERE id = ? AND state = 'running'",
                (state, time.time(), exit_code, job),
            )

    def ask_to_cancel(self, job: str) -> Job:
        """End a waiting job now, ask for the end of a running one, leave one that has ended.

        Raises:
            JobNotFoundError: there is none.
        """
        with self._changing() as connection:
            connection.execute(
                "UPDATE jobs SET state = 'cancelled', ended = ? WHERE id = ? AND state = 'queued'",
                (time.time(), job),
            )
            connection.execute(
                "UPDATE jobs SET cancelling = 1 WHERE id = ? AND state = 'running'", (job,)
            )
        return self.get(job)

    def prune(self, *, keep: int = KEPT) -> None:
        """Forget the oldest jobs that ended, and their logs."""
        with self._changing() as connection:
            rows = connection.execute(
                "DELETE FROM jobs WHERE state NOT IN ('queued', 'running') AND number <= "
                "(SELECT max(number) FROM jobs) - ? RETURNING id",
                (keep,),
            ).fetchall()
        for (job,) in rows:
            log_path(self.folder, job).unlink(missing_ok=True)
            output_path(self.folder, job).unlink(missing_ok=True)

    def close(self) -> None:
        """Close the file; the next use opens it again."""
        with self._lock:
            if self._connection is not None:
                self._connection.close()
                self._connection = None

    def _any_waits(self) -> bool:
        with self._reading() as connection:
            query = "SELECT 1 FROM jobs WHERE state = 'queued' LIMIT 1"
            return connection.execute(query).fetchone() is not None

    def _check_room(self, connection: sqlite3.Connection) -> None:
        (active,) = connection.execute(
            "SELECT count(*) FROM jobs WHERE state IN ('queued', 'running')"
        ).fetchone()
        if active > self._waiting:
            raise QueueFullError(
                f"one job runs and {self._waiting} wait already",
                hint="Wait until one has ended, or cancel one, and send it again.",
            )

    @contextmanager
    def _reading(self) -> Iterator[sqlite3.Connection]:
        with self._lock, translated(self.path):
            yield self._opened()

    @contextmanager
    def _changing(self) -> Iterator[sqlite3.Connection]:
        with self._reading() as connection, transaction(connection):
            yield connection

    def _opened(self) -> sqlite3.Connection:
        if self._connection is None:
            connection = open_writer(self.path)
            close_with(self, connection)
            connection.execute(SCHEMA)
            connection.execute(BY_STATE)
            self._connection = connection
        return self._connection


def _one(connection: sqlite3.Connection, where: str, value: str) -> Job | None:
    row = connection.execute(f"SELECT {COLUMNS} FROM jobs WHERE {where}", (value,)).fetchone()
    return _job(row) if row else None


def _job(row: Any) -> Job:
    progress = json.loads(row[8]) if row[8] else None
    return Job(
        id=row[0],
        argv=tuple(json.loads(row[1])),
        state=row[2],
        key=row[3],
        created=row[4],
        started=row[5],
        ended=row[6],
        exit_code=row[7],
        progress=Report(**progress) if progress else None,
        pid=row[9],
        born=row[10],
        cancelling=bool(row[11]),
    )


def _same(known: Job, argv: tuple[str, ...]) -> Job:
    if known.argv != argv:
        raise JobError(
            f"the idempotency key {(known.key or '')[:60]!r} was used for another request",
            hint="Use a new key for a new request; the same key repeats the old one.",
        )
    return known
