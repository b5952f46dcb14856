"""Killed, interrupted, full or read-only: nothing acknowledged is lost, and the words are clear."""

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from tests.samples import write_skill

ROOT = Path(__file__).parent.parent
HEARS_CTRL_C = """
import runpy, signal
signal.signal(signal.SIGINT, signal.default_int_handler)
runpy.run_module("rag_adapt", run_name="__main__", alter_sys=True)
"""
"""A job in the background of a script inherits that Ctrl-C is ignored. The child sees to it itself:
a function before its beginning would fork this process, with all its threads and their locks."""
SCRIPTED = ["--engine", "scripted", "--embedder", "hashing", "--arms", "prompt,bare"]


def start(folder: Path, *arguments: str) -> "subprocess.Popen[str]":
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    return subprocess.Popen(
        [sys.executable, "-c", HEARS_CTRL_C, *arguments],
        cwd=folder,
        env=environment,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


def finish(folder: Path, *arguments: str) -> None:
    with start(folder, *arguments) as process:
        _, printed = process.communicate(timeout=120)
    assert process.returncode == 0, printed


def rows(folder: Path) -> list[dict[str, object]]:
    found = list((folder / ".rag-adapt" / "runs").glob("*/answers.jsonl"))
    if not found:
        return []
    lines = found[0].read_bytes().splitlines(keepends=True)
    return [json.loads(line) for line in lines if line.endswith(b"\n")]


def wait_for_rows(folder: Path, count: int, process: "subprocess.Popen[str]") -> None:
    deadline = time.monotonic() + 60
    while len(rows(folder)) < count:
        assert process.poll() is None, process.communicate()[1]
        assert time.monotonic() < deadline, "no rows were kept"
        time.sleep(0.01)


@pytest.mark.parametrize(
    ("stop", "code"), [(signal.SIGKILL, -9), (signal.SIGINT, 130)], ids=["killed", "Ctrl-C"]
)
def test_a_stopped_benchmark_keeps_its_answers_and_goes_on(
    own_folder: Path, stop: signal.Signals, code: int
) -> None:
    write_skill(own_folder / "colours", test=1500)
    command = ["bench", str(own_folder / "colours"), *SCRIPTED, "--latency-items", "0"]
    process = start(own_folder, *command)
    wait_for_rows(own_folder, 20, process)
    process.send_signal(stop)
    _, printed = process.communicate(timeout=60)
    assert process.returncode == code
    if stop is signal.SIGINT:
        assert "run the same command to go on" in printed
        assert "Traceback" not in printed
    kept = rows(own_folder)
    assert 20 <= len(kept) < 3000
    finish(own_folder, *command)
    finished = rows(own_folder)
    assert finished[: len(kept)] == kept
    keys = {(row["arm"], row["item"]) for row in finished}
    assert len(keys) == len(finished) == 3000


def test_a_full_disk_is_named_and_the_run_goes_on_when_there_is_room(own_folder: Path) -> None:
    write_skill(own_folder / "colours", test=300)
    command = f"rag_adapt bench {own_folder / 'colours'} {' '.join(SCRIPTED)}"
    limited = subprocess.run(
        ["bash", "-c", f"ulimit -f 64; exec {sys.executable} -m {command}"],
        cwd=own_folder,
        env={**os.environ, "PYTHONPATH": str(ROOT)},
        capture_output=True,
        text=True,
        check=False,
    )
    assert limited.returncode in (1, 2), limited.stderr
    assert limited.stderr.splitlines()[-2].startswith("error: ")
    assert "Traceback" not in limited.stderr
    kept = rows(own_folder)
    finish(own_folder, *command.split()[1:])
    assert rows(own_folder)[: len(kept)] == kept
    assert len(rows(own_folder)) == 600
