"""A runner is killed: the next one finds what still runs, and says what does not."""

import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from rag_adapt.jobs.job import log_path
from rag_adapt.jobs.launch import launch
from rag_adapt.jobs.process import birth, is_alive, send
from rag_adapt.jobs.runner import JobRunner
from rag_adapt.jobs.store import JobStore
from tests.jobs.running import ROOT, STAND_IN, beating, ended, runner_of
from tests.waiting import wait_until

RUNNER = """
import sys, time
from pathlib import Path
from rag_adapt.jobs.runner import JobRunner
from rag_adapt.jobs.store import JobStore
home = Path(sys.argv[1])
JobRunner(JobStore(home), home=home, program=sys.argv[2:]).start()
time.sleep(600)
"""


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("PYTHONPATH", str(ROOT))
    return tmp_path / "home"


@pytest.fixture
def store(home: Path) -> JobStore:
    return JobStore(home)


@pytest.fixture
def killed(home: Path, store: JobStore) -> Iterator["subprocess.Popen[bytes]"]:
    """A runner in a process of its own, for a test to kill."""
    process = subprocess.Popen([sys.executable, "-c", RUNNER, str(home), *STAND_IN])
    yield process
    process.kill()
    process.wait()
    for job in store.list("running"):
        if job.pid is not None and job.born is not None:
            send(job.pid, job.born, signal.SIGKILL)


def kill(process: "subprocess.Popen[bytes]") -> None:
    process.send_signal(signal.SIGKILL)
    process.wait()


def next_runner(store: JobStore, home: Path) -> JobRunner:
    runner = runner_of(store, home)
    runner.start()
    return runner


def test_a_job_survives_its_runner_and_its_end_is_noted_by_the_next(
    home: Path, store: JobStore, killed: "subprocess.Popen[bytes]"
) -> None:
    job = store.submit(["bench", "beats=40"])
    waiting = store.submit(["bench"])
    before = beating(store, job)
    kill(killed)
    assert before.pid is not None
    assert before.born is not None
    assert is_alive(before.pid, before.born)
    runner = next_runner(store, home)
    found = ended(store, job)
    assert (found.state, found.exit_code, found.pid) == ("done", 0, before.pid)
    assert found.progress is not None
    assert found.progress.done == 40
    assert ended(store, waiting).state == "done"
    runner.stop()


def test_a_job_that_died_with_its_runner_is_interrupted(
    home: Path, store: JobStore, killed: "subprocess.Popen[bytes]"
) -> None:
    job = store.submit(["bench", "beats=1000"])
    before = beating(store, job)
    kill(killed)
    assert before.pid is not None
    os.killpg(before.pid, signal.SIGKILL)
    runner = next_runner(store, home)
    found = ended(store, job)
    assert (found.state, found.exit_code) == ("interrupted", None)
    runner.stop()


def test_a_job_that_ended_while_nobody_watched_is_told_by_its_log(
    home: Path, store: JobStore, killed: "subprocess.Popen[bytes]"
) -> None:
    job = store.submit(["bench", "beats=20", "exit=3"])
    before = beating(store, job)
    kill(killed)
    assert before.pid is not None
    assert before.born is not None
    wait_until(lambda: not is_alive(before.pid or 0, before.born or 0))
    runner = next_runner(store, home)
    found = ended(store, job)
    assert (found.state, found.exit_code) == ("failed", 3)
    runner.stop()


def test_a_job_that_was_found_running_can_be_cancelled(
    home: Path, store: JobStore, killed: "subprocess.Popen[bytes]"
) -> None:
    job = store.submit(["bench", "beats=1000"])
    beating(store, job)
    kill(killed)
    runner = next_runner(store, home)
    store.ask_to_cancel(job.id)
    assert ended(store, job).state == "cancelled"
    runner.stop()


def test_a_process_number_that_was_used_again_is_not_taken_for_the_job(
    home: Path, store: JobStore
) -> None:
    job = store.submit(["bench"])
    store.claim()
    bystander = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(60)"])
    assert store.begin(job.id, pid=bystander.pid, born=birth(bystander.pid) - 1000)
    store.ask_to_cancel(job.id)
    runner = next_runner(store, home)
    assert ended(store, job).state == "cancelled"
    runner.stop()
    assert bystander.poll() is None, "a stranger was hit"
    bystander.kill()
    bystander.wait()


def test_a_job_that_was_claimed_but_never_begun_is_interrupted_and_cannot_begin(
    home: Path, store: JobStore
) -> None:
    job = store.submit(["bench"])
    store.claim()
    runner = next_runner(store, home)
    assert ended(store, job).state == "interrupted"
    runner.stop()
    launcher = [sys.executable, "-m", "rag_adapt.jobs.launch", str(home), job.id, *STAND_IN]
    late = subprocess.run([*launcher, "bench"], capture_output=True, check=False)
    assert late.returncode == 130
    assert late.stdout == b""
    assert not log_path(store.folder, job.id).exists()


def test_the_launcher_writes_its_number_down_before_it_becomes_the_command(
    home: Path, store: JobStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    job = store.submit(["bench"])
    store.claim()
    before = signal.getsignal(signal.SIGINT)
    became: list[tuple[str, list[str]]] = []

    def become(path: str, arguments: list[str]) -> None:
        assert store.get(job.id).pid == os.getpid()
        assert signal.getsignal(signal.SIGINT) == signal.SIG_DFL
        became.append((path, arguments))

    monkeypatch.setattr(os, "execv", become)
    launch([str(home), job.id, *STAND_IN, "bench"])
    signal.signal(signal.SIGINT, before)
    assert became == [(STAND_IN[0], [*STAND_IN, "bench"])]
    with pytest.raises(SystemExit) as refused:
        launch([str(home), job.id, *STAND_IN, "bench"])
    assert refused.value.code == 130


def test_ctrl_c_reaches_a_job_also_where_the_service_itself_ignores_it(
    home: Path, store: JobStore
) -> None:
    ignoring = "import signal; signal.signal(signal.SIGINT, signal.SIG_IGN)\n" + RUNNER
    process = subprocess.Popen([sys.executable, "-c", ignoring, str(home), *STAND_IN])
    job = store.submit(["bench", "beats=1000"])
    beating(store, job)
    store.ask_to_cancel(job.id)
    found = ended(store, job)
    process.kill()
    process.wait()
    assert (found.state, found.exit_code) == ("cancelled", 130)


def test_a_process_that_ended_is_not_alive_even_before_anybody_waited_for_it() -> None:
    process = subprocess.Popen([sys.executable, "-c", ""])
    born = birth(process.pid)
    wait_until(lambda: not is_alive(process.pid, born))
    send(process.pid, born, signal.SIGKILL)
    assert process.wait() == 0
    assert not is_alive(process.pid, born)
