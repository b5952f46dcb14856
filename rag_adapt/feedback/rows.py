"""Turns accepted feedback into rows to train on: examples, or preferences.

It does not know files or HTTP. Nothing that stands among a skill's test items comes out, whenever
it was accepted.
"""

import json
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from itertools import groupby
from pathlib import Path
from typing import Any, Final, Literal

from rag_adapt.core.types import Message
from rag_adapt.feedback.entry import Entry, LeakError
from rag_adapt.feedback.firewall import Firewalls
from rag_adapt.feedback.store import FeedbackBook

Kind = Literal["training", "preferences"]
Row = dict[str, Any]


@dataclass(frozen=True, kw_only=True)
class Export:
    """Rows and what is missing from them."""

    rows: tuple[Row, ...]
    left_out: int
    """Accepted pieces that are test items now, or whose skill can no longer be read."""

    def lines(self) -> str:
        """JSON Lines."""
        return "".join(json.dumps(row, ensure_ascii=False) + "\n" for row in self.rows)


@dataclass(frozen=True, kw_only=True)
class _Topic:
    """What was said of all answers to one question."""

    question: str
    turns: tuple[Message, ...]
    good: tuple[str, ...]
    """Answers that somebody gave or liked and nobody disliked, corrections first."""
    pairs: tuple[tuple[str, str | None], ...]
    """An answer that somebody disliked and nobody liked, and what its judge would have said."""


def export(book: FeedbackBook, home: Path, kind: Kind, *, skill: str | None = None) -> Export:
    """What was accepted, of one skill where it is named.

    Args:
        book: Where feedback is kept.
        home: Where imported skills lie: their test items are compared once more.
        kind: `training`: `{"input", "targets"}`; questions that earlier turns stand before are no
            examples. `preferences`: `{"prompt", "chosen", "rejected"}`, each a list of messages.
        skill: Its name.
    """
    walls = Firewalls(home)
    accepted = book.accepted(skill)
    clean = [entry for entry in accepted if not _leaks(walls, entry)]
    rows = tuple(row for topic in _topics(clean) for row in KINDS[kind](topic))
    return Export(rows=rows, left_out=len(accepted) - len(clean))


def _leaks(walls: Firewalls, entry: Entry) -> bool:
    try:
        return walls.met(entry) is not None
    except LeakError:
        return True


def _topics(entries: Iterable[Entry]) -> Iterator[_Topic]:
    """One question's feedback stands side by side in the book."""
    for (_, question, turns), group in groupby(entries, key=_asked):
        said = list(group)
        bad = {e.judged.answer for e in said if _is_bad(e)}
        corrected = [e.verdict.correction for e in said if e.verdict.correction is not None]
        liked = [e.judged.answer for e in said if e.verdict.vote == "up" and not _is_bad(e)]
        wanted = dict.fromkeys((*corrected, *liked))
        yield _Topic(
            question=question,
            turns=turns,
            good=tuple(text for text in wanted if text not in bad),
            pairs=tuple(
                (e.judged.answer, e.verdict.correction)
                for e in said
                if _is_bad(e) and e.judged.answer not in wanted
            ),
        )


def _asked(entry: Entry) -> tuple[str | None, str, tuple[Message, ...]]:
    return entry.judged.skill, entry.judged.question, entry.judged.turns


def _is_bad(entry: Entry) -> bool:
    """Whether its judge would rather have read something else."""
    correction = entry.verdict.correction
    if correction is not None:
        return correction != entry.judged.answer
    return entry.verdict.vote == "down"


def _training(topic: _Topic) -> Iterator[Row]:
    if topic.good and not topic.turns:
        yield {"input": topic.question, "targets": list(topic.good)}


def _preferences(topic: _Topic) -> Iterator[Row]:
    prompt = [*({"role": t.role, "content": t.content} for t in topic.turns)]
    prompt.append({"role": "user", "content": topic.question})
    for bad, correction in dict.fromkeys(topic.pairs):
        chosen = correction if correction in topic.good else next(iter(topic.good), None)
        if chosen is not None:
            yield {"prompt": prompt, "chosen": _said(chosen), "rejected": _said(bad)}


def _said(text: str) -> list[Row]:
    return [{"role": "assistant", "content": text}]


KINDS: Final[dict[Kind, Callable[[_Topic], Iterator[Row]]]] = {
    "training": _training,
    "preferences": _preferences,
}
