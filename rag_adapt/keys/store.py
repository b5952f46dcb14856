"""The keys of one home, in its `state.db`; secrets only as salted hashes.

It does not know requests, nor what a scope opens.
"""

import hashlib
import sqlite3
import threading
import time
from collections import OrderedDict
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Final

from rag_adapt.keys.key import (
    Key,
    KeysError,
    NewKey,
    Scope,
    Token,
    checked_name,
    fresh_salt,
)
from rag_adapt.retrieval.sqlite import (
    close_with,
    open_writer,
    reader_uri,
    transaction,
    translated,
)

STATE_FILE: Final = "state.db"
REMEMBERED: Final = 1024
"""Tokens that were verified once and need no scrypt again, per process."""
READ_SECONDS: Final = 0.2
"""How long a look into the table waits for another process; a service answers meanwhile."""
SCHEMA: Final = """
CREATE TABLE IF NOT EXISTS api_keys (
  id TEXT PRIMARY KEY,
  name TEXT NOT NULL,
  scope TEXT NOT NULL,
  salt BLOB NOT NULL,
  digest BLOB NOT NULL,
  created REAL NOT NULL,
  revoked REAL
) STRICT
"""
ONE_NAME: Final = (
    "CREATE UNIQUE INDEX IF NOT EXISTS api_keys_name ON api_keys (name) WHERE revoked IS NULL"
)
COLUMNS: Final = "id, name, scope, created, revoked"


class KeyStore:
    """Creates, lists, revokes and verifies keys; several processes may do so at once.

    A home without a state file has no keys, and reading makes neither file nor table: it never
    waits for whoever writes there.

    Args:
        home: The folder that holds `state.db`.
    """

    def __init__(self, home: Path) -> None:
        self.path = home / STATE_FILE
        self._lock = threading.Lock()
        self._reader: sqlite3.Connection | None = None
        self._writer: sqlite3.Connection | None = None
        self._made = False
        """Whether the table was seen."""
        self._verified: OrderedDict[bytes, bytes] = OrderedDict()

    def create(self, name: str, scope: Scope) -> NewKey:
        """A new key; its token is in the result and nowhere else.

        Raises:
            KeysError: the name is none, or an active key has it.
        """
        checked_name(name)
        token, salt = Token.fresh(), fresh_salt()
        key = Key(id=token.id, name=name, scope=scope, created=time.time())
        row = (key.id, name, scope, salt, token.digest(salt), key.created)
        with self._writing() as connection:
            try:
                connection.execute("INSERT INTO api_keys VALUES (?, ?, ?, ?, ?, ?, NULL)", row)
            except sqlite3.IntegrityError as exc:
                raise KeysError(
                    f"there is a key {name!r} already",
                    hint=f"Choose another name, or run `rag-adapt keys revoke {name}` first.",
                ) from exc
        return NewKey(key=key, token=token)

    def records(self) -> tuple[Key, ...]:
        """All keys, revoked ones too, oldest first."""
        return tuple(
            _key(row) for row in self._read(f"SELECT {COLUMNS} FROM api_keys ORDER BY created, id")
        )

    def revoke(self, name: str) -> Key:
        """Close a key; it opens nothing from this moment on, in running services too.

        Raises:
            KeysError: no active key has this name.
        """
        with self._writing() as connection:
            row = connection.execute(
                "UPDATE api_keys SET revoked = ? WHERE name = ? AND revoked IS NULL "
                f"RETURNING {COLUMNS}",
                (time.time(), name),
            ).fetchone()
        if row is None:
            raise _unknown(name, "active")
        return _key(row)

    def forget(self, name: str) -> int:
        """Delete the records of revoked keys of this name and say how many there were.

        Raises:
            KeysError: no revoked key has this name.
        """
        with self._writing() as connection:
            count = connection.execute(
                "DELETE FROM api_keys WHERE name = ? AND revoked IS NOT NULL", (name,)
            ).rowcount
        if not count:
            raise _unknown(name, "revoked")
        return count

    def any_ever(self) -> bool:
        """Whether there is the record of a key, revoked ones included."""
        return bool(self._read("SELECT 1 FROM api_keys LIMIT 1"))

    def any_active(self) -> bool:
        """Whether somebody could be let in by a key."""
        return bool(self._read("SELECT 1 FROM api_keys WHERE revoked IS NULL LIMIT 1"))

    def remembers(self, token: Token) -> bool:
        """Whether `verify` will be quick: this token was verified before."""
        return _fingerprint(token) in self._verified

    def verify(self, token: Token) -> Key | None:
        """The active key that this token opens; None if it opens none.

        The first time takes about 10 ms of computing, later ones a look into the table.
        """
        rows = self._read(
            f"SELECT {COLUMNS}, salt, digest FROM api_keys WHERE id = ? AND revoked IS NULL",
            token.id,
        )
        if not rows:
            return None
        *columns, salt, digest = rows[0]
        mark = _fingerprint(token)
        if self._verified.get(mark) != digest:
            if not token.matches(salt=salt, digest=digest):
                return None
            self._remember(mark, digest)
        return _key(columns)

    def close(self) -> None:
        """Close the file; the next use opens it again."""
        with self._lock:
            for connection in (self._reader, self._writer):
                if connection is not None:
                    connection.close()
            self._reader = self._writer = None

    def _remember(self, mark: bytes, digest: bytes) -> None:
        with self._lock:
            self._verified[mark] = digest
            while len(self._verified) > REMEMBERED:
                self._verified.popitem(last=False)

    def _read(self, query: str, *values: str) -> list[Any]:
        with self._lock:
            if self._reader is None and not self.path.exists():
                return []
            with translated(self.path):
                reader = self._opened_reader()
                return reader.execute(query, values).fetchall() if self._has(reader) else []

    def _has(self, reader: sqlite3.Connection) -> bool:
        """Whether the table is there; once it is, it stays."""
        if not self._made:
            query = "SELECT 1 FROM sqlite_schema WHERE name = 'api_keys'"
            self._made = bool(reader.execute(query).fetchall())
        return self._made

    @contextmanager
    def _writing(self) -> Iterator[sqlite3.Connection]:
        with self._lock:
            self.path.parent.mkdir(parents=True, exist_ok=True)
            self.path.touch(mode=0o600)
            connection = self._opened_writer()
            for path in self.path.parent.glob(f"{STATE_FILE}*"):  # with its -wal and -shm
                path.chmod(0o600)
            with translated(self.path), transaction(connection):
                yield connection

    def _opened_reader(self) -> sqlite3.Connection:
        if self._reader is None:
            self._reader = sqlite3.connect(
                reader_uri(self.path, writable=True),
                timeout=READ_SECONDS,
                isolation_level=None,
                check_same_thread=False,
                uri=True,
            )
            close_with(self, self._reader)
        return self._reader

    def _opened_writer(self) -> sqlite3.Connection:
        if self._writer is None:
            self._writer = open_writer(self.path)
            close_with(self, self._writer)
        with translated(self.path):
            self._writer.execute(SCHEMA)
            self._writer.execute(ONE_NAME)
        return self._writer


def _key(row: Any) -> Key:
    return Key(id=row[0], name=row[1], scope=row[2], created=row[3], revoked=row[4])


def _fingerprint(token: Token) -> bytes:
    return hashlib.sha256(token.reveal().encode()).digest()


def _unknown(name: str, state: str) -> KeysError:
    return KeysError(
        f"no {state} key {name[:60]!r}", hint="`rag-adapt keys list` shows the keys of this home."
    )
