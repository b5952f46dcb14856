"""`/v1/jobs`: pages, states, cancellation, events; and readiness."""

import json
from dataclasses import replace
from typing import Any

import pytest
from fastapi.testclient import TestClient

from rag_adapt.api.desk import JOB, Desk
from rag_adapt.jobs.job import output_path
from rag_adapt.schemas.jobs import JobInfo
from tests.api.parts import client_of, events
from tests.api.working import ended, idle_desk, shown, working
from tests.waiting import wait_until


@pytest.fixture
def desk() -> Desk:
    return idle_desk()


@pytest.fixture
def waiting(desk: Desk) -> TestClient:
    """A client whose jobs wait: nothing runs them."""
    return client_of(desk=desk)


def test_jobs_are_listed_newest_first_in_pages_that_follow_each_other(
    desk: Desk, waiting: TestClient
) -> None:
    made = [desk.jobs.submit(["bench", f"beats={n}"]).id for n in range(5)]
    first = waiting.get("/v1/jobs", params={"limit": 2}).json()
    second = waiting.get("/v1/jobs", params={"limit": 2, "cursor": first["next"]}).json()
    third = waiting.get("/v1/jobs", params={"limit": 2, "cursor": second["next"]}).json()
    pages = [first, second, third]
    assert [job["id"] for page in pages for job in page["data"]] == made[::-1]
    assert third["next"] is None


def test_pages_of_one_state_hold_no_other(desk: Desk, waiting: TestClient) -> None:
    made = [desk.jobs.submit(["bench"]).id for _ in range(4)]
    desk.jobs.ask_to_cancel(made[1])
    found = waiting.get("/v1/jobs", params={"state": "queued", "limit": 2}).json()
    assert [job["id"] for job in found["data"]] == [made[3], made[2]]
    rest = {"state": "queued", "limit": 2, "cursor": found["next"]}
    assert [job["id"] for job in waiting.get("/v1/jobs", params=rest).json()["data"]] == [made[0]]


def test_a_cursor_that_was_forgotten_ends_the_list(desk: Desk, waiting: TestClient) -> None:
    desk.jobs.submit(["bench"])
    page = waiting.get("/v1/jobs", params={"cursor": "0" * 32}).json()
    assert page == {"data": [], "next": None}


@pytest.mark.parametrize("path", ["", "/events"])
def test_an_unknown_job_is_a_problem(waiting: TestClient, path: str) -> None:
    response = waiting.get(f"/v1/jobs/{'0' * 32}{path}")
    assert (response.status_code, response.json()["code"]) == (404, "job-not-found")
    assert waiting.post(f"/v1/jobs/{'0' * 32}/cancel").status_code == 404


def test_a_waiting_job_is_cancelled_at_once(desk: Desk, waiting: TestClient) -> None:
    job = desk.jobs.submit(["bench"])
    cancelled = waiting.post(f"/v1/jobs/{job.id}/cancel").json()
    assert (cancelled["state"], cancelled["result"]) == ("cancelled", None)
    assert cancelled["ended"] >= cancelled["created"]


def test_a_running_job_is_interrupted_and_its_progress_is_seen(desk: Desk) -> None:
    job = desk.jobs.submit(["bench", "beats=1000"])
    with working(desk) as client:
        path = f"/v1/jobs/{job.id}"
        seen = shown(client, path, lambda found: found["progress"] is not None)
        assert seen["state"] == "running"
        assert (seen["progress"]["stage"], seen["progress"]["total"]) == ("beat", 1000)
        assert client.post(f"{path}/cancel").json()["cancelling"] is True
        assert ended(client, job.id)["state"] == "cancelled"


def test_a_watched_job_is_shown_at_every_change_until_its_end(desk: Desk) -> None:
    job = desk.jobs.submit(["bench", "beats=8", "every=0.3"])
    with working(desk) as client:
        response = client.get(f"/v1/jobs/{job.id}/events")
    assert response.headers["content-type"].startswith("text/event-stream")
    *looks, last = events(response.text)
    told = [JobInfo.model_validate_json(look) for look in looks]
    assert last == "[DONE]"
    assert (told[0].exit_code, told[-1].state, told[-1].exit_code) == (None, "done", 0)
    steps = [look.progress.done for look in told if look.progress is not None]
    assert steps == sorted(steps)
    assert len(set(steps)) >= 3


def test_a_job_that_ended_is_one_event(desk: Desk, waiting: TestClient) -> None:
    job = desk.jobs.ask_to_cancel(desk.jobs.submit(["bench"]).id)
    one, last = events(waiting.get(f"/v1/jobs/{job.id}/events").text)
    assert (json.loads(one)["state"], last) == ("cancelled", "[DONE]")


def test_a_job_that_changes_nothing_is_shown_again_so_that_its_connection_lives(
    desk: Desk,
) -> None:
    job = desk.jobs.submit(["bench", "beats=1", "every=1.5"])
    with working(replace(desk, beat=0.2)) as client:
        looks = events(client.get(f"/v1/jobs/{job.id}/events").text)
    assert len(looks) > len(set(looks)) + 1


def test_a_watched_job_that_is_forgotten_ends_its_events_with_a_problem(
    desk: Desk,
) -> None:
    job = desk.jobs.submit(["bench"])

    class Forgetful:
        """Shows the job once."""

        folder = desk.jobs.folder
        looks = 0

        def get(self, id: str) -> object:
            self.looks += 1
            return desk.jobs.get(id if self.looks < 3 else "0" * 32)

    forgetful = Desk(settings=desk.settings, jobs=Forgetful(), runner=desk.runner)  # type: ignore[arg-type]
    looks = events(client_of(desk=forgetful).get(f"/v1/jobs/{job.id}/events").text)
    assert json.loads(looks[-1])["error"]["code"] == "job-not-found"
    assert "[DONE]" not in looks


def test_a_job_that_failed_says_why_and_a_job_that_said_nothing_gives_its_exit_code() -> None:
    desk = Desk.of(idle_desk().settings)
    wrong = desk.jobs.submit(["skills", "check", "ghost"])
    with working(desk) as client:
        found = ended(client, wrong.id)
    assert (found["state"], found["exit_code"], found["result"]) == ("failed", 2, None)
    assert found["error"].startswith("there is no skill 'ghost'")
    assert "rag-adapt skills list" in found["error"]
    silent = idle_desk()
    job = silent.jobs.submit(["bench", "exit=3"])
    with working(silent) as client:
        assert ended(client, job.id)["error"] == "the command ended with exit code 3"


def test_a_proof_shows_its_checks_whether_or_not_it_succeeded(desk: Desk) -> None:
    failed = {"name": "parity", "passed": False, "detail": "too far", "figure": float("inf")}
    measured = {"proven": False, "checks": [{**failed, "figure": None}]}
    for command, said, expected in (
        ("prove", json.dumps({"proven": False, "checks": [failed], "reason": "far"}), measured),
        ("prove", "", None),
        ("train", json.dumps({"proven": True, "checks": []}), None),
    ):
        job = desk.jobs.submit(["adapters", command, "--json", "--", "orders"])
        desk.jobs.claim()
        output_path(desk.jobs.folder, job.id).write_text(said)
        assert client_of(desk=desk).get(f"/v1/jobs/{job.id}").json()["proof"] is None
        desk.jobs.finish(job.id, "failed", exit_code=1)
        assert client_of(desk=desk).get(f"/v1/jobs/{job.id}").json()["proof"] == expected


def test_readiness_names_the_jobs(desk: Desk) -> None:
    def part(client: TestClient) -> Any:
        return {p["name"]: p for p in client.get("/readyz").json()["parts"]}["jobs"]

    assert part(client_of(desk=desk))["ready"] is False
    with working(desk) as client:
        wait_until(lambda: part(client)["ready"] is True)
    assert desk.runner.works is False


def test_the_end_of_the_service_interrupts_what_runs_and_leaves_what_waits(desk: Desk) -> None:
    runs, waits = (desk.jobs.submit(["bench", "beats=1000", str(n)]).id for n in range(2))
    with working(desk) as client:
        shown(client, f"/v1/jobs/{runs}", lambda job: job["progress"] is not None)
    assert desk.jobs.get(runs).state == "interrupted"
    assert desk.jobs.get(waits).state == "queued"


def test_without_a_desk_there_are_no_jobs() -> None:
    client = client_of(desk=None)
    assert client.get("/v1/jobs").status_code == 404
    assert "/v1/jobs" not in client.get("/openapi.json").json()["paths"]


def test_the_example_is_valid() -> None:
    assert JobInfo.model_validate(JOB).state == "running"
