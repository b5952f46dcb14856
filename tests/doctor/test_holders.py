"""Who holds a lock."""

import os
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from rag_adapt.doctor.holders import holder, is_held
from rag_adapt.retrieval.lock import LOCK_NAME, acquire

HOLDER = """
import sys, time
from pathlib import Path
from rag_adapt.retrieval.lock import acquire
lock = acquire(Path(sys.argv[1]))
print("held", flush=True)
time.sleep(60)
"""


@contextmanager
def held_elsewhere(folder: Path) -> Iterator[int]:
    """A process that holds the lock of a folder; gives its number."""
    with subprocess.Popen(
        [sys.executable, "-c", HOLDER, str(folder)],
        stdout=subprocess.PIPE,
        text=True,
        env={**os.environ, "PYTHONPATH": str(Path(__file__).parents[2])},
    ) as process:
        try:
            assert process.stdout is not None
            assert process.stdout.readline() == "held\n"
            yield process.pid
        finally:
            process.kill()


def test_a_lock_is_held_until_its_process_dies_and_is_described(tmp_path: Path) -> None:
    lock = tmp_path / "manual" / LOCK_NAME
    assert not is_held(lock)
    with held_elsewhere(tmp_path / "manual") as number:
        assert is_held(lock)
        assert holder(lock).startswith(f"process {number} (")
    assert not is_held(lock)
    assert holder(lock) == f"process {number}"


def test_asking_does_not_disturb_who_comes_next(tmp_path: Path) -> None:
    acquire(tmp_path).release()
    assert not is_held(tmp_path / LOCK_NAME)
    lock = acquire(tmp_path)
    assert is_held(tmp_path / LOCK_NAME)
    lock.release()


def test_a_lock_without_a_number_is_somebodys(tmp_path: Path) -> None:
    (tmp_path / "lock").write_text("")
    assert holder(tmp_path / "lock") == "another process"
