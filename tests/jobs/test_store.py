"""One key makes one job, the queue has an end, and changes are whole."""

import sqlite3
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from pathlib import Path

import pytest

from rag_adapt.core.errors import LockedError
from rag_adapt.jobs.job import (
    Job,
    JobError,
    JobNotFoundError,
    QueueFullError,
    Report,
    State,
    log_path,
    outcome,
    output_path,
    read_lines,
)
from rag_adapt.jobs.store import WAITING, JobStore
from rag_adapt.retrieval import sqlite
from tests.jobs.running import ROOT

BENCH = ["bench", "orders"]


@pytest.fixture
def home(tmp_path: Path) -> Path:
    return tmp_path / "home"


@pytest.fixture
def store(home: Path) -> JobStore:
    return JobStore(home)


def test_a_job_is_kept_with_its_arguments_as_they_were(home: Path, store: JobStore) -> None:
    job = store.submit(["bench", "a b", "--items", "3", "ü\n'\""])
    assert job.state == "queued"
    assert JobStore(home).get(job.id) == job
    assert job.argv == ("bench", "a b", "--items", "3", "ü\n'\"")


def test_one_hundred_requests_at_once_with_one_key_make_one_job(home: Path) -> None:
    stores = [JobStore(home) for _ in range(10)]
    with ThreadPoolExecutor(20) as pool:
        made = list(pool.map(lambda n: stores[n % 10].submit(BENCH, key="k"), range(100)))
    assert len({job.id for job in made}) == 1
    assert len(stores[0].list()) == 1


def test_several_processes_with_one_key_make_one_job(home: Path) -> None:
    script = (
        "import sys; from pathlib import Path; from rag_adapt.jobs.store import JobStore;"
        "store = JobStore(Path(sys.argv[1]));"
        "print(*{store.submit(['bench', 'orders'], key='k').id for _ in range(10)})"
    )
    command = [sys.executable, "-c", script, str(home)]
    running = [
        subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, text=True) for _ in range(4)
    ]
    printed = {process.communicate(timeout=60)[0] for process in running}
    assert len(printed) == 1
    assert [job.id for job in JobStore(home).list()] == [printed.pop().strip()]


def test_a_key_for_another_request_is_refused(store: JobStore) -> None:
    store.submit(BENCH, key="k")
    with pytest.raises(JobError, match="another request"):
        store.submit(["bench", "tickets"], key="k")
    assert store.submit(BENCH).id != store.submit(BENCH).id


def test_one_runs_and_twenty_wait_and_the_next_is_refused(store: JobStore) -> None:
    assert WAITING == 20
    first = store.submit(BENCH, key="first")
    store.claim()
    for _ in range(20):
        store.submit(BENCH)
    with pytest.raises(QueueFullError, match="20 wait") as refused:
        store.submit(BENCH)
    assert (refused.value.status, refused.value.retryable) == (429, True)
    assert store.submit(BENCH, key="first").id == first.id, "a repeated request is no new one"
    store.finish(first.id, "done", exit_code=0)
    store.submit(BENCH)


@pytest.mark.parametrize(
    "argv",
    [
        [],
        ["serve"],
        ["keys", "create", "x"],
        ["--home", "/etc", "bench"],
        ["bench", "a\0b"],
        ["/bin/sh"],
    ],
    ids=lambda argv: " ".join(argv) or "nothing",
)
def test_only_commands_that_work_and_end_can_be_jobs(store: JobStore, argv: list[str]) -> None:
    with pytest.raises(JobError, match="cannot be a job"):
        store.submit(argv)


def test_jobs_run_in_the_order_of_submission_one_at_a_time(store: JobStore) -> None:
    first, second = store.submit(BENCH), store.submit(BENCH)
    claimed = store.claim()
    assert claimed is not None
    assert (claimed.id, claimed.state) == (first.id, "running")
    assert store.claim() is None
    store.finish(first.id, "failed", exit_code=1)
    following = store.claim()
    assert following is not None
    assert following.id == second.id


def test_two_runners_never_claim_two_jobs(home: Path) -> None:
    stores = [JobStore(home) for _ in range(4)]
    for _ in range(8):
        stores[0].submit(BENCH)
    with ThreadPoolExecutor(4) as pool:
        claimed = list(pool.map(lambda store: store.claim(), stores))
    assert sum(job is not None for job in claimed) == 1


def test_the_first_end_that_is_noted_stays(store: JobStore) -> None:
    job = store.submit(BENCH)
    store.claim()
    store.finish(job.id, "done", exit_code=0)
    store.finish(job.id, "interrupted")
    store.report(job.id, Report(stage="late", done=1, total=2))
    found = store.get(job.id)
    assert (found.state, found.exit_code, found.progress) == ("done", 0, None)
    assert found.started is not None
    assert found.ended is not None
    assert found.created <= found.started <= found.ended


def test_a_waiting_job_is_cancelled_at_once_and_a_running_one_is_asked(store: JobStore) -> None:
    runs, waits = store.submit(BENCH), store.submit(BENCH)
    store.claim()
    assert store.ask_to_cancel(waits.id).state == "cancelled"
    asked = store.ask_to_cancel(runs.id)
    assert (asked.state, asked.cancelling) == ("running", True)
    store.finish(runs.id, "cancelled")
    assert store.ask_to_cancel(runs.id).state == "cancelled"


def test_a_process_begins_a_job_once_and_not_after_it_was_cancelled(store: JobStore) -> None:
    job = store.submit(BENCH)
    assert not store.begin(job.id, pid=1, born=1.0), "it was not claimed"
    store.claim()
    assert store.begin(job.id, pid=1, born=1.0)
    assert not store.begin(job.id, pid=2, born=2.0)
    store.finish(job.id, "done")
    other = store.submit(BENCH)
    store.claim()
    store.ask_to_cancel(other.id)
    assert not store.begin(other.id, pid=3, born=3.0)


def test_what_is_not_there_is_404(store: JobStore) -> None:
    with pytest.raises(JobNotFoundError, match="'ghost'") as refused:
        store.get("ghost")
    assert refused.value.status == 404
    with pytest.raises(JobNotFoundError):
        store.ask_to_cancel("ghost")


def test_the_newest_jobs_are_listed_first_and_by_state(store: JobStore) -> None:
    jobs = [store.submit(BENCH) for _ in range(3)]
    store.claim()
    assert [job.id for job in store.list()] == [job.id for job in reversed(jobs)]
    assert [job.id for job in store.list("running", "done")] == [jobs[0].id]
    assert len(store.list(limit=2)) == 2


def test_old_jobs_go_with_their_logs(store: JobStore) -> None:
    jobs = [store.submit(BENCH) for _ in range(5)]
    for job in jobs[:4]:
        store.claim()
        store.finish(job.id, "done")
        log_path(store.folder, job.id).write_text("x")
        output_path(store.folder, job.id).write_text("x")
    store.prune(keep=2)
    assert [job.id for job in store.list()] == [jobs[4].id, jobs[3].id]
    assert {path.stem for path in store.folder.iterdir()} == {jobs[3].id}


@pytest.mark.parametrize(
    ("exit_code", "cancelling", "state"),
    [
        (0, False, "done"),
        (0, True, "done"),
        (1, False, "failed"),
        (2, False, "failed"),
        (130, True, "cancelled"),
        (-9, True, "cancelled"),
        (130, False, "interrupted"),
        (-9, False, "interrupted"),
        (None, False, "interrupted"),
        (None, True, "cancelled"),
    ],
)
def test_how_a_job_ended(exit_code: int | None, cancelling: bool, state: State) -> None:
    assert outcome(exit_code=exit_code, cancelling=cancelling) == state


def test_a_log_may_hold_anything_between_the_lines_that_count() -> None:
    said = read_lines(
        [
            b"warning: something",
            b'{"stage": "train", "done": 1, "total": 4, "note": "n"}',
            b"{not json}",
            b'{"stage": "train", "done": "x", "total": 4}',
            b'{"other": 1}',
            b"[1]",
            b'{"stage": "train", "done": 2, "tot',
            b'{"exit": 0}',
            b"\xff\xfe",
        ]
    )
    assert said.progress == Report(stage="train", done=1, total=4, note="n")
    assert said.exit_code == 0


def test_states_that_end_are_the_ones_that_do_not_change(store: JobStore) -> None:
    job: Job = store.submit(BENCH)
    assert not job.has_ended
    assert store.ask_to_cancel(job.id).has_ended


def test_a_home_that_another_process_writes_to_delays_no_start(
    home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sqlite, "BUSY_SECONDS", 0.1)
    home.mkdir()
    with closing(sqlite3.connect(home / "state.db", isolation_level=None)) as other:
        other.execute("BEGIN EXCLUSIVE")
        store = JobStore(home)
        with pytest.raises(LockedError):
            store.submit(BENCH)
        other.execute("ROLLBACK")
        job = store.submit(BENCH)
    assert [found.id for found in JobStore(home).list()] == [job.id]


def test_a_closed_store_opens_again(store: JobStore) -> None:
    store.close()
    job = store.submit(BENCH)
    store.close()
    store.close()
    assert store.get(job.id) == job


def test_to_look_for_work_takes_no_lock_that_others_wait_for(
    store: JobStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sqlite, "BUSY_SECONDS", 0.1)
    assert store.claim() is None
    with closing(sqlite3.connect(store.path, isolation_level=None)) as other:
        other.execute("BEGIN IMMEDIATE")
        assert store.claim() is None
        other.execute("ROLLBACK")
    job = store.submit(BENCH)
    claimed = store.claim()
    assert claimed is not None
    assert claimed.id == job.id
