"""The items that one arm fixed and broke against another, with both answers.

It does not know the page; inputs, targets and answers are foreign text.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Final, Literal

from rag_adapt.schemas.records import AnswerRow

_EVEN: Final = 1e-9
"""Differences of mean scores below this are rounding."""
Turn = Literal["fixed", "broken"]


@dataclass(frozen=True, kw_only=True)
class Turned:
    """An item whose score differs between two arms."""

    item: str
    input: str
    targets: tuple[str, ...]
    turn: Turn
    """Whether `b` did better (`fixed`) or worse (`broken`) than `a`."""
    change: float
    """Mean score under `b` minus mean score under `a`."""
    a: tuple[str, ...]
    """What `a` answered, each answer once."""
    b: tuple[str, ...]


@dataclass(frozen=True, kw_only=True)
class _Said:
    score: float
    rows: tuple[AnswerRow, ...]


def turned(a: Iterable[AnswerRow], b: Iterable[AnswerRow]) -> list[Turned]:
    """Items that both arms answered and that differ, the largest change first.

    An item that was answered several times counts with its mean; failures count for nothing.
    """
    before, after = _by_item(a), _by_item(b)
    both = [name for name in before if name in after]
    found = [_turned(before[name], after[name]) for name in both]
    changed = [one for one in found if abs(one.change) > _EVEN]
    return sorted(changed, key=lambda one: (-abs(one.change), one.item))


def confused(rows: Iterable[AnswerRow]) -> list[dict[str, str | int]]:
    """Counts by target and answered label, of answers that were scored by label."""
    counts: dict[tuple[str, str], int] = {}
    for row in rows:
        if row.failure is None and row.score is not None:
            hit = row.extracted is not None and row.extracted in row.targets
            said = row.target if hit else row.extracted or "no label"
            counts[row.target, said] = counts.get((row.target, said), 0) + 1
    return [
        {"target": target, "answered": said, "answers": count}
        for (target, said), count in sorted(counts.items())
    ]


def _by_item(rows: Iterable[AnswerRow]) -> Mapping[str, _Said]:
    found: dict[str, list[AnswerRow]] = {}
    for row in rows:
        if row.failure is None and row.score is not None:
            found.setdefault(row.item, []).append(row)
    return {name: _Said(score=_mean(rows), rows=tuple(rows)) for name, rows in found.items()}


def _mean(rows: Sequence[AnswerRow]) -> float:
    return sum(row.score or 0.0 for row in rows) / len(rows)


def _turned(before: _Said, after: _Said) -> Turned:
    first, change = after.rows[0], after.score - before.score
    return Turned(
        item=first.item,
        input=first.input,
        targets=first.targets,
        turn="fixed" if change > 0 else "broken",
        change=change,
        a=_texts(before),
        b=_texts(after),
    )


def _texts(said: _Said) -> tuple[str, ...]:
    return tuple(dict.fromkeys(row.output or "" for row in said.rows))
