"""Pages of a run's answers, read from where the last page ended.

It does not know HTTP or who reads.
"""

from dataclasses import dataclass
from pathlib import Path

from pydantic import ValidationError

from rag_adapt.bench.store import ANSWERS, AnswerRow, RunFolder
from rag_adapt.core.errors import PlanError, StorageError


@dataclass(frozen=True, kw_only=True)
class Wanted:
    """Which answers a page holds."""

    skill: str | None = None
    arm: str | None = None
    traces: bool = False
    """Whether answers carry their whole trace, or an empty one."""

    def matches(self, row: AnswerRow) -> bool:
        """Whether this answer is one of them."""
        return self.skill in (None, row.skill) and self.arm in (None, row.arm)


@dataclass(frozen=True, kw_only=True)
class AnswersPage:
    """Some answers."""

    rows: tuple[AnswerRow, ...]
    next: int | None
    """Byte of the file where the next page begins; None at its end."""


def read_answers(run: RunFolder, wanted: Wanted, *, start: int, limit: int) -> AnswersPage:
    """The answers from a byte of the file on, in its order; a line that is being written is none.

    Raises:
        PlanError: no page begins at that byte.
        StorageError: a line is damaged.
    """
    path = run.path / ANSWERS
    rows: list[AnswerRow] = []
    if not path.exists():
        return AnswersPage(rows=(), next=None)
    with path.open("rb") as file:
        _check_start(file.seek(max(0, start - 1)), start, file.read(min(1, start)))
        place = start
        for line in file:
            if not line.endswith(b"\n"):
                break
            row = _parsed(line, path)
            if wanted.matches(row):
                if len(rows) == limit:
                    return AnswersPage(rows=tuple(rows), next=place)
                rows.append(row if wanted.traces else row.model_copy(update={"trace": {}}))
            place += len(line)
    return AnswersPage(rows=tuple(rows), next=None)


def _check_start(before: int, start: int, byte: bytes) -> None:
    if before != start and byte != b"\n":
        raise PlanError(
            f"no page of answers begins at {start}",
            hint="Take `cursor` from the field `next` of the page before.",
        )


def _parsed(line: bytes, path: Path) -> AnswerRow:
    try:
        return AnswerRow.model_validate_json(line)
    except ValidationError as exc:
        raise StorageError(
            f"an answer of run {path.parent.name!r} is damaged: {exc.errors()[0]['msg']}",
            hint="Remove that line of its answers.jsonl; the same request asks for it again.",
        ) from exc
