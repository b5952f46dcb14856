"""What there is: models, skills, adapters, traces, readiness."""

import asyncio
import sqlite3
from collections.abc import Iterator
from contextlib import contextmanager

from rag_adapt.core.errors import EngineError, StorageError
from rag_adapt.engines.scripted import ScriptedEngine
from rag_adapt.keys.key import Scope
from rag_adapt.keys.store import KeyStore
from rag_adapt.serving.service import Service
from rag_adapt.serving.traces import KeptTrace, TraceBook
from tests.api.parts import chat, client_of
from tests.serving.parts import HOME, benched, imported, live, published, service, warm


def names(client_models: dict[str, list[dict[str, str]]]) -> list[str]:
    return [model["id"] for model in client_models["data"] if "colours" in model["id"]]


def test_models_lists_the_engines_model_and_every_route_that_can_answer_now() -> None:
    imported()
    engine = ScriptedEngine()
    client = client_of(service(engine))
    listed = client.get("/v1/models").json()
    assert listed["data"][0]["id"] == "scripted"
    assert names(listed) == ["route:prompt/colours", "route:rag/colours"]
    published(engine, weights_hash=engine.fingerprint.weights)
    assert "route:lora/colours" in names(client.get("/v1/models").json())


def test_an_adapter_for_another_model_is_no_route() -> None:
    imported()
    engine = ScriptedEngine()
    published(engine)
    client = client_of(service(engine))
    assert "route:lora/colours" not in names(client.get("/v1/models").json())
    (adapter,) = client.get("/v1/adapters").json()["data"]
    assert (adapter["fits"], adapter["current"], adapter["skill"]) == (False, True, "colours")


def test_auto_is_listed_once_a_run_is_finished_and_damaged_runs_do_not_count() -> None:
    imported()
    client = client_of()
    assert "route:auto/colours" not in names(client.get("/v1/models").json())
    benched("colours", "--top-k", "2")
    (HOME / "runs" / "broken").mkdir(parents=True)
    (HOME / "runs" / "broken" / "run.json").write_text("{")
    assert "route:auto/colours" in names(client.get("/v1/models").json())
    told = chat(client, model="route:auto/colours").json()["rag_adapt"]
    assert told["recommended"] is True
    assert told["run"]
    assert told["basis"] in ("decided", "non-inferior", "undecided")


def test_one_model_is_found_by_its_name_with_slashes_in_it() -> None:
    imported()
    client = client_of()
    assert client.get("/v1/models/route:prompt/colours").json()["id"] == "route:prompt/colours"
    problem = client.get("/v1/models/route:prompt/ghost").json()
    assert (problem["status"], problem["code"]) == (404, "model-not-found")


def test_skills_are_listed_with_those_that_cannot_be_used() -> None:
    imported()
    faulty = imported("faulty")
    (faulty / "templates" / "prompt.toml").unlink()
    found = {s["name"]: s for s in client_of().get("/v1/skills").json()["data"]}
    assert found["orders"]["origin"] == "bundled"
    assert found["colours"]["items"] == {"train": 6, "dev": 2, "test": 6}
    assert found["colours"]["documents"] is True
    assert "templates/prompt.toml" in found["faulty"]["fault"]
    assert found["faulty"]["title"] is None


def test_a_trace_is_found_after_a_restart_and_an_unknown_one_is_a_problem() -> None:
    one = service()
    response = chat(client_of(one))
    one.traces.close()
    again = client_of(service())
    kept = again.get(f"/v1/traces/{response.headers['X-Trace-Id']}").json()
    assert kept["answers"][0]["text"] == "Hello there"
    problem = again.get("/v1/traces/ghost").json()
    assert (problem["status"], problem["code"]) == (404, "trace-not-found")


def test_the_service_lives_before_it_is_ready_and_says_what_is_missing() -> None:
    loaded = asyncio.Event()

    async def slow() -> None:
        await loaded.wait()

    parts = live()
    one = Service(parts, traces=TraceBook(HOME), scores=None, warm=slow)
    with client_of(one) as client:
        assert client.get("/healthz").json() == {"status": "ok"}
        response = client.get("/readyz")
        assert response.status_code == 503
        state = response.json()
        assert state["ready"] is False
        assert state["parts"][0]["name"] == "engine"
        assert state["parts"][0]["detail"] == "the model is being loaded"
        assert state["parts"][1] == {"name": "home", "ready": True, "detail": "traces can be read"}


def test_a_model_that_cannot_be_loaded_stands_in_readiness() -> None:
    async def broken() -> None:
        raise EngineError("no memory for it", hint="take a smaller one")

    one = Service(live(), traces=TraceBook(HOME), scores=None, warm=broken)
    with client_of(one, on_ready=lambda: None) as client:
        while (state := client.get("/readyz").json())["parts"][0]["detail"].startswith("the model"):
            continue
        assert state["parts"][0]["detail"] == "no memory for it"


def test_a_home_that_cannot_be_read_is_not_ready() -> None:
    class Unreadable(TraceBook):
        async def find(self, id: str) -> KeptTrace | None:
            raise StorageError("no disk at '/home/jane'", hint="bring it back")

    one = Service(live(), traces=Unreadable(HOME), scores=None, warm=warm)
    response = client_of(one).get("/readyz")
    assert response.status_code == 503
    assert response.json()["parts"][1]["detail"].startswith("the server cannot")


@contextmanager
def busy_state() -> Iterator[None]:
    """Another process writes to `state.db` and does not end."""
    other = sqlite3.connect(HOME / "state.db", isolation_level=None)
    other.execute("BEGIN IMMEDIATE")
    try:
        yield
    finally:
        other.execute("ROLLBACK")
        other.close()


def test_an_answer_goes_out_while_its_trace_cannot_be_kept_and_says_so() -> None:
    one = service()
    client = client_of(one)
    chat(client)
    with busy_state():
        response = chat(client)
        state = client.get("/readyz").json()
    assert response.status_code == 200
    assert response.json()["choices"][0]["message"]["content"] == "Hello there"
    assert response.json()["rag_adapt"]["trace_kept"] is False
    assert response.headers["X-Trace-Kept"] == "false"
    assert {p["name"]: p["ready"] for p in state["parts"]}["home"] is True
    assert "rag_adapt_traces_lost_total 1.0" in client.get("/metrics").text
    assert chat(client).json()["rag_adapt"]["trace_kept"] is True


def test_a_trace_is_read_by_the_key_that_asked_and_by_an_admin() -> None:
    one, keys = service(), KeyStore(HOME)
    client = client_of(one)
    scopes: dict[str, Scope] = {"mine": "chat", "other": "bench", "chief": "admin"}
    sent = {
        name: {"Authorization": f"Bearer {keys.create(name, scope).token.reveal()}"}
        for name, scope in scopes.items()
    }
    body = {"model": "scripted", "messages": [{"role": "user", "content": "Hello there"}]}
    asked = client.post("/v1/chat/completions", json=body, headers=sent["mine"])
    path = f"/v1/traces/{asked.headers['X-Trace-Id']}"
    found = {name: client.get(path, headers=headers).status_code for name, headers in sent.items()}
    assert found == {"mine": 200, "other": 404, "chief": 200}


def test_ready_and_end_are_told() -> None:
    told: list[str] = []

    async def ended() -> None:
        told.append("end")

    with client_of(on_ready=lambda: told.append("ready"), on_end=ended) as client:
        while client.get("/readyz").status_code != 200:
            continue
    assert told == ["ready", "end"]
