"""Pages of a run's answers, read from where the last page ended.

It does not know HTTP or who reads.
"""

from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO

from pydantic import ValidationError

from rag_adapt.api.run_index import RunIndex, Wanted, damaged
from rag_adapt.bench.store import ANSWERS, AnswerRow, RunFolder
from rag_adapt.core.errors import PlanError


@dataclass(frozen=True, kw_only=True)
class AnswersPage:
    """Some answers."""

    rows: tuple[AnswerRow, ...]
    next: int | None
    """Byte of the file where the next page begins; None at its end."""


def read_answers(
    run: RunFolder, index: RunIndex, wanted: Wanted, *, start: int, limit: int
) -> AnswersPage:
    """The answers from a byte of the file on, in its order; a line that is being written is none.

    Args:
        run: The run.
        index: Where its answers lie.
        wanted: Which of them are meant.
        start: Byte of the file where the page begins.
        limit: Answers on the page, at most.

    Raises:
        PlanError: no page begins at that byte.
        StorageError: a line is damaged.
    """
    path = run.path / ANSWERS
    if not path.exists():
        return AnswersPage(rows=(), next=None)
    places = index.places(wanted, start=start, limit=limit + 1)
    with path.open("rb") as file:
        _check_start(file, start)
        rows = tuple(_row(file, place, wanted) for place in places[:limit])
    return AnswersPage(rows=rows, next=places[limit] if len(places) > limit else None)


def _check_start(file: BinaryIO, start: int) -> None:
    file.seek(max(0, start - 1))
    if start and file.read(1) != b"\n":
        raise PlanError(
            f"no page of answers begins at {start}",
            hint="Take `cursor` from the field `next` of the page before.",
        )


def _row(file: BinaryIO, place: int, wanted: Wanted) -> AnswerRow:
    file.seek(place)
    try:
        row = AnswerRow.model_validate_json(file.readline())
    except ValidationError as exc:
        raise damaged(Path(file.name), exc) from exc
    return row if wanted.traces else row.model_copy(update={"trace": {}})
