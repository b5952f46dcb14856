"""Processes that outlive whoever started them are found again by number and beginning."""

import os
import sys
from pathlib import Path

import psutil

from rag_adapt.engines.processes import began, end, find, spawn

SLEEP = [sys.executable, "-c", "print('here', flush=True); import time; time.sleep(600)"]


def test_a_process_is_found_again_until_it_has_ended(tmp_path: Path) -> None:
    child = spawn(SLEEP, env=os.environ, log=tmp_path / "log")
    started = began(child.pid)
    process = find(child.pid, started)
    assert process is not None
    assert find(child.pid, started - 100) is None
    assert os.getsid(child.pid) == child.pid != os.getsid(0)
    end(process, seconds=10)
    assert find(child.pid, started) is None
    assert child.returncode is not None
    end(process, seconds=10)  # what is gone already is no fault


def test_one_that_ended_unseen_is_not_found(tmp_path: Path) -> None:
    child = spawn([sys.executable, "-c", ""], env=os.environ, log=tmp_path / "log")
    started = began(child.pid)
    os.waitid(os.P_PID, child.pid, os.WEXITED | os.WNOWAIT)
    assert psutil.Process(child.pid).status() == psutil.STATUS_ZOMBIE
    assert find(child.pid, started) is None
    child.wait(60)


def test_the_log_is_made_anew(tmp_path: Path) -> None:
    log = tmp_path / "log"
    log.write_text("of the one before")
    spawn([sys.executable, "-c", "print('out'); raise SystemExit('err')"], env={}, log=log).wait(60)
    assert sorted(log.read_text().split()) == ["err", "out"]
