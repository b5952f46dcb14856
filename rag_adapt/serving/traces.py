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
"""Bytes of one trace; token ids are left out of a larger one."""
TABLE: Final = """CREATE TABLE IF NOT EXISTS traces (
    number INTEGER PRIMARY KEY AUTOINCREMENT, id TEXT NOT NULL UNIQUE, body BLOB NOT NULL)"""
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


def new_id() -> str:
    """A name for a trace that nobody can guess."""
    return uuid4().hex


class TraceBook:
    """The traces of one home, in `state.db`.

    Args:
        home: The home folder; made where it is missing.
        keep: How many are kept.

    Raises:
        StorageError: the file cannot be written.
        CollectionError: the file is damaged.
    """

    def __init__(self, home: Path, *, keep: int = KEEP) -> None:
        home.mkdir(parents=True, exist_ok=True)
        self.path = home / "state.db"
        self._keep = keep
        self.path.touch(mode=0o600)  # what people asked is nobody else's business
        self._db = open_writer(self.path)
        with translated(self.path):
            self._db.execute("PRAGMA synchronous = NORMAL")
            self._db.execute(TABLE)
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
        fields = {"created": trace.created, "model": trace.model, "answers": trace.answers}
        body = json.dumps(fields, ensure_ascii=False).encode()
        if len(body) > LARGEST:
            answers = [_without_tokens(answer) for answer in trace.answers]
            body = json.dumps({**fields, "answers": answers}, ensure_ascii=False).encode()
        with transaction(self._db):
            made = self._db.execute(
                "INSERT OR REPLACE INTO traces (id, body) VALUES (?, ?)", (trace.id, body)
            )
            oldest = (made.lastrowid or 0) - self._keep
            self._db.execute("DELETE FROM traces WHERE number <= ?", (oldest,))

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
        )


def _without_tokens(answer: dict[str, Any]) -> dict[str, Any]:
    trace = answer["trace"]
    events = [
        {**event, "detail": {k: v for k, v in event["detail"].items() if k != "token_ids"}}
        for event in trace["events"]
    ]
    return {**answer, "trace": {**trace, "events": events}}
