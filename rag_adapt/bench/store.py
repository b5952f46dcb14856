"""The record of a run: a folder that is appended to, fsynced, and can be resumed.

It does not know how answers are made or what they say; a reader needs only the standard library.

    <id>/run.json        what was asked for, and the state of the run
    <id>/answers.jsonl   one line per answer, with its whole trace
    <id>/dev.jsonl       the same for dev items, asked while routes were chosen
    <id>/report.json     every figure, recomputed from answers.jsonl
"""

import json
import os
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Final, Literal

from filelock import FileLock, Timeout
from pydantic import BaseModel, ConfigDict, ValidationError

from rag_adapt.core.errors import LockedError, RunNotFoundError, StorageError

ANSWERS: Final = "answers.jsonl"
DEV: Final = "dev.jsonl"
HEADER: Final = "run.json"
REPORT: Final = "report.json"


RowKey = tuple[str, str, str, int, int | None]
"""Skill, arm, item, repeat, training seed: what no two lines share."""


class AnswerRow(BaseModel):
    """One line of `answers.jsonl`."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    skill: str
    arm: str
    item: str
    cluster: str
    repeat: int
    input: str
    target: str
    """The first accepted answer."""
    targets: tuple[str, ...]
    output: str | None
    """What the model said; null where there is a failure."""
    score: float | None
    """The primary scorer's value; null is a failure or unscored, never zero."""
    extracted: str | None = None
    scores: dict[str, float | None] = {}
    """The other scorers' values."""
    failure: str | None = None
    """The failure's code."""
    failure_message: str | None = None
    failure_hint: str | None = None
    tokens_in: int = 0
    tokens_out: int = 0
    queued: float = 0.0
    first_token: float | None = None
    """Seconds, as in `rag_adapt.core.types.Times`."""
    total: float | None = None
    alone: bool = False
    """Whether it was computed alone: only then, and uncached, are its times latencies."""
    cached: bool = False
    train_seed: int | None = None
    """Of the adapter that answered, where its arm has several."""
    fold: int | None = None
    """Which fold the item was tested in, under cross-fitting."""
    leaked: bool = False
    """Whether the leak firewall met the item's input elsewhere."""
    tags: tuple[str, ...] = ()
    """Of the item."""
    gold_found: bool | None = None
    """Whether a passage in the prompt holds a gold span; null without gold spans or passages."""
    choice: dict[str, float] | None = None
    """Bits per byte of every label under the same messages; the lowest is the model's choice."""
    trace: dict[str, Any]

    @property
    def key(self) -> "RowKey":
        return (self.skill, self.arm, self.item, self.repeat, self.train_seed)


class Header(BaseModel):
    """`run.json`."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    id: str
    state: Literal["running", "complete"]
    plan_hash: str
    created: str
    """UTC, ISO 8601."""
    command: str
    plan: dict[str, Any]
    fingerprint: dict[str, Any]


@dataclass(frozen=True, kw_only=True)
class RunFolder:
    """A run on disk."""

    path: Path

    @property
    def header(self) -> Header:
        """What was asked for.

        Raises:
            RunNotFoundError: there is no readable header.
        """
        try:
            return Header.model_validate_json((self.path / HEADER).read_text())
        except (OSError, ValidationError) as exc:
            raise RunNotFoundError(
                f"{str(self.path)!r} is not the folder of a run: {HEADER} is missing or damaged",
                hint="See `rag-adapt runs list`.",
            ) from exc

    def rows(self) -> Iterator[AnswerRow]:
        """The answers in the order in which they were kept; a torn last line is left out.

        Raises:
            StorageError: a line before the last is damaged.
        """
        path = self.path / ANSWERS
        if not path.exists():
            return
        with path.open("rb") as file:
            for number, line in enumerate(file, start=1):
                if not line.endswith(b"\n"):
                    return
                yield _parse(line, path, number)

    def report(self) -> dict[str, Any]:
        """The report as plain JSON.

        Raises:
            RunNotFoundError: the run was not finished.
        """
        try:
            report: dict[str, Any] = json.loads((self.path / REPORT).read_text())
        except OSError as exc:
            raise RunNotFoundError(
                f"run {self.path.name!r} has no report: it was not finished",
                hint="Run the same `rag-adapt bench` command again: it goes on where it stopped.",
            ) from exc
        return report


def _parse(line: bytes, path: Path, number: int) -> AnswerRow:
    try:
        return AnswerRow.model_validate_json(line)
    except ValidationError as exc:
        raise StorageError(
            f"{str(path)!r} line {number} is damaged: {exc.errors()[0]['msg']}",
            hint="Remove that line; the same `rag-adapt bench` command asks for it again.",
        ) from exc


class RunWriter:
    """The one writer of a run's folder, for as long as the block lasts.

    Raises:
        LockedError: on entering, if another process writes there.
    """

    def __init__(self, folder: RunFolder) -> None:
        self.folder = folder
        self._lock = FileLock(str(folder.path / "lock"), timeout=0)

    def __enter__(self) -> "RunWriter":
        try:
            self._lock.acquire()
        except Timeout as exc:
            raise LockedError(
                f"another process writes to run {self.folder.path.name!r}",
                hint="Wait for it, or choose another folder with --out DIR.",
            ) from exc
        self._drop_torn_line()
        self._file = (self.folder.path / ANSWERS).open("ab")
        return self

    def __exit__(self, *exc: object) -> None:
        self._file.close()
        self._lock.release()

    def append(self, row: AnswerRow) -> None:
        """Keep one answer; when this returns it is on disk."""
        self._file.write(row.model_dump_json().encode() + b"\n")
        self._file.flush()
        os.fsync(self._file.fileno())

    def keep_dev(self, rows: Sequence[AnswerRow]) -> None:
        """Keep what was asked on dev while routes were chosen; replaces what was there."""
        lines = "".join(row.model_dump_json() + "\n" for row in rows)
        write_atomically(self.folder.path / DEV, lines)

    def _drop_torn_line(self) -> None:
        path = self.folder.path / ANSWERS
        if not path.exists():
            return
        data = path.read_bytes()
        if data and not data.endswith(b"\n"):
            with path.open("r+b") as file:
                file.truncate(data.rfind(b"\n") + 1)

    def finish(self, report: dict[str, Any]) -> None:
        """Write the report, then mark the run complete."""
        write_atomically(self.folder.path / REPORT, json.dumps(report, indent=2) + "\n")
        header = self.folder.header.model_copy(update={"state": "complete"})
        write_atomically(self.folder.path / HEADER, header.model_dump_json(indent=2) + "\n")


def open_run(
    runs: Path,
    out: Path | None,
    *,
    plan_hash: str,
    command: str,
    plan: dict[str, Any],
    fingerprint: dict[str, Any],
) -> RunFolder:
    """The folder to write to: an unfinished run of the same plan, or a new one.

    Raises:
        StorageError: `out` holds something else.
    """
    if out is None:
        for folder in list_runs(runs):
            if folder.header.plan_hash == plan_hash and folder.header.state == "running":
                return folder
    elif (out / HEADER).exists():
        folder = RunFolder(path=out)
        if folder.header.plan_hash != plan_hash:
            raise StorageError(
                f"{str(out)!r} holds another run (plan {folder.header.plan_hash})",
                hint="Choose an empty folder with --out, or repeat that run's own command: "
                f"{folder.header.command}",
            )
        return folder
    created = datetime.now(UTC)
    path = out or _fresh(runs, f"{created:%Y%m%d-%H%M%S}-{plan_hash[:6]}")
    path.mkdir(parents=True, exist_ok=True)
    header = Header(
        id=path.name,
        state="running",
        plan_hash=plan_hash,
        created=created.isoformat(timespec="seconds"),
        command=command,
        plan=plan,
        fingerprint=fingerprint,
    )
    write_atomically(path / HEADER, header.model_dump_json(indent=2) + "\n")
    return RunFolder(path=path)


def _fresh(runs: Path, name: str) -> Path:
    path, number = runs / name, 2
    while path.exists():
        path, number = runs / f"{name}-{number}", number + 1
    return path


def list_runs(runs: Path) -> list[RunFolder]:
    """All runs under a folder, newest first."""
    if not runs.is_dir():
        return []
    folders = [p for p in runs.iterdir() if (p / HEADER).is_file()]
    return [RunFolder(path=p) for p in sorted(folders, key=lambda p: p.name, reverse=True)]


def find_run(runs: Path, name: str) -> RunFolder:
    """A run by its id, by the beginning of one, by its folder, or the newest by `last`.

    Raises:
        RunNotFoundError: none or several match.
    """
    known = list_runs(runs)
    found = known[:1] if name == "last" else [r for r in known if r.path.name.startswith(name)]
    exact = [r for r in found if r.path.name == name]
    if len(exact or found) == 1:
        return (exact or found)[0]
    if not found and (Path(name) / HEADER).is_file():
        return RunFolder(path=Path(name))
    raise RunNotFoundError(
        f"{len(found)} runs match {name!r}",
        hint="See `rag-adapt runs list`; name one of them, its folder, or `last`.",
    )


def write_atomically(path: Path, text: str) -> None:
    """Replace a file so that a reader, or a crash, sees the old or the new one, never half."""
    temporary = path.with_name(f".{path.name}.{os.getpid()}")
    with temporary.open("w", encoding="utf-8", newline="\n") as file:
        file.write(text)
        file.flush()
        os.fsync(file.fileno())
    temporary.replace(path)
