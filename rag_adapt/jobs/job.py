"""What a job is: a command of ours, its state, how far it is, how it ended.

It does not know where jobs are kept or what runs them.
"""

import json
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final, Literal, get_args

from rag_adapt.core.errors import UserError

State = Literal["queued", "running", "done", "failed", "cancelled", "interrupted"]
"""`interrupted`: its process is gone and did not say how it ended; what it finished is kept."""
STATES: Final[tuple[State, ...]] = get_args(State)
ENDED: Final[frozenset[State]] = frozenset({"done", "failed", "cancelled", "interrupted"})
COMMANDS: Final = frozenset({"adapters", "bench", "index", "models", "runs", "skills"})
"""The commands that may be a job: none of them serves, waits for input or makes keys."""
INTERRUPTED_CODE: Final = 130
"""What our commands exit with after Ctrl-C."""


class JobNotFoundError(UserError):
    """There is no such job."""

    code = "job-not-found"
    status = 404


class JobError(UserError):
    """What was asked for is no job, or contradicts an earlier request."""

    code = "job"
    status = 409


class QueueFullError(UserError):
    """As many jobs wait as may."""

    code = "queue-full"
    status = 429
    retryable = True


@dataclass(frozen=True, kw_only=True)
class Report:
    """How far a job is: the last line it wrote with `--progress-json`."""

    stage: str
    done: int
    total: int
    """Units of the stage, not of the job."""
    note: str = ""


@dataclass(frozen=True, kw_only=True)
class Job:
    """One row of the table."""

    id: str
    """32 hexadecimal digits, in the order of submission."""
    argv: tuple[str, ...]
    """A command and its arguments, as after `rag-adapt`."""
    state: State
    key: str | None = None
    """`Idempotency-Key`: one key, one job."""
    created: float
    """Seconds since the epoch, as all times here."""
    started: float | None = None
    ended: float | None = None
    exit_code: int | None = None
    """None while it runs, and where nobody saw it end."""
    progress: Report | None = None
    pid: int | None = None
    born: float | None = None
    """When that process was created: process numbers are used again."""
    cancelling: bool = False
    """Whether somebody asked for its end."""

    @property
    def has_ended(self) -> bool:
        """Whether nothing will change any more."""
        return self.state in ENDED


@dataclass(frozen=True, kw_only=True)
class Said:
    """What a log says."""

    progress: Report | None = None
    exit_code: int | None = None


def checked_argv(argv: Iterable[str]) -> tuple[str, ...]:
    """A command line, if a job may run it.

    Raises:
        JobError: it begins with something else than one of `COMMANDS`, or holds a NUL.
    """
    line = tuple(argv)
    if not line or line[0] not in COMMANDS or any("\0" in part for part in line):
        raise JobError(
            f"{' '.join(line)[:200]!r} cannot be a job",
            hint=f"Jobs are the commands {', '.join(sorted(COMMANDS))}; see `rag-adapt --help`.",
        )
    return line


def read_lines(lines: Iterable[bytes]) -> Said:
    """The last progress and the exit code among lines of a log; other lines are passed over."""
    progress, exit_code = None, None
    for line in lines:
        value = _object(line)
        if isinstance(code := value.get("exit"), int):
            exit_code = code
        elif "stage" in value:
            progress = _report(value) or progress
    return Said(progress=progress, exit_code=exit_code)


def outcome(*, exit_code: int | None, cancelling: bool) -> State:
    """The state of a job whose process is gone; None is a process that left no exit code."""
    if exit_code == 0:
        return "done"
    if cancelling:
        return "cancelled"
    if exit_code is None or exit_code < 0 or exit_code == INTERRUPTED_CODE:
        return "interrupted"
    return "failed"


def log_path(folder: Path, job: str) -> Path:
    """Where a job's standard error goes: progress and messages."""
    return folder / f"{job}.log"


def output_path(folder: Path, job: str) -> Path:
    """Where a job's standard output goes: its result."""
    return folder / f"{job}.out"


def _object(line: bytes) -> dict[str, Any]:
    if not line.startswith(b"{"):
        return {}
    try:
        value = json.loads(line)
    except ValueError:  # a line of something else, or one that is still being written
        return {}
    return value if isinstance(value, dict) else {}


def _report(value: dict[str, Any]) -> Report | None:
    done, total = value.get("done"), value.get("total")
    if not isinstance(done, int) or not isinstance(total, int):
        return None
    note = str(value.get("note", ""))
    return Report(stage=str(value["stage"])[:200], done=done, total=total, note=note[:500])
