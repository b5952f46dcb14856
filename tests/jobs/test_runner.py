"""Jobs are real processes: they run in turn, tell how far they are, end when asked to."""

import resource
import sqlite3
import time
from collections.abc import Iterator
from pathlib import Path

import psutil
import pytest

from rag_adapt.core.errors import StorageError
from rag_adapt.jobs.job import Report, log_path, output_path
from rag_adapt.jobs.process import is_alive
from rag_adapt.jobs.runner import JobRunner, own_program
from rag_adapt.jobs.store import JobStore
from tests.jobs.running import ROOT, STAND_IN, beating, ended, runner_of
from tests.waiting import wait_until


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("PYTHONPATH", str(ROOT))
    return tmp_path / "home"


@pytest.fixture
def store(home: Path) -> JobStore:
    return JobStore(home)


@pytest.fixture
def runner(home: Path, store: JobStore) -> Iterator[JobRunner]:
    runner = runner_of(store, home)
    runner.start()
    yield runner
    runner.stop()


def test_a_command_of_ours_runs_as_a_job(home: Path, store: JobStore) -> None:
    runner = JobRunner(store, home=home)
    assert own_program(home)[-1] == "--progress-json"
    runner.start()
    good = store.submit(["skills", "check", "orders"])
    bad = store.submit(["runs", "show", "nosuch"])
    assert (ended(store, good).state, ended(store, good).exit_code) == ("done", 0)
    assert (ended(store, bad).state, ended(store, bad).exit_code) == ("failed", 2)
    runner.stop()
    assert "nosuch" in log_path(store.folder, bad.id).read_text()
    assert output_path(store.folder, good.id).read_text()


def test_progress_and_output_can_be_read_while_it_runs(store: JobStore, runner: JobRunner) -> None:
    job = store.submit(["bench", "beats=200"])
    seen = beating(store, job)
    assert seen.state == "running"
    assert seen.progress is not None
    assert seen.progress.total == 200
    done = seen.progress.done
    wait_until(lambda: (store.get(job.id).progress or seen.progress).done > done)  # type: ignore[union-attr]
    assert output_path(store.folder, job.id).read_text() == "a result\n"
    store.ask_to_cancel(job.id)
    assert ended(store, job).state == "cancelled"


def test_jobs_run_one_after_another(store: JobStore, runner: JobRunner) -> None:
    jobs = [store.submit(["bench", f"exit={code}"]) for code in (0, 3)]
    first, second = (ended(store, job) for job in jobs)
    assert (first.state, second.state, second.exit_code) == ("done", "failed", 3)
    assert first.ended is not None
    assert second.started is not None
    assert first.ended <= second.started
    assert first.progress == Report(stage="beat", done=1, total=1)


def test_one_key_a_hundred_times_runs_the_command_once(
    tmp_path: Path, store: JobStore, runner: JobRunner
) -> None:
    counter = tmp_path / "count"
    argv = ["bench", f"count={counter}"]
    made = {store.submit(argv, key="me:1").id for _ in range(50)}
    job = store.get(made.pop())
    ended(store, job)
    assert {store.submit(argv, key="me:1").id for _ in range(50)} == {job.id}
    time.sleep(0.3)
    assert counter.read_text() == "x"
    assert made == set()


def test_a_cancelled_job_hears_ctrl_c_first(store: JobStore, runner: JobRunner) -> None:
    job = store.submit(["bench", "beats=1000"])
    beating(store, job)
    store.ask_to_cancel(job.id)
    found = ended(store, job)
    assert (found.state, found.exit_code) == ("cancelled", 130)


def test_processes_that_a_job_started_end_with_it(store: JobStore, runner: JobRunner) -> None:
    job = store.submit(["bench", "beats=1000", "child"])
    beating(store, job)
    store.ask_to_cancel(job.id)
    assert ended(store, job).state == "cancelled"


@pytest.mark.parametrize(
    ("ignored", "code"), [("interrupt", -15), ("terminate", -9)], ids=["Ctrl-C", "both"]
)
def test_a_job_that_does_not_listen_is_terminated_then_killed(
    home: Path, store: JobStore, ignored: str, code: int
) -> None:
    runner = runner_of(store, home, interrupt=0.2, terminate=0.2)
    runner.start()
    job = store.submit(["bench", "beats=1000", f"ignore={ignored}"])
    beating(store, job)
    store.ask_to_cancel(job.id)
    found = ended(store, job)
    runner.stop()
    assert (found.state, found.exit_code) == ("cancelled", code)


def test_a_job_that_is_cancelled_before_it_begins_never_does(
    tmp_path: Path, home: Path, store: JobStore
) -> None:
    counter = tmp_path / "count"
    job = store.submit(["bench", f"count={counter}", "beats=1000"])
    runner = runner_of(store, home)
    runner.start()
    wait_until(lambda: store.get(job.id).state == "running")
    store.ask_to_cancel(job.id)
    assert ended(store, job).state == "cancelled"
    runner.stop()


def test_a_stopped_runner_interrupts_its_job_and_leaves_the_queue(
    home: Path, store: JobStore
) -> None:
    runner = runner_of(store, home)
    runner.start()
    assert runner.works
    job, waiting = store.submit(["bench", "beats=1000"]), store.submit(["bench"])
    found = beating(store, job)
    runner.stop()
    assert not runner.works
    assert store.get(job.id).state == "interrupted"
    assert store.get(waiting.id).state == "queued"
    assert found.pid is not None
    assert found.born is not None
    assert not is_alive(found.pid, found.born)
    with_next = runner_of(store, home)
    with_next.start()
    assert ended(store, waiting).state == "done"
    with_next.stop()


def test_a_second_runner_of_a_home_waits_for_the_first_to_go(home: Path, store: JobStore) -> None:
    first, second = runner_of(store, home), runner_of(JobStore(home), home)
    first.start()
    job = store.submit(["bench"])
    ended(store, job)
    second.start()
    first.stop()
    assert ended(store, store.submit(["bench"])).state == "done"
    second.stop()


def test_a_second_runner_can_be_stopped_while_it_waits(home: Path, store: JobStore) -> None:
    first, second = runner_of(store, home), runner_of(JobStore(home), home)
    first.start()
    ended(store, store.submit(["bench"]))
    second.start()
    second.stop()
    first.stop()
    assert not second.works


class Full(JobStore):
    """A store that cannot be written the first times something is claimed."""

    faults = 2

    def claim(self):  # type: ignore[no-untyped-def]  # a fake that fails
        """See `JobStore.claim`."""
        if self.faults:
            self.faults -= 1
            if self.faults:
                raise StorageError("the disk is full", hint="Free some space.")
            raise sqlite3.OperationalError("locking protocol")
        return super().claim()


def test_a_full_disk_or_an_error_of_sqlite_stops_no_runner(
    home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("rag_adapt.jobs.runner.AFTER_FAULT", 0.05)
    store = Full(home)
    runner = runner_of(store, home)
    runner.start()
    assert ended(store, store.submit(["bench"])).state == "done"
    runner.stop()


def test_what_a_job_left_undone_is_looked_after_between_jobs_and_holds_none_up(
    home: Path, store: JobStore
) -> None:
    seen: list[str] = []

    def tend() -> None:
        seen.append(" ".join(job.state for job in store.list()))
        raise StorageError("the disk is full", hint="Free some space.")

    runner = JobRunner(store, home=home, program=STAND_IN, tend=tend)
    runner.start()
    wait_until(lambda: seen == [""])
    job = store.submit(["bench"])
    wait_until(lambda: seen == ["", "done"])
    runner.stop()
    assert store.get(job.id).state == "done"


def test_a_job_that_indexes_may_take_half_of_the_memory_and_others_what_they_need(
    store: JobStore, runner: JobRunner
) -> None:
    def bounded(argv: list[str]) -> int:
        job = store.submit([*argv, "beats=200"])
        pid = beating(store, job).pid
        assert pid is not None
        limit, _ = resource.prlimit(pid, resource.RLIMIT_DATA)
        store.ask_to_cancel(job.id)
        ended(store, job)
        return limit

    ours, _ = resource.getrlimit(resource.RLIMIT_DATA)
    assert bounded(["index", "build"]) == psutil.virtual_memory().total // 2
    assert bounded(["bench"]) == ours
