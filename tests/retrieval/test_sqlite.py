"""SQLite's errors become ours."""

import gc
import os
import sqlite3
from collections.abc import Iterator
from pathlib import Path

import pytest

from rag_adapt.core.errors import LockedError, RagAdaptError, StorageError
from rag_adapt.retrieval.sqlite import (
    close_with,
    open_reader,
    open_writer,
    reader_uri,
    transaction,
    translated,
)


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "some.db"


@pytest.fixture
def writer(path: Path) -> Iterator[sqlite3.Connection]:
    connection = open_writer(path)
    connection.execute("CREATE TABLE numbers (n)")
    yield connection
    connection.close()


def test_a_transaction_is_all_or_nothing(writer: sqlite3.Connection) -> None:
    with transaction(writer):
        writer.execute("INSERT INTO numbers VALUES (1)")
    with pytest.raises(sqlite3.ProgrammingError), transaction(writer):
        writer.executemany("INSERT INTO numbers VALUES (?)", [(2,), ("one", "too many")])
    assert writer.execute("SELECT n FROM numbers").fetchall() == [(1,)]


def test_a_reader_keeps_its_snapshot(path: Path, writer: sqlite3.Connection) -> None:
    reader = open_reader(path)
    writer.execute("INSERT INTO numbers VALUES (1)")
    assert reader.execute("SELECT n FROM numbers").fetchall() == []
    reader.close()


def test_a_reader_cannot_write(path: Path, writer: sqlite3.Connection) -> None:
    reader = open_reader(path)
    with pytest.raises(StorageError, match="cannot open or write"), translated(path):
        reader.execute("DELETE FROM numbers")
    reader.close()


def test_a_full_disk_is_said_to_be_full(path: Path, writer: sqlite3.Connection) -> None:
    pages = writer.execute("PRAGMA page_count").fetchone()[0]
    writer.execute(f"PRAGMA max_page_count = {pages}")
    with pytest.raises(StorageError, match="the disk is full"), translated(path):
        writer.execute("INSERT INTO numbers VALUES (zeroblob(1000000))")


def test_a_folder_that_is_missing_is_a_storage_error(tmp_path: Path) -> None:
    with pytest.raises(StorageError, match="unable to open"):
        open_writer(tmp_path / "missing" / "some.db")
    with pytest.raises(StorageError, match="unable to open"):
        open_reader(tmp_path / "missing" / "some.db")


def test_a_busy_file_is_locked(path: Path, writer: sqlite3.Connection) -> None:
    other = open_writer(path)
    other.execute("PRAGMA busy_timeout = 0")
    with transaction(writer), pytest.raises(LockedError), translated(path), transaction(other):
        pass
    other.close()


def test_mistakes_in_our_own_statements_pass(path: Path, writer: sqlite3.Connection) -> None:
    with pytest.raises(sqlite3.OperationalError, match="no such table") as caught, translated(path):
        writer.execute("SELECT 1 FROM missing")
    assert not isinstance(caught.value, RagAdaptError)


def test_a_folder_that_cannot_be_written_can_be_read(
    path: Path, writer: sqlite3.Connection
) -> None:
    writer.execute("INSERT INTO numbers VALUES (1)")
    assert "mode=ro" in reader_uri(path, writable=False)
    writer.close()
    uri = reader_uri(path, writable=False)
    assert "immutable=1" in uri
    reader = sqlite3.connect(uri, uri=True)
    assert reader.execute("SELECT n FROM numbers").fetchall() == [(1,)]
    reader.close()
    assert os.listdir(path.parent) == ["some.db"]  # noqa: PTH208 - names


def test_a_path_may_hold_any_character(tmp_path: Path) -> None:
    odd = tmp_path / "a?b#c %20.db"
    open_writer(odd).close()
    reader = open_reader(odd)
    assert reader.execute("SELECT 1").fetchone() == (1,)
    reader.close()


def test_a_connection_is_closed_with_its_owner(path: Path, writer: sqlite3.Connection) -> None:
    class Owner:
        pass

    owner = Owner()
    close_with(owner, writer)
    del owner
    gc.collect()
    with pytest.raises(sqlite3.ProgrammingError, match="closed"):
        writer.execute("SELECT 1")
