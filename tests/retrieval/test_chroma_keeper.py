"""The keeper of Chroma's server, in this process; test_chroma_server.py tries it as a program."""

import fcntl
import signal
from collections.abc import Iterator
from pathlib import Path

import pytest

from rag_adapt.retrieval import chroma_keeper as keeper


@pytest.fixture(autouse=True)
def signals() -> Iterator[None]:
    """Put back what the program changes."""
    before = signal.getsignal(signal.SIGTERM)
    yield
    signal.signal(signal.SIGTERM, before)


def test_it_ends_at_once_where_nobody_uses_it(tmp_path: Path) -> None:
    assert keeper.main([str(tmp_path)]) == 0
    assert not (tmp_path / keeper.ADDRESS).exists()


def test_there_is_one_keeper_at_most(tmp_path: Path) -> None:
    with (tmp_path / keeper.KEEPER).open("a") as own:
        assert keeper.locked(own)
        assert keeper.main([str(tmp_path)]) == 0
        assert not (tmp_path / keeper.LOG).exists()


def test_a_server_is_begun_well_and_ended(tmp_path: Path) -> None:
    server = keeper.begun(tmp_path)
    assert server.poll() is None
    assert keeper.healthy(tmp_path)
    keeper.end(tmp_path, server)
    assert server.returncode is not None
    assert not (tmp_path / keeper.ADDRESS).exists()
    keeper.end(tmp_path, None)


def test_a_server_that_never_starts_is_given_up(tmp_path: Path) -> None:
    (tmp_path / keeper.DATA).write_text("no folder")
    with (tmp_path / keeper.USERS).open("a") as mine, (tmp_path / keeper.USERS).open("a") as its:
        fcntl.flock(mine, fcntl.LOCK_SH)
        assert keeper.keep(tmp_path, its) == 1
