"""Conversations as rows of SQLite; whoever calls holds the transaction.

It does not know what may be asked when.
"""

import json
import sqlite3
import time
from collections.abc import Iterable
from dataclasses import replace
from typing import Any, Final

from rag_adapt.serving.conversation import Conversation, Generation, Page, Turn, missing
from rag_adapt.serving.process import Process

SCHEMA: Final = (
    """CREATE TABLE IF NOT EXISTS conversations (
    number INTEGER PRIMARY KEY AUTOINCREMENT, id TEXT NOT NULL UNIQUE, owner TEXT NOT NULL,
    title TEXT NOT NULL, skill TEXT, models TEXT NOT NULL, created REAL NOT NULL,
    updated REAL NOT NULL) STRICT""",
    "CREATE INDEX IF NOT EXISTS conversations_owner ON conversations (owner, number)",
    """CREATE TABLE IF NOT EXISTS turns (
    number INTEGER PRIMARY KEY AUTOINCREMENT, id TEXT NOT NULL UNIQUE,
    conversation TEXT NOT NULL REFERENCES conversations (id) ON DELETE CASCADE,
    question TEXT NOT NULL, sampling TEXT NOT NULL, created REAL NOT NULL) STRICT""",
    "CREATE INDEX IF NOT EXISTS turns_of ON turns (conversation, number)",
    """CREATE TABLE IF NOT EXISTS generations (
    number INTEGER PRIMARY KEY AUTOINCREMENT, id TEXT NOT NULL UNIQUE,
    turn TEXT NOT NULL REFERENCES turns (id) ON DELETE CASCADE, model TEXT NOT NULL,
    state TEXT NOT NULL, text TEXT NOT NULL DEFAULT '', answer TEXT, failure TEXT,
    created REAL NOT NULL, started REAL, ended REAL,
    pid INTEGER NOT NULL, born REAL NOT NULL) STRICT""",
    "CREATE INDEX IF NOT EXISTS generations_of ON generations (turn, number)",
    "CREATE INDEX IF NOT EXISTS generations_active ON generations (pid, born) "
    "WHERE state IN ('queued', 'running')",
)
ACTIVE: Final = "state IN ('queued', 'running')"
CONVERSATION: Final = """SELECT number, id, title, skill, models, created, updated,
    (SELECT count(*) FROM turns WHERE conversation = conversations.id) FROM conversations"""
GENERATION: Final = """SELECT generations.id, turn, model, state, text, answer, failure,
    generations.created, started, ended FROM generations JOIN turns ON turns.id = turn"""
SIZE: Final = """SELECT
    (SELECT coalesce(sum(length(CAST(question AS BLOB))), 0) FROM turns WHERE conversation = ?1)
    + (SELECT coalesce(sum(length(CAST(text AS BLOB))
    + length(CAST(coalesce(answer, '') AS BLOB))), 0)
    FROM generations JOIN turns ON turns.id = turn WHERE conversation = ?1)"""
"""In bytes: SQLite counts the characters of a text up to its first NUL."""
AT_ONCE: Final = f"""SELECT count(*) FROM generations JOIN turns ON turns.id = turn
    JOIN conversations ON conversations.id = conversation WHERE {ACTIVE} AND owner = ?"""
SAVE: Final = """UPDATE generations SET state = ?, text = ?, answer = ?, failure = ?, started = ?,
    ended = ? WHERE id = ?"""


class Rows:
    """Reads and writes conversations; each is found by its owner alone.

    Args:
        connection: With foreign keys switched on; the tables are made where they are missing.
    """

    def __init__(self, connection: sqlite3.Connection) -> None:
        self._db = connection
        for statement in SCHEMA:
            connection.execute(statement)

    def add(self, owner: str, one: Conversation) -> None:
        """Keep a new conversation."""
        self._db.execute(
            "INSERT INTO conversations (id, owner, title, skill, models, created, updated) "
            "VALUES (?, ?, ?, ?, ?, ?, ?)",
            (one.id, owner, one.title, one.skill, json.dumps(one.models), one.created, one.updated),
        )

    def count(self, owner: str) -> int:
        """Conversations of a caller."""
        return self._number("SELECT count(*) FROM conversations WHERE owner = ?", owner)

    def page(self, owner: str, *, limit: int, behind: int | None) -> Page:
        """Newest first, without their turns."""
        rows = self._db.execute(
            f"{CONVERSATION} WHERE owner = ? AND number < ? ORDER BY number DESC LIMIT ?",
            (owner, 2**62 if behind is None else behind, limit + 1),
        ).fetchall()
        found = tuple(map(_conversation, rows))
        more = found[limit - 1].number if len(found) > limit else None
        return Page(conversations=found[:limit], next=more)

    def bare(self, owner: str, id: str) -> Conversation:
        """A conversation without its turns.

        Raises:
            ConversationNotFoundError: the caller has none of that id.
        """
        query = f"{CONVERSATION} WHERE owner = ? AND id = ?"
        row = self._db.execute(query, (owner, id)).fetchone()
        if row is None:
            raise missing("conversation", id)
        return _conversation(row)

    def whole(self, owner: str, id: str) -> Conversation:
        """A conversation with its turns.

        Raises:
            ConversationNotFoundError: the caller has none of that id.
        """
        bare = self.bare(owner, id)
        found: dict[str, list[Generation]] = {}
        query = f"{GENERATION} WHERE conversation = ? ORDER BY generations.number"
        for row in self._db.execute(query, (id,)):
            found.setdefault(row[1], []).append(_generation(row))
        query = "SELECT id, question, sampling, created FROM turns WHERE conversation = ?"
        turns = tuple(
            Turn(
                id=turn,
                question=question,
                sampling=json.loads(sampling),
                created=created,
                generations=tuple(found.get(turn, ())),
            )
            for turn, question, sampling, created in self._db.execute(
                f"{query} ORDER BY number", (id,)
            )
        )
        return replace(bare, turns=turns)

    def generation(self, owner: str, id: str, generation: str) -> Generation:
        """One generation as it was last saved.

        Raises:
            ConversationNotFoundError: the caller has none of that id there.
        """
        row = self._db.execute(
            f"{GENERATION} JOIN conversations ON conversations.id = conversation "
            "WHERE generations.id = ? AND conversation = ? AND owner = ?",
            (generation, id, owner),
        ).fetchone()
        if row is None:
            raise missing("answer", generation)
        return _generation(row)

    def size(self, id: str) -> int:
        """Bytes of a conversation: questions, answers, what is kept with these."""
        return self._number(SIZE, id)

    def at_once(self, owner: str) -> int:
        """Generations of a caller that are under way."""
        return self._number(AT_ONCE, owner)

    def touch(self, id: str, title: str) -> None:
        """Note that it was changed now, and how it is called."""
        changed = (title, time.time(), id)
        self._db.execute("UPDATE conversations SET title = ?, updated = ? WHERE id = ?", changed)

    def put_turn(self, id: str, turn: Turn) -> None:
        """Add a turn at the end, or change the question of one that is there."""
        self._db.execute(
            "INSERT INTO turns (id, conversation, question, sampling, created) "
            "VALUES (?, ?, ?, ?, ?) ON CONFLICT (id) DO UPDATE SET "
            "question = excluded.question, sampling = excluded.sampling, "
            "created = excluded.created",
            (turn.id, id, turn.question, json.dumps(turn.sampling), turn.created),
        )

    def add_generation(self, one: Generation, writer: Process) -> None:
        """Keep a new generation and which process will write it."""
        self._db.execute(
            "INSERT INTO generations (id, turn, model, state, created, pid, born) "
            "VALUES (?, ?, ?, ?, ?, ?, ?)",
            (one.id, one.turn, one.model, one.state, one.created, writer.pid, writer.born),
        )

    def save(self, generations: Iterable[Generation]) -> None:
        """Note how far they are; those that were deleted stay so."""
        self._db.executemany(SAVE, map(_saved, generations))

    def delete(self, id: str) -> None:
        """Forget a conversation with all that belongs to it."""
        self._db.execute("DELETE FROM conversations WHERE id = ?", (id,))

    def clear_from(self, id: str, turn: str) -> None:
        """Forget all turns after this one, and its own answers."""
        self._db.execute(
            "DELETE FROM turns WHERE conversation = ? AND number > "
            "(SELECT number FROM turns WHERE id = ?)",
            (id, turn),
        )
        self._db.execute("DELETE FROM generations WHERE turn = ?", (turn,))

    def writers(self) -> tuple[Process, ...]:
        """Processes that have generations under way, if they still live."""
        rows = self._db.execute(f"SELECT DISTINCT pid, born FROM generations WHERE {ACTIVE}")
        return tuple(Process(pid=pid, born=born) for pid, born in rows.fetchall())

    def interrupt(self, writer: Process) -> int:
        """Note that a process will not end what it began; how many generations those are."""
        return self._db.execute(
            f"UPDATE generations SET state = 'interrupted', ended = ? WHERE {ACTIVE} "
            "AND pid = ? AND born = ?",
            (time.time(), writer.pid, writer.born),
        ).rowcount

    def _number(self, query: str, *values: str) -> int:
        return int(self._db.execute(query, values).fetchone()[0])


def _conversation(row: tuple[Any, ...]) -> Conversation:
    number, id, title, skill, models, created, updated, asked = row
    return Conversation(
        number=number,
        id=id,
        title=title,
        skill=skill,
        models=tuple(json.loads(models)),
        created=created,
        updated=updated,
        asked=asked,
    )


def _generation(row: tuple[Any, ...]) -> Generation:
    id, turn, model, state, text, answer, failure, created, started, ended = row
    return Generation(
        id=id,
        turn=turn,
        model=model,
        state=state,
        text=text,
        answer=None if answer is None else json.loads(answer),
        failure=None if failure is None else json.loads(failure),
        created=created,
        started=started,
        ended=ended,
    )


def _saved(one: Generation) -> tuple[Any, ...]:
    answer, failure = (
        None if told is None else json.dumps(told, ensure_ascii=False)
        for told in (one.answer, one.failure)
    )
    return (one.state, one.text, answer, failure, one.started, one.ended, one.id)
