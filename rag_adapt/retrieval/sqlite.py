"""Opens SQLite files and turns their errors into ours.

It does not know any table.
"""

import os
import sqlite3
import weakref
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any
from urllib.parse import quote

from rag_adapt.core.errors import CollectionError, LockedError, RagAdaptError, StorageError

BUSY_SECONDS = 5.0
"""How long a statement waits for another process's transaction."""


def open_writer(path: Path) -> sqlite3.Connection:
    """A connection in WAL mode, transactions by hand, deleted content overwritten.

    Raises:
        CollectionError: the file is damaged or no database.
        StorageError: it cannot be created or written.
    """
    with translated(path):
        connection = _connect(str(path))
        try:
            connection.execute("PRAGMA journal_mode = WAL")
            connection.execute("PRAGMA secure_delete = ON")
        except BaseException:
            connection.close()
            raise
    return connection


def open_reader(path: Path) -> sqlite3.Connection:
    """A read-only connection that holds one snapshot until it is closed.

    Raises:
        CollectionError: the file is damaged or no database.
        StorageError: it cannot be read.
    """
    with translated(path):
        connection = _connect(reader_uri(path, writable=os.access(path.parent, os.W_OK)), uri=True)
        try:
            connection.execute("PRAGMA query_only = ON")
            connection.execute("BEGIN")
            connection.execute("SELECT count(*) FROM sqlite_schema").fetchone()
        except BaseException:
            connection.close()
            raise
    return connection


def reader_uri(path: Path, *, writable: bool) -> str:
    """How to open a file for reading only.

    WAL mode needs its two side files even to read. Where the folder cannot be written and no
    `-wal` file lies there, nobody can be writing, and the file is opened as one that never
    changes.
    """
    settled = not writable and not path.with_name(path.name + "-wal").exists()
    return f"file:{quote(str(path.absolute()))}?" + ("immutable=1" if settled else "mode=ro")


@contextmanager
def transaction(connection: sqlite3.Connection) -> Iterator[None]:
    """All of the block or nothing."""
    connection.execute("BEGIN IMMEDIATE")
    try:
        yield
        connection.execute("COMMIT")
    except BaseException:
        if connection.in_transaction:
            connection.execute("ROLLBACK")
        raise


def overwrite(connection: sqlite3.Connection, path: Path) -> None:
    """Put what was deleted into the file itself, over what was there, and empty the log beside it.

    Raises:
        LockedError: another process is reading what was there; ask again.
    """
    busy, _, _ = connection.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchone()
    if busy:
        raise LockedError(
            f"{str(path)!r} is read by another process: what was deleted is not overwritten yet",
            hint="Wait until that process has ended, then run the same command again.",
        )


@contextmanager
def translated(path: Path) -> Iterator[None]:
    """Raise our errors for what SQLite says about the file; others pass."""
    try:
        yield
    except sqlite3.DatabaseError as exc:
        if (error := _ours(exc, path)) is None:
            raise
        raise error from exc


def close_with(owner: object, connection: sqlite3.Connection) -> "weakref.finalize[Any, Any]":
    """Close the connection when the owner goes away, or when the returned value is called."""
    return weakref.finalize(owner, connection.close)


def _connect(database: str, *, uri: bool = False) -> sqlite3.Connection:
    return sqlite3.connect(
        database,
        timeout=BUSY_SECONDS,
        isolation_level=None,
        check_same_thread=False,
        uri=uri,
    )


def _ours(error: sqlite3.DatabaseError, path: Path) -> RagAdaptError | None:
    primary = getattr(error, "sqlite_errorcode", 0) & 0xFF
    if primary in (sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_NOTADB):
        return CollectionError(
            f"{str(path)!r} is damaged: {error}",
            hint=f"Delete it with `rm {path}*` and run the command that made it again "
            "(`rag-adapt index build NAME DIR` for a collection).",
        )
    if primary == sqlite3.SQLITE_FULL:
        return StorageError(
            f"the disk is full at {str(path)!r}",
            hint="Free some space, then run the same command again: what was finished is kept.",
        )
    if primary in (sqlite3.SQLITE_READONLY, sqlite3.SQLITE_CANTOPEN, sqlite3.SQLITE_IOERR):
        return StorageError(
            f"cannot open or write {str(path)!r}: {error}",
            hint="Check that the folder exists and may be written, or choose another one with "
            "RAG_ADAPT_INDEXES (collections) or --home (caches).",
        )
    if primary == sqlite3.SQLITE_BUSY:
        return LockedError(
            f"{str(path)!r} is in use by another process",
            hint="Wait for it to finish, then run the same command again.",
        )
    return None
