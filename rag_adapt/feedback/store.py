"""The feedback of one home, in its `state.db`; every change is one transaction.

It does not know who may do what, nor what may be learned from.
"""

import json
import sqlite3
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Final
from uuid import uuid4

from rag_adapt.core.types import Message, content_hash
from rag_adapt.feedback.entry import (
    Decision,
    Entry,
    FeedbackError,
    FeedbackNotFoundError,
    Judged,
    State,
    TooMuchFeedbackError,
    Verdict,
)
from rag_adapt.retrieval.sqlite import close_with, open_writer, transaction, translated

STATE_FILE: Final = "state.db"
WAITING: Final = 500
"""Pieces of one giver's feedback that may wait for a decision."""
LONGEST: Final = 32_000
"""Characters of a question with the turns before it, and of an answer."""
SCHEMA: Final = """
CREATE TABLE IF NOT EXISTS feedback (
  number INTEGER PRIMARY KEY AUTOINCREMENT,
  id TEXT NOT NULL UNIQUE,
  giver TEXT NOT NULL,
  state TEXT NOT NULL,
  trace TEXT NOT NULL,
  choice INTEGER NOT NULL,
  model TEXT NOT NULL,
  route TEXT NOT NULL,
  skill TEXT,
  adapter TEXT,
  question TEXT NOT NULL,
  turns TEXT NOT NULL,
  answer TEXT NOT NULL,
  topic TEXT NOT NULL,
  vote TEXT,
  correction TEXT,
  note TEXT NOT NULL,
  given REAL NOT NULL,
  decided REAL,
  decider TEXT,
  UNIQUE (giver, trace, choice)
) STRICT
"""
BY_STATE: Final = "CREATE INDEX IF NOT EXISTS feedback_state ON feedback (state, topic, number)"
COLUMNS: Final = (
    "id, number, giver, state, trace, choice, model, route, skill, adapter, question, turns, "
    "answer, vote, correction, note, given, decided, decider"
)
INSERT: Final = """
INSERT INTO feedback (id, giver, state, trace, choice, model, route, skill, adapter, question,
  turns, answer, topic, vote, correction, note, given)
VALUES (:id, :giver, 'pending', :trace, :choice, :model, :route, :skill, :adapter, :question,
  :turns, :answer, :topic, :vote, :correction, :note, :given)
RETURNING """


@dataclass(frozen=True, kw_only=True)
class Wanted:
    """Which feedback is asked for; None is any."""

    state: State | None = None
    skill: str | None = None
    route: str | None = None
    giver: str | None = None


@dataclass(frozen=True, kw_only=True)
class Page:
    """Some feedback, newest first."""

    entries: tuple[Entry, ...]
    next: int | None
    """The number before which the next page begins; None on the last one."""


class FeedbackBook:
    """Gives, finds, decides and withdraws feedback; threads and processes may do so at once.

    The file is opened when it is first needed, so that a busy one delays no start.

    Args:
        home: The folder that holds `state.db`; made where it is missing.
        waiting: Pieces of one giver's feedback that may wait for a decision.
    """

    def __init__(self, home: Path, *, waiting: int = WAITING) -> None:
        self.path = home / STATE_FILE
        self._waiting = waiting
        self._lock = threading.Lock()
        self._connection: sqlite3.Connection | None = None

    def give(self, judged: Judged, verdict: Verdict, *, giver: str) -> Entry:
        """Keep what somebody thinks of an answer; it replaces what they said of it before.

        The replaced one's id is gone with it: nobody accepts words other than those they read.

        Raises:
            FeedbackError: what they said before is decided, or the texts are too long.
            TooMuchFeedbackError: too much of theirs waits for a decision.
        """
        _check_length(judged)
        fields = {
            **asdict(judged),
            **asdict(verdict),
            "turns": json.dumps([asdict(turn) for turn in judged.turns], ensure_ascii=False),
            "topic": _topic(judged),
            "id": uuid4().hex,
            "giver": giver,
            "given": time.time(),
        }
        with self._changing() as connection:
            self._make_room(connection, judged, giver)
            row = connection.execute(INSERT + COLUMNS, fields).fetchone()
        return _entry(row)

    def get(self, id: str) -> Entry:
        """The feedback of that id.

        Raises:
            FeedbackNotFoundError: there is none.
        """
        rows = self._read(f"SELECT {COLUMNS} FROM feedback WHERE id = ?", id)
        if not rows:
            raise _unknown(id)
        return _entry(rows[0])

    def page(self, wanted: Wanted, *, limit: int, before: int | None = None) -> Page:
        """The newest first; those before a number, where one is given."""
        given = {name: value for name, value in asdict(wanted).items() if value is not None}
        terms = [f"{name} = ?" for name in given] + (["number < ?"] if before is not None else [])
        values = [*given.values(), *([before] if before is not None else []), limit + 1]
        where = " AND ".join(terms) or "1"
        rows = self._read(
            f"SELECT {COLUMNS} FROM feedback WHERE {where} ORDER BY number DESC LIMIT ?", *values
        )
        entries = tuple(_entry(row) for row in rows[:limit])
        return Page(entries=entries, next=entries[-1].number if len(rows) > limit else None)

    def accepted(self, skill: str | None = None) -> tuple[Entry, ...]:
        """All that was accepted, of one skill where it is named; one question's side by side."""
        which, values = ("AND skill = ?", (skill,)) if skill is not None else ("", ())
        rows = self._read(
            f"SELECT {COLUMNS} FROM feedback WHERE state = 'accepted' {which} "
            "ORDER BY topic, number",
            *values,
        )
        return tuple(_entry(row) for row in rows)

    def decide(self, id: str, decision: Decision, *, decider: str) -> Entry:
        """Note a decision; a later one takes the place of an earlier one.

        Raises:
            FeedbackNotFoundError: there is none of that id.
        """
        with self._changing() as connection:
            changed = connection.execute(
                "UPDATE feedback SET state = ?, decided = ?, decider = ? "
                f"WHERE id = ? AND state <> ? RETURNING {COLUMNS}",
                (decision, time.time(), decider, id, decision),
            ).fetchone()
        return _entry(changed) if changed else self.get(id)

    def withdraw(self, id: str) -> None:
        """Delete what waits for a decision.

        Raises:
            FeedbackNotFoundError: there is none of that id.
            FeedbackError: it is decided.
        """
        with self._changing() as connection:
            gone = connection.execute(
                "DELETE FROM feedback WHERE id = ? AND state = 'pending'", (id,)
            ).rowcount
        if not gone:
            raise FeedbackError(
                f"this feedback is {self.get(id).state} already",
                hint="Ask somebody with the scope `bench` to reject it.",
            )

    def close(self) -> None:
        """Close the file; the next use opens it again."""
        with self._lock:
            if self._connection is not None:
                self._connection.close()
                self._connection = None

    def _make_room(self, connection: sqlite3.Connection, judged: Judged, giver: str) -> None:
        """Take away what the giver said of this answer before, and count the rest."""
        said = connection.execute(
            "DELETE FROM feedback WHERE giver = ? AND trace = ? AND choice = ? RETURNING state",
            (giver, judged.trace, judged.choice),
        ).fetchone()
        if said is not None and said[0] != "pending":
            raise FeedbackError(
                f"what you said of this answer is {said[0]} already",
                hint="Judge another answer, or ask somebody with the scope `bench`.",
            )
        (waiting,) = connection.execute(
            "SELECT count(*) FROM feedback WHERE giver = ? AND state = 'pending'", (giver,)
        ).fetchone()
        if waiting >= self._waiting:
            raise TooMuchFeedbackError(
                f"{waiting} pieces of your feedback wait for a decision, as many as may",
                hint="Withdraw some (DELETE /v1/feedback/ID), or wait until they are decided "
                "(`rag-adapt feedback list --state pending`).",
            )

    def _read(self, query: str, *values: object) -> list[Any]:
        with self._lock, translated(self.path):
            return self._opened().execute(query, values).fetchall()

    @contextmanager
    def _changing(self) -> Iterator[sqlite3.Connection]:
        with self._lock, translated(self.path):
            connection = self._opened()
            with transaction(connection):
                yield connection

    def _opened(self) -> sqlite3.Connection:
        if self._connection is None:
            self.path.parent.mkdir(parents=True, exist_ok=True)
            self.path.touch(mode=0o600)  # what people asked is nobody else's business
            connection = open_writer(self.path)
            close_with(self, connection)
            connection.execute(SCHEMA)
            connection.execute(BY_STATE)
            self._connection = connection
        return self._connection


def _check_length(judged: Judged) -> None:
    asked = len(judged.question) + sum(len(turn.content) for turn in judged.turns)
    for what, length in (("what was asked", asked), ("the answer", len(judged.answer))):
        if length > LONGEST:
            raise FeedbackError(
                f"{what} has {length} characters, more than the {LONGEST} that are kept",
                hint="Judge an answer to a shorter question.",
            )


def _topic(judged: Judged) -> str:
    """The same for all answers to one question."""
    turns = [[turn.role, turn.content] for turn in judged.turns]
    return content_hash([judged.skill, turns, judged.question], digits=32)


def _entry(row: Any) -> Entry:
    return Entry(
        id=row[0],
        number=row[1],
        giver=row[2],
        state=row[3],
        judged=Judged(
            trace=row[4],
            choice=row[5],
            model=row[6],
            route=row[7],
            skill=row[8],
            adapter=row[9],
            question=row[10],
            turns=tuple(Message(**turn) for turn in json.loads(row[11])),
            answer=row[12],
        ),
        verdict=Verdict(vote=row[13], correction=row[14], note=row[15]),
        given=row[16],
        decided=row[17],
        decider=row[18],
    )


def _unknown(id: str) -> FeedbackNotFoundError:
    return FeedbackNotFoundError(
        f"there is no feedback {id[:60]!r}",
        hint="It may have been withdrawn or given anew: GET /v1/feedback or `rag-adapt feedback "
        "list` shows what there is.",
    )
