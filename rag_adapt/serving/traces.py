"""Keeps the latest traces on disk, so that an answer can be looked into after a restart.

It does not know what a trace says; the oldest go first.
"""

import asyncio
import json
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final, TypeVar
from uuid import uuid4

from rag_adapt.retrieval.sqlite import open_writer, transaction, translated

KEEP: Final = 10_000
"""Traces kept by default."""
LARGEST: Final = 4 * 1024 * 1024
"""Bytes of one trace: a larger one loses its token ids, then its events, then its texts."""
BUDGET: Final = 512 * 1024 * 1024
"""Bytes of all traces together."""
AFTER: Final = 0.9
"""Share of the budget that is left when the oldest had to go, so that they go rarely."""
BUSY_MILLISECONDS: Final = 1000
"""How long a write waits for another process's transaction: an answer waits with it."""
TABLE: Final = """CREATE TABLE IF NOT EXISTS traces (
    number INTEGER PRIMARY KEY AUTOINCREMENT, id TEXT NOT NULL UNIQUE, body BLOB NOT NULL)"""
OVER: Final = """DELETE FROM traces WHERE number <= (SELECT max(number) FROM (
    SELECT number, sum(length(body)) OVER (ORDER BY number DESC) AS together FROM traces)
    WHERE together > ?)"""
"""All that, with those after it, have more bytes together."""
Result = TypeVar("Result")


@dataclass(frozen=True, kw_only=True)
class KeptTrace:
    """What is kept of one response."""

    id: str
    created: int
    """Seconds since 1970."""
    model: str
    """As the client named it."""
    answers: tuple[dict[str, Any], ...]
    """One per choice: its trace, and its text or its failure."""
    owner: str = ""
    """Who asked: the name of the caller."""


def new_id() -> str:
    """A name for a trace that nobody can guess."""
    return uuid4().hex


class TraceBook:
    """The traces of one home, in `state.db`.

    Args:
        home: The home folder; made where it is missing.
        keep: How many are kept.
        budget: Bytes that they may have together.

    Raises:
        StorageError: the file cannot be written.
        CollectionError: the file is damaged.
    """

    def __init__(self, home: Path, *, keep: int = KEEP, budget: int = BUDGET) -> None:
        home.mkdir(parents=True, exist_ok=True)
        self.path = home / "state.db"
        self._keep, self._budget = keep, budget
        self.path.touch(mode=0o600)  # what people asked is nobody else's business
        self._db = open_writer(self.path)
        with translated(self.path):
            self._db.execute("PRAGMA synchronous = NORMAL")
            self._db.execute(f"PRAGMA busy_timeout = {BUSY_MILLISECONDS}")
            self._db.execute(TABLE)
            self._bytes = self._total()
        self._thread = ThreadPoolExecutor(1, thread_name_prefix="traces")

    async def keep(self, trace: KeptTrace) -> None:
        """Keep one, and let the oldest go where there are too many.

        Raises:
            StorageError: the disk is full or the file cannot be written.
        """
        await self._run(lambda: self._write(trace))

    async def find(self, id: str) -> KeptTrace | None:
        """The trace of that id; None where there is none, or no more."""
        return await self._run(lambda: self._read(id))

    def close(self) -> None:
        """Finish writing and close the file."""
        self._thread.shutdown(wait=True)
        self._db.close()

    async def _run(self, work: Callable[[], Result]) -> Result:
        def guarded() -> Result:
            with translated(self.path):
                return work()

        return await asyncio.get_running_loop().run_in_executor(self._thread, guarded)

    def _write(self, trace: KeptTrace) -> None:
        body = _body(trace)
        with transaction(self._db):
            made = self._db.execute(
                "INSERT OR REPLACE INTO traces (id, body) VALUES (?, ?)", (trace.id, body)
            )
            oldest = (made.lastrowid or 0) - self._keep
            self._db.execute("DELETE FROM traces WHERE number <= ?", (oldest,))
        self._bytes += len(body)
        if self._bytes > self._budget:
            self._shrink()

    def _shrink(self) -> None:
        """Let the oldest go until the rest fits."""
        with transaction(self._db):
            self._db.execute(OVER, (int(self._budget * AFTER),))
        self._bytes = self._total()

    def _total(self) -> int:
        """Bytes of all traces."""
        row = self._db.execute("SELECT coalesce(sum(length(body)), 0) FROM traces").fetchone()
        return int(row[0])

    def _read(self, id: str) -> KeptTrace | None:
        row = self._db.execute("SELECT body FROM traces WHERE id = ?", (id,)).fetchone()
        if row is None:
            return None
        fields = json.loads(row[0])
        return KeptTrace(
            id=id,
            created=fields["created"],
            model=fields["model"],
            answers=tuple(fields["answers"]),
            owner=fields.get("owner", ""),
        )


def _body(trace: KeptTrace) -> bytes:
    """As it is kept, at most `LARGEST` bytes long."""
    body = b""
    for shorten in (dict, _without_tokens, _without_events, _without_text):
        fields = {
            "created": trace.created,
            "model": trace.model,
            "owner": trace.owner,
            "answers": [shorten(answer) for answer in trace.answers],
        }
        body = json.dumps(fields, ensure_ascii=False).encode()
        if len(body) <= LARGEST:
            break
    return body


def _without_tokens(answer: dict[str, Any]) -> dict[str, Any]:
    trace = answer["trace"]
    events = [
        {**event, "detail": {k: v for k, v in event["detail"].items() if k != "token_ids"}}
        for event in trace["events"]
    ]
    return {**answer, "trace": {**trace, "events": events}}


def _without_events(answer: dict[str, Any]) -> dict[str, Any]:
    return {**answer, "trace": {"events": [], "left_out": f"longer than {LARGEST} bytes"}}


def _without_text(answer: dict[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in _without_events(answer).items() if name != "text"}
