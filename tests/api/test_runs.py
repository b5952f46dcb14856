"""`/v1/runs`: planned, started as jobs, read."""

import inspect
import json
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest
from fastapi.testclient import TestClient

from rag_adapt.api import runs as endpoints
from rag_adapt.api.desk import Desk
from rag_adapt.api.run_orders import APART, OPTIONS, SWITCHES, command_of, plan_of
from rag_adapt.bench.compare import Comparison
from rag_adapt.bench.store import AnswerRow, list_runs
from rag_adapt.cli import bench
from rag_adapt.schemas.runs import ARMS, PlanLine, RunDetail, RunInfo, RunRequest
from tests.api.parts import SETTINGS, client_of
from tests.api.working import ended, idle_desk, working
from tests.serving.parts import HOME, benched, imported

ORDER = {"skills": ["colours"], "arms": ["prompt", "rag"], "tune": 0, "top_k": 2}


@pytest.fixture
def waiting() -> TestClient:
    """A client whose jobs wait: nothing runs them."""
    return client_of(desk=idle_desk())


@pytest.fixture
def measured() -> TestClient:
    """A client of a home with one finished run."""
    imported()
    benched()
    return client_of()


def only_run() -> str:
    (run,) = list_runs(HOME / "runs")
    return run.path.name


def test_a_plan_says_what_a_run_would_ask_and_asks_nothing(waiting: TestClient) -> None:
    imported()
    (line,) = waiting.post("/v1/runs:plan", json={**ORDER, "repeats": 2}).json()["data"]
    assert (line["skill"], line["items"], line["answers"]) == ("colours", 6, 24)
    assert line["arms"] == ["prompt", "rag"]
    assert 0 < line["detectable"] <= 1
    assert not (HOME / "runs").exists()
    assert waiting.get("/v1/jobs").json()["data"] == []


def test_a_run_is_a_job_that_leaves_a_run_a_report_and_answers() -> None:
    imported()
    with working(Desk.of(SETTINGS)) as client:
        response = client.post("/v1/runs", json={**ORDER, "items": 4, "seed": 3})
        assert response.status_code == 202
        assert response.headers["Location"] == f"/v1/jobs/{response.json()['id']}"
        job = ended(client, response.json()["id"])
        assert (job["state"], job["error"]) == ("done", None)
        assert job["result"] == f"/v1/runs/{only_run()}"
        run = client.get(job["result"]).json()
        plan = run["plan"]
        assert (run["state"], run["engine"], run["skills"]) == ("complete", "scripted", ["colours"])
        assert (plan["items"], plan["seed"]) == (4, 3)
        assert plan["retrieval"] == [2, "fused, constant 10, neighbours 0.3", "hashing"]
        report = client.get(f"{job['result']}/report").json()
        assert [arm["arm"] for arm in report["arms"]] == ["prompt", "rag"]
        assert len(client.get(f"{job['result']}/answers").json()["data"]) == 8


@pytest.mark.parametrize(
    ("wrong", "status", "code"),
    [
        ({"skills": ["ghost"]}, 404, "skill-not-found"),
        ({"skills": ["../colours"]}, 400, "invalid-request"),
        ({"skills": ["colours", "colours"]}, 400, "plan"),
        ({"arms": ["ghost"]}, 400, "plan"),
        ({"arms": ["--out=/etc"]}, 400, "invalid-request"),
        ({"contrasts": ["prompt:ghost"]}, 400, "plan"),
        ({"folds": 1}, 400, "invalid-request"),
        ({"items": "5"}, 400, "invalid-request"),
        ({"retriever": "os:system"}, 400, "invalid-request"),
        ({"out": "somewhere"}, 400, "invalid-request"),
        ({"model": "/etc"}, 400, "invalid-request"),
    ],
    ids=str,
)
@pytest.mark.parametrize("path", ["/v1/runs", "/v1/runs:plan"])
def test_what_cannot_be_run_is_refused_before_it_is_a_job(
    waiting: TestClient, path: str, wrong: dict[str, Any], status: int, code: str
) -> None:
    imported()
    response = waiting.post(path, json={**ORDER, **wrong})
    assert (response.status_code, response.json()["code"]) == (status, code)
    assert waiting.get("/v1/jobs").json()["data"] == []


def test_a_folder_beside_the_service_is_no_skill(waiting: TestClient) -> None:
    imported("colours").rename("elsewhere")
    assert waiting.post("/v1/runs", json={**ORDER, "skills": ["elsewhere"]}).status_code == 404


def test_a_hundred_retries_of_one_key_make_one_job(waiting: TestClient) -> None:
    imported()
    headers = {"Idempotency-Key": "once"}

    def send(_: int) -> tuple[int, str, str]:
        response = waiting.post("/v1/runs", json=ORDER, headers=headers)
        return response.status_code, response.headers["Location"], response.json()["id"]

    with ThreadPoolExecutor(8) as pool:
        answered = set(pool.map(send, range(100)))
    assert len(answered) == 1
    assert len(waiting.get("/v1/jobs").json()["data"]) == 1
    other = waiting.post("/v1/runs", json={**ORDER, "seed": 1}, headers=headers)
    assert (other.status_code, other.json()["code"]) == (409, "job")


def test_a_full_queue_is_429_and_says_when_to_come_again(waiting: TestClient) -> None:
    imported()
    statuses = [waiting.post("/v1/runs", json=ORDER).status_code for _ in range(21)]
    assert statuses == [202] * 21
    refused = waiting.post("/v1/runs", json=ORDER)
    assert (refused.status_code, refused.json()["code"]) == (429, "queue-full")
    assert refused.json()["retryable"] is True
    assert int(refused.headers["Retry-After"]) > 0


def test_every_field_becomes_a_flag_that_the_command_has() -> None:
    assert set(RunRequest.model_fields) == {*OPTIONS, *SWITCHES, *APART}
    declared = inspect.signature(bench.bench).parameters.values()
    flags = {f"--{p.name.replace('_', '-')}" for p in declared} | {"--from"}
    assert set(OPTIONS.values()) <= flags
    assert ",".join(ARMS) == bench.DEFAULT_ARMS


def test_the_command_line_says_what_was_asked_and_the_skills_come_last() -> None:
    order = RunRequest(
        skills=["orders"], arms=["prompt", "rag"], guard=False, contrasts=["a:b"], doses=[10, 1]
    )
    told = command_of(order, SETTINGS.model_copy(update={"deterministic": True}))
    assert told[:2] == ["bench", "--json"]
    assert {"--engine=scripted", "--embedder=hashing", "--deterministic"} <= set(told)
    assert {"--arms=prompt,rag", "--no-guard", "--probe", "--contrast=a:b"} <= set(told)
    assert "--doses=10,1" in told
    assert plan_of(order.model_copy(update={"contrasts": []}), SETTINGS).doses == (1, 10)
    assert not any(flag.startswith(("--items", "--retriever", "--out")) for flag in told)
    assert told[-2:] == ["--", "orders"]


def test_runs_are_listed_newest_first_in_pages_without_damaged_ones(measured: TestClient) -> None:
    benched("colours", "--seed", "7")
    broken = HOME / "runs" / "20000101-000000-broken"
    broken.mkdir()
    (broken / "run.json").write_text("{")
    newest, oldest = (run.path.name for run in list_runs(HOME / "runs")[:2])
    first = measured.get("/v1/runs", params={"limit": 1}).json()
    second = measured.get("/v1/runs", params={"limit": 1, "cursor": first["next"]}).json()
    assert [first["data"][0]["id"], second["data"][0]["id"]] == [newest, oldest]
    assert (first["next"], second["next"]) == (newest, None)


def test_answers_come_in_pages_that_follow_each_other(measured: TestClient) -> None:
    path = f"/v1/runs/{only_run()}/answers"
    whole = measured.get(path).json()
    assert whole["next"] is None
    paged: list[Any] = []
    asked: dict[str, str] = {"limit": "5"}
    while asked.get("cursor", "") is not None:
        page = measured.get(path, params=asked).json()
        paged += page["data"]
        asked["cursor"] = page["next"]
    assert paged == whole["data"]
    assert len(paged) == 12


def test_answers_can_be_of_one_skill_and_arm_and_carry_their_traces(measured: TestClient) -> None:
    path = f"/v1/runs/{only_run()}/answers"
    plain = measured.get(path, params={"arm": "rag", "skill": "colours"}).json()["data"]
    assert {row["arm"] for row in plain} == {"rag"}
    assert len(plain) == 6
    assert plain[0]["trace"] == {}
    traced = measured.get(path, params={"arm": "rag", "traces": "true"}).json()["data"]
    assert traced[0]["trace"]["events"][0]["name"] == "retrieve"
    assert measured.get(path, params={"skill": "ghost"}).json() == {"data": [], "next": None}


@pytest.mark.parametrize("cursor", ["3", "999999999"])
def test_a_cursor_that_no_page_named_is_refused(measured: TestClient, cursor: str) -> None:
    response = measured.get(f"/v1/runs/{only_run()}/answers", params={"cursor": cursor})
    assert (response.status_code, response.json()["code"]) == (400, "plan")


def test_a_line_that_is_being_written_is_no_answer_and_a_damaged_one_is_a_problem(
    measured: TestClient,
) -> None:
    path = f"/v1/runs/{only_run()}/answers"
    file = HOME / "runs" / only_run() / "answers.jsonl"
    with file.open("a") as more:
        more.write('{"skill": ')
    assert len(measured.get(path).json()["data"]) == 12
    with file.open("a") as more:
        more.write("\n")
    response = measured.get(path)
    assert (response.status_code, response.json()["code"]) == (507, "storage")


def test_a_run_that_was_not_finished_has_a_state_and_no_report(measured: TestClient) -> None:
    folder = HOME / "runs" / only_run()
    header = json.loads((folder / "run.json").read_text())
    (folder / "run.json").write_text(json.dumps({**header, "state": "running"}))
    for name in ("report.json", "report.html", "answers.jsonl"):
        (folder / name).unlink()
    path = f"/v1/runs/{folder.name}"
    assert measured.get(path).json()["state"] == "running"
    assert measured.get(f"{path}/answers").json() == {"data": [], "next": None}
    for part in ("report", "report.html"):
        problem = measured.get(f"{path}/{part}").json()
        assert (problem["status"], problem["code"]) == (404, "run-not-found")
        assert "not finished" in problem["detail"]


def test_a_page_is_served_where_its_scripts_cannot_ask_the_service(measured: TestClient) -> None:
    response = measured.get(f"/v1/runs/{only_run()}/report.html")
    assert response.text.startswith("<!doctype html>")
    assert response.headers["content-type"].startswith("text/html")
    assert response.headers["content-security-policy"] == "sandbox allow-scripts"
    assert response.headers["x-content-type-options"] == "nosniff"


def test_two_runs_are_compared(measured: TestClient) -> None:
    benched("colours", "--seed", "7")
    b, a = (run.path.name for run in list_runs(HOME / "runs"))
    found = Comparison.model_validate(measured.get(f"/v1/runs/{a}/compare/{b}").json())
    assert (found.a, found.b) == (a, b)
    assert {arm.arm for arm in found.arms} == {"prompt", "rag"}
    assert "plan.seed" in {one.what for one in found.different}


@pytest.mark.parametrize("part", ["", "/report", "/report.html", "/answers", "/compare/ghost"])
@pytest.mark.parametrize("id", ["ghost", "last", "2026"])
def test_a_run_is_named_by_its_whole_id_alone(measured: TestClient, id: str, part: str) -> None:
    response = measured.get(f"/v1/runs/{id}{part}")
    assert (response.status_code, response.json()["code"]) == (404, "run-not-found")


def test_the_examples_are_valid() -> None:
    assert RunRequest.model_validate(endpoints.ORDER)
    assert PlanLine.model_validate(endpoints.LINE)
    assert RunInfo.model_validate(endpoints.RUN)
    assert RunDetail.model_validate(endpoints.DETAIL)
    assert AnswerRow.model_validate(endpoints.ANSWER)
    assert Comparison.model_validate(endpoints.COMPARED)
