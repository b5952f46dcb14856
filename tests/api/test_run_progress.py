"""How far runs are, and how those that were stopped go on."""

import json
import shutil
from pathlib import Path
from typing import Any

import pytest
from fastapi.testclient import TestClient

from rag_adapt.api import runs as endpoints
from rag_adapt.api.desk import Desk
from rag_adapt.api.job_results import MAKERS
from rag_adapt.api.run_index import KEPT, RunIndex, Shelf, Wanted
from rag_adapt.api.run_orders import public_command
from rag_adapt.bench.store import list_runs
from rag_adapt.jobs.job import output_path
from rag_adapt.schemas.runs import RunProgress
from tests.api.parts import SETTINGS, client_of
from tests.api.test_runs import ORDER, only_run
from tests.api.working import ended, idle_desk, working
from tests.samples import row
from tests.serving.parts import HOME, benched, imported


def header(run: str = "", **differs: Any) -> dict[str, Any]:
    """Change a kept run's header."""
    path = HOME / "runs" / (run or only_run()) / "run.json"
    found: dict[str, Any] = json.loads(path.read_text())
    path.write_text(json.dumps(found | differs))
    return found | differs


def stopped(keep: int = 5) -> str:
    """A run as a cancelled benchmark leaves it, with its first answers."""
    imported()
    benched()
    header(state="running")
    folder = HOME / "runs" / only_run()
    for name in ("report.json", "report.html"):
        (folder / name).unlink()
    lines = (folder / "answers.jsonl").read_text().splitlines(keepends=True)
    (folder / "answers.jsonl").write_text("".join(lines[:keep]))
    return folder.name


def counted(client: TestClient, run: str) -> dict[str, tuple[int, int, int | None]]:
    """Answered, failed and total by arm."""
    found = RunProgress.model_validate(client.get(f"/v1/runs/{run}/progress").json())
    return {arm.arm: (arm.answered, arm.failed, arm.total) for arm in found.arms}


def test_a_run_at_work_is_counted_by_arm_and_shows_no_score() -> None:
    run, client = stopped(), client_of(desk=idle_desk())
    before = counted(client, run)
    assert list(before) == ["prompt", "rag"]
    assert sum(answered for answered, _, _ in before.values()) == 5
    assert {total for _, _, total in before.values()} == {6}
    failed = row(9, arm="rag", score=None).model_copy(update={"failure": "context-length"})
    with (HOME / "runs" / run / "answers.jsonl").open("a") as more:
        more.write(f"{failed.model_dump_json()}\n" + '{"skill": "col')
    after = counted(client, run)
    assert after["rag"] == (before["rag"][0], 1, 6)
    assert after["prompt"] == before["prompt"]
    assert "score" not in client.get(f"/v1/runs/{run}/progress").text


def test_before_the_first_answer_everything_is_still_to_come() -> None:
    run = stopped()
    (HOME / "runs" / run / "answers.jsonl").unlink()
    found = client_of(desk=idle_desk()).get(f"/v1/runs/{run}/progress").json()
    assert (found["last"], found["job"], found["state"]) == (None, None, "running")
    assert [(arm["answered"], arm["total"]) for arm in found["arms"]] == [(0, 6), (0, 6)]


@pytest.mark.parametrize(
    ("change", "total"),
    [
        ({"items": 4, "repeats": 3}, 12),
        ({"folds": 2, "items": 5}, 6),
        ({"skills": {"colours": "changed"}}, None),
        ({"tune": "once"}, None),
    ],
    ids=["items-and-repeats", "folds-round-up", "another-skill", "another-version"],
)
def test_what_is_wanted_in_all_comes_from_the_plan(
    change: dict[str, Any], total: int | None
) -> None:
    run = stopped()
    header(plan=header()["plan"] | change)
    assert {x[2] for x in counted(client_of(desk=idle_desk()), run).values()} == {total}


def test_the_dose_curve_is_counted_for_the_sizes_that_examples_allow() -> None:
    run = stopped()
    plan = header()["plan"] | {"doses": [1, 5, 1000], "train_seeds": 2, "examples": 5}
    header(plan=plan)
    found = counted(client_of(desk=idle_desk()), run)
    assert {arm: total for arm, (_, _, total) in found.items() if "@" in arm} == {
        "few-shot@1": 6,
        "few-shot@5": 6,
        "few-shot-nearest@1": 6,
        "few-shot-nearest@5": 6,
        "lora@1": 12,
        "lora@5": 12,
    }


def test_a_job_finds_its_run_and_a_run_its_job() -> None:
    run, desk = stopped(), idle_desk()
    client = client_of(desk=desk)
    job = client.post(f"/v1/runs/{run}/resume").json()
    assert client.get(f"/v1/runs/{run}/progress").json()["job"] == job["id"]
    assert [x["id"] for x in client.get("/v1/runs", params={"job": job["id"]}).json()["data"]] == [
        run
    ]
    other = desk.jobs.submit(["index", "build"])
    assert client.get("/v1/runs", params={"job": other.id}).json() == {"data": [], "next": None}
    assert client.get("/v1/runs", params={"job": "0" * 32}).json()["code"] == "job-not-found"


def test_a_finished_job_leads_to_the_run_that_it_made_among_damaged_ones() -> None:
    imported()
    benched()
    run, desk = only_run(), idle_desk()
    (HOME / "runs" / f"9{run}").mkdir()
    (HOME / "runs" / f"9{run}" / "run.json").write_text("{")
    job = desk.jobs.submit(["bench"])
    desk.jobs.claim()
    desk.jobs.finish(job.id, "done", exit_code=0)
    output_path(desk.jobs.folder, job.id).write_text(json.dumps({"run": {"id": run}}))
    assert ("bench",) in MAKERS
    client = client_of(desk=desk)
    assert [x["id"] for x in client.get("/v1/runs", params={"job": job.id}).json()["data"]] == [run]
    assert client.get(f"/v1/runs/{run}/progress").json()["state"] == "complete"


def test_a_cancelled_run_goes_on_where_it_stopped_and_is_started_once() -> None:
    imported()
    with working(Desk.of(SETTINGS)) as client:
        first = client.post("/v1/runs", json={**ORDER, "items": 4}).json()
        assert ended(client, first["id"])["state"] == "done"
        run = only_run()
        folder = HOME / "runs" / run
        header(state="running")
        kept = (folder / "answers.jsonl").read_text().splitlines(keepends=True)
        (folder / "answers.jsonl").write_text("".join(kept[:3]))
        job = client.post(f"/v1/runs/{run}/resume").json()
        assert ended(client, job["id"])["result"] == f"/v1/runs/{run}"
        assert len((folder / "answers.jsonl").read_text().splitlines()) == len(kept) == 8
        assert (folder / "answers.jsonl").read_text().startswith("".join(kept[:3]))
        again = client.post(f"/v1/runs/{run}/resume")
        assert (again.status_code, again.json()["code"]) == (409, "run-state")


def test_resuming_twice_is_one_job() -> None:
    run, client = stopped(), client_of(desk=idle_desk())
    first, second = (client.post(f"/v1/runs/{run}/resume") for _ in range(2))
    assert (first.status_code, second.status_code) == (202, 202)
    assert first.json()["id"] == second.json()["id"]
    assert first.headers["Location"] == second.headers["Location"]
    assert len(client.get("/v1/jobs").json()["data"]) == 1


def test_a_run_that_would_be_another_by_now_says_what_changed() -> None:
    run, client = stopped(), client_of(desk=idle_desk())
    shutil.rmtree(HOME / "skills")
    assert client.post(f"/v1/runs/{run}/resume").status_code == 404
    items = imported() / "items.jsonl"
    items.write_text(items.read_text().replace("thing", "object"))
    refused = client.post(f"/v1/runs/{run}/resume")
    assert (refused.status_code, refused.json()["code"]) == (409, "run-state")
    assert "skills changed" in refused.json()["detail"]
    header(plan={})
    assert client.post(f"/v1/runs/{run}/resume").status_code == 400
    assert client.get("/v1/jobs").json()["data"] == []


def test_a_command_is_told_without_the_folders_of_the_server() -> None:
    told = public_command("rag-adapt --home /srv/x bench --out=/srv/y --json -- /srv/skills/orders")
    assert told == "rag-adapt bench --out=y --json -- orders"
    for by_hand in ("/srv/made_by_hand", "rag-adapt bench 'it"):
        assert public_command(by_hand) == "rag-adapt bench"


def test_answers_computed_alone_are_read_by_themselves() -> None:
    imported()
    benched()
    run, client = only_run(), client_of(desk=idle_desk())
    path = HOME / "runs" / run / "answers.jsonl"
    rows = [json.loads(line) for line in path.read_text().splitlines()]
    for number, one in enumerate(rows):
        one |= {"alone": number % 3 == 0, "cached": number % 6 == 0}
    path.write_text("".join(f"{json.dumps(one)}\n" for one in rows))
    found = client.get(f"/v1/runs/{run}/answers", params={"alone": True, "limit": 1}).json()
    assert [found["data"][0]["item"], found["next"] is None] == [rows[3]["item"], False]
    rest = client.get(
        f"/v1/runs/{run}/answers", params={"alone": True, "cursor": found["next"]}
    ).json()
    assert [one["item"] for one in rest["data"]] == [rows[9]["item"]]


def test_a_file_is_read_on_from_where_it_was_read_and_anew_where_it_is_another(
    tmp_path: Path,
) -> None:
    path, index = tmp_path / "answers.jsonl", RunIndex(tmp_path)
    assert index.counts() == {}
    path.write_text(f"{row(1).model_dump_json()}\n{row(2).model_dump_json()}\n")
    assert index.counts()["colours", "prompt"].answered == 2
    with path.open("r+") as file:  # a line that was read is not read again
        file.write("x")
    with path.open("a") as file:
        file.write(f"{row(3, arm='rag').model_dump_json()}\n")
    assert {arm: count.answered for (_, arm), count in index.counts().items()} == {
        "prompt": 2,
        "rag": 1,
    }
    path.write_text(f"{row(4).model_dump_json()}\n")
    assert index.places(Wanted(), start=0, limit=9) == [0]
    path.unlink()
    assert index.counts() == {}


def test_only_the_places_of_some_runs_are_remembered(tmp_path: Path) -> None:
    shelf = Shelf()
    first = shelf.of(tmp_path)
    assert shelf.of(tmp_path) is first
    for number in range(KEPT):
        shelf.of(tmp_path / str(number))
    assert shelf.of(tmp_path) is not first


def test_the_example_is_valid_and_twenty_runs_can_be_watched(tmp_path: Path) -> None:
    assert RunProgress.model_validate(endpoints.PROGRESS)
    run = stopped()
    for number in range(20):
        shutil.copytree(HOME / "runs" / run, HOME / "runs" / f"{run}-{number}")
    client = client_of(desk=idle_desk())
    for folder in list_runs(HOME / "runs"):
        assert counted(client, folder.path.name)["prompt"][2] == 6
