"""One writer per folder."""

import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from rag_adapt.core.errors import LockedError
from rag_adapt.retrieval.lock import acquire, writing

HOLDER = """
import sys, time
from pathlib import Path
from rag_adapt.retrieval.lock import acquire
lock = acquire(Path(sys.argv[1]))
print("held", flush=True)
time.sleep(60)
"""


def test_a_second_writer_is_refused_and_told_who_writes(tmp_path: Path) -> None:
    holder = subprocess.Popen(
        [sys.executable, "-c", HOLDER, str(tmp_path / "manual")],
        stdout=subprocess.PIPE,
        text=True,
        env={**os.environ, "PYTHONPATH": str(Path(__file__).parents[2])},
    )
    assert holder.stdout is not None
    try:
        assert holder.stdout.readline() == "held\n"
        with pytest.raises(LockedError, match=f"'manual' is held by process {holder.pid}"):
            acquire(tmp_path / "manual")
    finally:
        holder.send_signal(signal.SIGKILL)
        holder.wait()
        holder.stdout.close()
    acquire(tmp_path / "manual").release()


def test_one_process_cannot_take_it_twice_but_again_afterwards(tmp_path: Path) -> None:
    with writing(tmp_path), pytest.raises(LockedError, match=f"process {os.getpid()}"):
        acquire(tmp_path)
    with writing(tmp_path):
        assert (tmp_path / "lock").exists()


def test_a_lock_without_a_number_in_it_is_still_a_lock(tmp_path: Path) -> None:
    with writing(tmp_path):
        (tmp_path / "lock").write_text("?")
        with pytest.raises(LockedError, match="held by another process"):
            acquire(tmp_path)
