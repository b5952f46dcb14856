"""Keeps answers on disk, so that an interrupted run asks nothing twice; wraps any engine.

It does not know which engine answers. The key holds everything that determines an answer: the
engine's fingerprint and the whole call, its repeat number and adapter version included.
"""

import asyncio
import hashlib
import json
import sqlite3
import time
from collections.abc import AsyncGenerator, Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import aclosing, contextmanager
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any, Final, TypeVar

from rag_adapt.core.errors import LockedError, NoLogProbsError, StorageError
from rag_adapt.core.protocols import Engine
from rag_adapt.core.types import (
    Call,
    Delta,
    Fingerprint,
    Message,
    Outcome,
    Sent,
    Times,
    TokenLogProbs,
    Usage,
    content_hash,
)

FILE: Final = "answers.db"
FORMAT: Final = 1
"""Part of every key: a new layout of rows finds none of the old."""
TABLE: Final = "CREATE TABLE IF NOT EXISTS answers (key TEXT PRIMARY KEY, value BLOB, sum BLOB)"
CANNOT_WRITE: Final = frozenset(
    {
        sqlite3.SQLITE_PERM,
        sqlite3.SQLITE_READONLY,
        sqlite3.SQLITE_IOERR,
        sqlite3.SQLITE_FULL,
        sqlite3.SQLITE_CANTOPEN,
    }
)
Row = dict[str, Any]
End = Outcome | Exception | None
"""How an answer ended; None where its reader went away first."""
Result = TypeVar("Result")


class CachedEngine:
    """Answers from disk what was answered before; asks the engine behind it otherwise.

    Failures are never kept. Equal calls in flight are asked once; those who wait share the
    outcome or the failure. An outcome that came from the cache has `times.cached` set and keeps
    the first run's times. Several processes may share a folder.

    Args:
        engine: Who answers what is not known yet.
        folder: Where `answers.db` is made.
        patience: Seconds to wait for another process that is writing.

    Raises:
        StorageError: the file is damaged or cannot be written; the hint says how to go on.
        LockedError: another process did not finish writing within `patience`.
    """

    def __init__(self, engine: Engine, folder: Path, *, patience: float = 30.0) -> None:
        self.inner = engine
        """The engine behind the cache: adapter proofs must ask this one."""
        self._store = _Store(folder, patience)
        self._pending: dict[str, asyncio.Future[End]] = {}
        self.hits = 0
        self.misses = 0

    @property
    def fingerprint(self) -> Fingerprint:
        """The inner engine's."""
        return self.inner.fingerprint

    @property
    def damaged(self) -> int:
        """Rows that were found damaged, dropped and asked again."""
        return self._store.damaged

    def close(self) -> None:
        """Finish writing and close the file; calling it twice is harmless."""
        self._store.close()

    async def generate(self, call: Call) -> AsyncGenerator[Delta, None]:
        """Stream one answer; a known one comes as a single delta.

        A new answer is on disk before its outcome is handed out.

        Raises:
            EngineError: the engine behind failed.
            StorageError: the cache cannot be read or written.
        """
        key = self._key(call.as_json())
        while (waiting := self._pending.get(key)) is not None:
            shared = await asyncio.shield(waiting)
            if isinstance(shared, Exception):
                raise shared
            if shared is not None:
                self.hits += 1
                yield _replay(shared)
                return
        promise = self._pending[key] = asyncio.get_running_loop().create_future()
        end: End = None
        try:
            async with aclosing(self._first(key, call)) as deltas:
                async for delta in deltas:
                    end = delta.outcome
                    yield delta
        except Exception as error:
            end = error
            raise
        finally:
            del self._pending[key]
            promise.set_result(end)

    async def logprobs(
        self, messages: Sequence[Message], continuation: str, adapter: str | None = None
    ) -> TokenLogProbs:
        """Log-probabilities from disk, or from the engine behind.

        Raises:
            NoLogProbsError: the engine behind cannot give them.
            StorageError: the cache cannot be read or written.
        """
        ask = getattr(self.inner, "logprobs", None)
        if ask is None:
            raise NoLogProbsError(
                f"the engine {self.fingerprint.engine!r} gives no log-probabilities",
                hint="Use `--engine embedded`.",
            )
        request = {
            "continuation": continuation,
            "messages": [asdict(message) for message in messages],
            "adapter": adapter,
        }
        key = self._key(request)
        if (row := await self._store.read(key)) is not None:
            self.hits += 1
            return _logprobs_from_json(row)
        self.misses += 1
        found: TokenLogProbs = await ask(messages, continuation, adapter)
        await self._store.write(key, asdict(found))
        return found

    async def _first(self, key: str, call: Call) -> AsyncGenerator[Delta, None]:
        """The stored answer, or a new one that is stored before its last delta is handed out."""
        if (row := await self._store.read(key)) is not None:
            self.hits += 1
            yield _replay(_outcome_from_json(row))
            return
        self.misses += 1
        stream = self.inner.generate(call)
        try:
            async for delta in stream:
                if delta.outcome is not None:
                    await self._store.write(key, asdict(delta.outcome))
                yield delta
        finally:
            if isinstance(stream, AsyncGenerator):
                await stream.aclose()

    def _key(self, request: Row) -> str:
        return content_hash([FORMAT, asdict(self.fingerprint), request], digits=64)


class _Store:
    """One SQLite file of checked rows, used from one thread of its own."""

    def __init__(self, folder: Path, patience: float) -> None:
        self.path = folder / FILE
        self._patience = patience
        self.damaged = 0
        with self._translated():
            folder.mkdir(parents=True, exist_ok=True)
            self._db = _connect(self.path, patience)
        self._thread = ThreadPoolExecutor(1, thread_name_prefix="answers")

    async def read(self, key: str) -> Row | None:
        """The value of a key; None where there is none or where it was damaged."""
        return await self._run(lambda: self._read(key))

    async def write(self, key: str, value: Row) -> None:
        """Keep a value; it is on disk when this returns. The first value of a key stays."""
        await self._run(lambda: self._write(key, value))

    def close(self) -> None:
        self._thread.shutdown(wait=True)
        self._db.close()

    async def _run(self, work: Callable[[], Result]) -> Result:
        def guarded() -> Result:
            with self._translated():
                return work()

        return await asyncio.get_running_loop().run_in_executor(self._thread, guarded)

    def _read(self, key: str) -> Row | None:
        found = self._db.execute("SELECT value, sum FROM answers WHERE key = ?", (key,)).fetchone()
        if found is None:
            return None
        value, checksum = found
        if not isinstance(value, bytes) or checksum != _checksum(key, value):
            self.damaged += 1
            self._db.execute("DELETE FROM answers WHERE key = ?", (key,))
            return None
        row: Row = json.loads(value)
        return row

    def _write(self, key: str, value: Row) -> None:
        text = json.dumps(value, ensure_ascii=False).encode()
        self._db.execute(
            "INSERT OR IGNORE INTO answers VALUES (?, ?, ?)", (key, text, _checksum(key, text))
        )

    @contextmanager
    def _translated(self) -> Iterator[None]:
        try:
            yield
        except OSError as exc:
            raise StorageError(
                f"cannot make the folder of the answer cache {str(self.path.parent)!r}: {exc}",
                hint="Choose a folder that you may write with --home.",
            ) from exc
        except sqlite3.Error as exc:
            if (error := self._storage_error(exc)) is None:
                raise
            raise error from exc

    def _storage_error(self, error: sqlite3.Error) -> StorageError | LockedError | None:
        code = getattr(error, "sqlite_errorcode", 0) & 0xFF
        if code in (sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_NOTADB):
            files = f"{self.path} {self.path}-wal {self.path}-shm"
            return StorageError(
                f"the answer cache {str(self.path)!r} is damaged: {error}",
                hint=f"Delete it and run the same command again: rm -f {files}",
            )
        if code in (sqlite3.SQLITE_BUSY, sqlite3.SQLITE_LOCKED):
            return LockedError(
                f"{str(self.path)!r} was kept by another process for {self._patience:g} s",
                hint="Wait for it to end, then run the same command again.",
            )
        if code in CANNOT_WRITE:
            return StorageError(
                f"the answer cache {str(self.path)!r} cannot be used: {error}",
                hint="Free some space or mend the permissions, or choose another folder with "
                "--home; then run the same command again.",
            )
        return None


def _connect(path: Path, patience: float) -> sqlite3.Connection:
    """Open for durable, shared use: a commit is on disk when it returns."""
    db = sqlite3.connect(path, timeout=patience, isolation_level=None, check_same_thread=False)
    try:
        _share(db, patience)
        db.execute("PRAGMA synchronous = FULL")
        db.execute(TABLE)
    except sqlite3.Error:
        db.close()
        raise
    return db


def _share(db: sqlite3.Connection, patience: float) -> None:
    """Switch to the write-ahead log; SQLite does not itself wait for others who do the same."""
    deadline = time.monotonic() + patience
    while True:
        try:
            db.execute("PRAGMA journal_mode = WAL")
        except sqlite3.OperationalError as exc:
            if exc.sqlite_errorcode != sqlite3.SQLITE_BUSY or time.monotonic() > deadline:
                raise
            time.sleep(0.01)
        else:
            return


def _checksum(key: str, value: bytes) -> bytes:
    return hashlib.sha256(key.encode() + value).digest()


def _replay(outcome: Outcome) -> Delta:
    known = replace(outcome, times=replace(outcome.times, cached=True))
    return Delta(text=known.text, outcome=known)


def _outcome_from_json(row: Row) -> Outcome:
    sent, ids = row["sent"], row["sent"]["token_ids"]
    return Outcome(
        text=row["text"],
        finish_reason=row["finish_reason"],
        usage=Usage(**row["usage"]),
        times=Times(**row["times"]),
        sent=Sent(
            messages=tuple(Message(**message) for message in sent["messages"]),
            template_hash=sent["template_hash"],
            token_ids=None if ids is None else tuple(ids),
            adapter=sent["adapter"],
            model=sent["model"],
        ),
    )


def _logprobs_from_json(row: Row) -> TokenLogProbs:
    return TokenLogProbs(
        token_ids=tuple(row["token_ids"]),
        logprobs=tuple(row["logprobs"]),
        text_bytes=row["text_bytes"],
    )
