"""Keeps the latest traces on disk, so that an answer can be looked into after a restart.

It does not know what a trace says; the oldest go first.
"""

import asyncio
import json
import sqlite3
import threading
from collections.abc import Callable, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final, TypeVar
from uuid import uuid4

from rag_adapt.core.errors import LockedError, RagAdaptError
from rag_adapt.retrieval.quoting import STATE
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
    """One per choice: its trace (or its plain JSON), and its text or its failure."""
    owner: str = ""
    """Who asked: the name of the caller."""


def new_id() -> str:
    """A name for a trace that nobody can guess."""
    return uuid4().hex


@dataclass(frozen=True, kw_only=True)
class _Waiting:
    """A trace on its way to the file."""

    trace: KeptTrace
    done: "asyncio.Future[None]"

    def end(self, error: BaseException | None = None) -> None:
        """Tell whoever waits, in the loop it waits in; it may have given up, or be gone."""
        with suppress(RuntimeError):
            self.done.get_loop().call_soon_threadsafe(self._tell, error)

    def _tell(self, error: BaseException | None) -> None:
        if self.done.done():
            return
        if error is None:
            self.done.set_result(None)
        else:
            self.done.set_exception(error)


class TraceBook:
    """The traces of one home, in `state.db`.

    Traces that come while others are being written go to the file together. Where another
    process holds the file when it is opened, every use says so and tries again in the background.

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
        self.path = home / STATE
        self._keep, self._budget = keep, budget
        self.path.touch(mode=0o600)  # what people asked is nobody else's business
        self._connection: sqlite3.Connection | None = None
        self._bytes = 0
        self._waiting: list[_Waiting] = []
        self._lock = threading.Lock()
        self._opening: Future[None] | None = None
        self._thread = ThreadPoolExecutor(1, thread_name_prefix="traces")
        with suppress(LockedError):
            self._open()

    async def keep(self, trace: KeptTrace) -> None:
        """Keep one, and let the oldest go where there are too many.

        Raises:
            LockedError: another process held the file when it was to be opened, or holds it now.
            StorageError: the disk is full or the file cannot be written.
        """
        self._check()
        waiting = _Waiting(trace=trace, done=asyncio.get_running_loop().create_future())
        with self._lock:
            self._waiting.append(waiting)
            first = len(self._waiting) == 1
        if first:
            self._thread.submit(self._write_all)
        await waiting.done

    async def find(self, id: str) -> KeptTrace | None:
        """The trace of that id; None where there is none, or no more.

        Raises:
            LockedError: another process held the file when it was to be opened.
            StorageError: the file cannot be read.
        """
        self._check()
        return await self._run(lambda: self._read(id))

    def close(self) -> None:
        """Finish writing and close the file."""
        self._thread.shutdown(wait=True)
        if self._connection is not None:
            self._connection.close()

    @property
    def _db(self) -> sqlite3.Connection:
        assert self._connection is not None  # `_check` saw to it
        return self._connection

    def _check(self) -> None:
        """Go on where the file is open; else open it in the background.

        Raises:
            LockedError: it is not open yet.
        """
        if self._connection is not None:
            return
        if self._opening is None or self._opening.done():
            self._opening = self._thread.submit(self._open)
        raise LockedError(
            "another process is writing to the file of the traces at the moment",
            hint="Wait until it has ended; nothing needs to be started again.",
        )

    def _open(self) -> None:
        connection = open_writer(self.path)
        try:
            with translated(self.path):
                connection.execute("PRAGMA synchronous = NORMAL")
                connection.execute(f"PRAGMA busy_timeout = {BUSY_MILLISECONDS}")
                connection.execute(TABLE)
                self._bytes = _total(connection)
        except BaseException:
            connection.close()
            raise
        self._connection = connection

    async def _run(self, work: Callable[[], Result]) -> Result:
        def guarded() -> Result:
            with translated(self.path):
                return work()

        return await asyncio.get_running_loop().run_in_executor(self._thread, guarded)

    def _write_all(self) -> None:
        """Write what waits, and say so to each; nobody waits for one that was given up."""
        with self._lock:
            taken, self._waiting = self._waiting, []
        wanted = [one for one in taken if not one.done.done()]
        error: BaseException | None = None
        try:
            with translated(self.path):
                self._write([one.trace for one in wanted])
        except (RagAdaptError, sqlite3.Error, TypeError, ValueError) as fault:
            error = fault
        for one in wanted:
            one.end(error)

    def _write(self, traces: Sequence[KeptTrace]) -> None:
        rows = [(trace.id, _body(trace)) for trace in traces]
        with transaction(self._db):
            made = None
            for row in rows:
                made = self._db.execute(
                    "INSERT OR REPLACE INTO traces (id, body) VALUES (?, ?)", row
                ).lastrowid
            oldest = (made or 0) - self._keep
            self._db.execute("DELETE FROM traces WHERE number <= ?", (oldest,))
        self._bytes += sum(len(body) for _, body in rows)
        if self._bytes > self._budget:
            self._shrink()

    def _shrink(self) -> None:
        """Let the oldest go until the rest fits."""
        with transaction(self._db):
            self._db.execute(OVER, (int(self._budget * AFTER),))
        self._bytes = _total(self._db)

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


def _total(connection: sqlite3.Connection) -> int:
    """Bytes of all traces."""
    row = connection.execute("SELECT coalesce(sum(length(body)), 0) FROM traces").fetchone()
    return int(row[0])


def _body(trace: KeptTrace) -> bytes:
    """As it is kept, at most `LARGEST` bytes long."""
    body = _written(trace, trace.answers)
    if len(body) <= LARGEST:
        return body
    answers = json.loads(body)["answers"]
    for shorten in (_without_tokens, _without_events, _without_text):
        body = _written(trace, [shorten(answer) for answer in answers])
        if len(body) <= LARGEST:
            break
    return body


def _written(trace: KeptTrace, answers: Sequence[dict[str, Any]]) -> bytes:
    """As JSON; the values inside of a trace are frozen, and written without a copy."""
    fields = {
        "created": trace.created,
        "model": trace.model,
        "owner": trace.owner,
        "answers": answers,
    }
    return json.dumps(fields, ensure_ascii=False, default=vars).encode()


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
