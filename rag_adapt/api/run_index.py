"""Where each answer of a run lies in its file, and how many there are by skill and arm.

It does not know what any answer says, nor HTTP. A file is read once and then only as far as it
grew; what is kept is one number per answer.
"""

import os
import threading
from array import array
from bisect import bisect_left
from collections import OrderedDict
from collections.abc import Iterator
from dataclasses import dataclass, field
from heapq import merge
from pathlib import Path
from typing import Final

from pydantic import BaseModel, ConfigDict, ValidationError

from rag_adapt.bench.store import ANSWERS
from rag_adapt.core.errors import StorageError

KEPT: Final = 16
"""Runs whose places are remembered: those that were asked for last."""
ArmOf = tuple[str, str]
"""Skill, arm."""


class _Line(BaseModel):
    """What of a line is looked at."""

    model_config = ConfigDict(extra="ignore")

    skill: str
    arm: str
    failure: str | None = None
    alone: bool = False
    cached: bool = False


@dataclass(frozen=True, kw_only=True)
class Wanted:
    """Which answers are meant."""

    skill: str | None = None
    arm: str | None = None
    alone: bool = False
    """Only those that were computed alone and are not from the cache: their times are latencies."""
    traces: bool = False
    """Whether answers carry their whole trace, or an empty one."""


@dataclass(frozen=True, kw_only=True)
class Count:
    """How many answers of one arm were kept."""

    answered: int
    failed: int


@dataclass
class _Arm:
    failed: int = 0
    places: "array[int]" = field(default_factory=lambda: array("Q"))
    """Bytes where its lines begin."""
    alone: "array[int]" = field(default_factory=lambda: array("Q"))


class RunIndex:
    """One run's places; threads may share it.

    Args:
        folder: Of the run.
    """

    def __init__(self, folder: Path) -> None:
        self._path = folder / ANSWERS
        self._lock = threading.Lock()
        self._forget()

    def counts(self) -> dict[ArmOf, Count]:
        """By skill and arm, as the file is now.

        Raises:
            StorageError: a line is damaged.
        """
        with self._lock:
            self._read_on()
            return {
                name: Count(answered=len(arm.places) - arm.failed, failed=arm.failed)
                for name, arm in self._arms.items()
            }

    def places(self, wanted: Wanted, *, start: int, limit: int) -> list[int]:
        """Where the first lines begin that are wanted, from a byte on, in the file's order.

        Raises:
            StorageError: a line is damaged.
        """
        with self._lock:
            self._read_on()
            found = merge(*(_behind(one, start) for one in self._wanted(wanted)))
            return [place for place, _ in zip(found, range(limit), strict=False)]

    def _wanted(self, wanted: Wanted) -> "Iterator[array[int]]":
        for (skill, arm), kept in self._arms.items():
            if wanted.skill in (None, skill) and wanted.arm in (None, arm):
                yield kept.alone if wanted.alone else kept.places

    def _forget(self) -> None:
        self._arms: dict[ArmOf, _Arm] = {}
        self._read, self._file = 0, 0

    def _read_on(self) -> None:
        """Take in what was added; a line that is still being written is left for the next time."""
        try:
            file = self._path.open("rb")
        except FileNotFoundError:
            self._forget()
            return
        with file:
            state = os.fstat(file.fileno())
            if state.st_ino != self._file or state.st_size < self._read:
                self._forget()  # another file, or a shorter one
            self._file = state.st_ino
            file.seek(self._read)
            for line in file:
                if not line.endswith(b"\n"):
                    return
                self._take(line)

    def _take(self, line: bytes) -> None:
        try:
            found = _Line.model_validate_json(line)
        except ValidationError as exc:
            raise damaged(self._path, exc) from exc
        arm = self._arms.setdefault((found.skill, found.arm), _Arm())
        arm.places.append(self._read)
        arm.failed += found.failure is not None
        if found.alone and not found.cached:
            arm.alone.append(self._read)
        self._read += len(line)


class Shelf:
    """The places of the runs that were asked for last; threads may share it."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._kept: OrderedDict[Path, RunIndex] = OrderedDict()

    def of(self, folder: Path) -> RunIndex:
        """The places of one run."""
        with self._lock:
            found = self._kept.setdefault(folder, RunIndex(folder))
            self._kept.move_to_end(folder)
            if len(self._kept) > KEPT:
                self._kept.popitem(last=False)
            return found


def damaged(path: Path, error: ValidationError) -> StorageError:
    """What is said of a line that is none.

    Args:
        path: Of the file.
        error: What is wrong with the line.
    """
    return StorageError(
        f"an answer of run {path.parent.name!r} is damaged: {error.errors()[0]['msg']}",
        hint="Remove that line of its answers.jsonl; the same request asks for it again.",
    )


def _behind(places: "array[int]", start: int) -> "array[int]":
    return places[bisect_left(places, start) :]
