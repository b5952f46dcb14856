"""`/v1/adapters`: trained and proven as jobs, shown, made current, deleted."""

from pathlib import Path
from typing import Any

import pytest
from fastapi.testclient import TestClient

from rag_adapt.adapters.card import Card
from rag_adapt.adapters.store import AdapterStore
from rag_adapt.api import adapters as endpoints
from rag_adapt.api.desk import Desk
from rag_adapt.cli.app import run
from rag_adapt.engines.scripted import ScriptedEngine
from rag_adapt.jobs.job import output_path
from rag_adapt.schemas.adapters import TrainRequest
from rag_adapt.settings import Settings
from tests.api.parts import client_of
from tests.api.working import ended, idle_desk, shown, working
from tests.jobs.running import STAND_IN
from tests.serving.parts import HOME, imported, published

LOCAL = Settings(home=HOME, embedder="hashing", model="some-model")
GHOST = "colours@000000000000"


@pytest.fixture
def desk() -> Desk:
    """Jobs of a service on the embedded engine; the stand-in takes their place."""
    return Desk.of(LOCAL, program=STAND_IN)


@pytest.fixture
def client(desk: Desk) -> TestClient:
    return client_of(desk=desk)


def two_versions() -> tuple[str, str]:
    """An older version of an adapter, and the current one."""
    imported()
    engine = ScriptedEngine()
    return published(engine, fill=1.0).version, published(engine, fill=2.0).version


def test_a_training_is_a_job_with_the_flags_that_were_asked_for(client: TestClient) -> None:
    imported()
    order = {"skill": "colours", "examples": 4, "context": True, "name": "colours-two", "rank": 4}
    response = client.post("/v1/adapters", json=order)
    command = response.json()["command"]
    assert response.status_code == 202
    assert response.headers["Location"] == f"/v1/jobs/{response.json()['id']}"
    assert command[:3] == ["adapters", "train", "--json"]
    assert {"--model=some-model", "--examples=4", "--context", "--name=colours-two"} <= set(command)
    assert not {"--sweep", "--four-bit"} & set(command)
    assert command[-2:] == ["--", "colours"]


def test_every_field_of_a_training_becomes_a_flag() -> None:
    told = {*endpoints.OPTIONS, *endpoints.SWITCHES, "skill"}
    assert set(TrainRequest.model_fields) == told


def test_the_command_trains_and_its_result_is_the_path_of_the_adapter(
    tiny_model: Path, capsys: pytest.CaptureFixture[str], desk: Desk
) -> None:
    imported()
    settings = LOCAL.model_copy(update={"model": str(tiny_model), "device": "cpu"})
    command = endpoints.command_of(TrainRequest(skill="colours", examples=2), settings)
    assert run(["--home", str(HOME), *command]) == 0
    (card,) = AdapterStore(HOME).list()
    job = desk.jobs.submit(command)
    desk.jobs.claim()
    desk.jobs.finish(job.id, "done", exit_code=0)
    output_path(desk.jobs.folder, job.id).write_text(capsys.readouterr().out)
    made = client_of(desk=desk).get(f"/v1/jobs/{job.id}").json()["result"]
    assert made == f"/v1/adapters/{card.version}"


@pytest.mark.parametrize("said", ["", "{", "[]", "{}", '{"version": 3}'])
def test_a_job_that_did_not_say_what_it_made_has_no_result(desk: Desk, said: str) -> None:
    made = []
    for command in (["adapters", "train"], ["bench"], ["index", "build"], ["runs"]):
        job = desk.jobs.submit(command)
        desk.jobs.claim()
        desk.jobs.finish(job.id, "done", exit_code=0)
        output_path(desk.jobs.folder, job.id).write_text(said)
        made.append(desk.shown(desk.jobs.get(job.id)).result)
    assert made == [None] * 4


@pytest.mark.parametrize(
    ("wrong", "status", "code"),
    [
        ({"skill": "ghost"}, 404, "skill-not-found"),
        ({"skill": "/etc"}, 400, "invalid-request"),
        ({"rank": 3}, 400, "invalid-request"),
        ({"name": "../../x"}, 400, "invalid-request"),
        ({"context": True, "learn_from": "both"}, 400, "invalid-request"),
        ({"context": True}, 400, "adapter"),
        ({"learn_from": "corpus"}, 400, "adapter"),
    ],
    ids=str,
)
def test_what_cannot_be_trained_is_refused_before_it_is_a_job(
    client: TestClient, wrong: dict[str, Any], status: int, code: str
) -> None:
    imported(corpus=False)
    response = client.post("/v1/adapters", json={"skill": "colours", **wrong})
    assert (response.status_code, response.json()["code"]) == (status, code)
    assert client.get("/v1/jobs").json()["data"] == []


def test_nothing_is_trained_for_an_engine_whose_weights_are_not_ours() -> None:
    imported()
    problem = client_of(desk=idle_desk()).post("/v1/adapters", json={"skill": "colours"}).json()
    assert (problem["status"], problem["code"]) == (400, "adapter")
    assert "scripted" in problem["detail"]


def test_an_adapter_is_shown_by_its_card(client: TestClient) -> None:
    version, _ = two_versions()
    found = Card.model_validate(client.get(f"/v1/adapters/{version}").json())
    assert (found.version, found.skill) == (version, "colours")


def test_a_proof_is_a_job_that_names_the_adapter(client: TestClient, desk: Desk) -> None:
    version, _ = two_versions()
    response = client.post(f"/v1/adapters/{version}/prove", headers={"Idempotency-Key": "p"})
    again = client.post(f"/v1/adapters/{version}/prove", headers={"Idempotency-Key": "p"})
    assert (response.status_code, response.json()["id"]) == (202, again.json()["id"])
    proof = ["adapters", "prove", "--json", "--model=some-model", "--", version]
    assert response.json()["command"] == proof


def test_an_older_version_can_be_made_current(client: TestClient) -> None:
    older, newer = two_versions()
    assert AdapterStore(HOME).current("colours") == newer
    pointed = client.post(f"/v1/adapters/{older}/current").json()
    assert pointed == {"name": "colours", "current": older}
    listed = client.get("/v1/adapters").json()["data"]
    assert [a["version"] for a in listed if a["current"]] == [older]


def test_a_current_adapter_is_deleted_only_where_that_was_meant(client: TestClient) -> None:
    older, newer = two_versions()
    refused = client.delete(f"/v1/adapters/{newer}")
    assert (refused.status_code, refused.json()["code"]) == (409, "adapter-in-use")
    assert client.delete(f"/v1/adapters/{older}").json() == {"version": older}
    meant = client.delete(f"/v1/adapters/{newer}", params={"current": "true"})
    assert meant.json() == {"version": newer}
    assert client.get("/v1/adapters").json()["data"] == []


def test_no_adapter_is_deleted_while_a_job_may_be_reading_it(desk: Desk) -> None:
    older, _ = two_versions()
    job = desk.jobs.submit(["bench", "beats=1000"])
    with working(desk) as client:
        shown(client, f"/v1/jobs/{job.id}", lambda found: found["state"] == "running")
        refused = client.delete(f"/v1/adapters/{older}").json()
        assert (refused["code"], refused["retryable"]) == ("adapter-in-use", True)
        assert job.id in refused["detail"]
        client.post(f"/v1/jobs/{job.id}/cancel")
        ended(client, job.id)
        assert client.delete(f"/v1/adapters/{older}").status_code == 200


@pytest.mark.parametrize(
    ("method", "path"),
    [("GET", ""), ("DELETE", ""), ("POST", "/prove"), ("POST", "/current")],
    ids=str,
)
def test_an_unknown_adapter_is_a_problem(client: TestClient, method: str, path: str) -> None:
    response = client.request(method, f"/v1/adapters/{GHOST}{path}")
    assert (response.status_code, response.json()["code"]) == (404, "adapter-not-found")


def test_the_examples_are_valid() -> None:
    assert TrainRequest.model_validate(endpoints.ORDER)
    assert Card.model_validate(endpoints.CARD).version == endpoints.VERSION
