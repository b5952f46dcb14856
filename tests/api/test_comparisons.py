"""`POST /v1/comparisons`: the same question to several models, each answering for itself."""

import asyncio
import json
import socket
from typing import Any

import pytest
from fastapi.testclient import TestClient

from rag_adapt.api import comparisons
from rag_adapt.api.problems import Problem
from rag_adapt.core.errors import EngineError
from rag_adapt.core.types import Call, Delta
from rag_adapt.engines.scripted import ScriptedEngine
from rag_adapt.schemas.comparisons import Comparison, ComparisonRequest, FailureInfo
from rag_adapt.serving.catalogue import Catalogue
from tests.api.parts import app_of, client_of, listening
from tests.serving.parts import imported, published, service
from tests.waiting import wait_until

BOTH = {"models": ["scripted", "route:prompt/colours"], "question": "thing 1"}


def compare(client: TestClient, **more: Any) -> Any:
    return client.post("/v1/comparisons", json={**BOTH, **more})


def named_events(text: str) -> list[tuple[str, Any]]:
    """Name and data of every event."""
    found = []
    for block in text.strip().split("\n\n"):
        fields = dict(line.split(": ", 1) for line in block.splitlines())
        data = fields["data"]
        found.append((fields["event"], data if data == "[DONE]" else json.loads(data)))
    return found


def test_every_model_answers_in_the_order_of_the_request() -> None:
    imported()
    engine = ScriptedEngine()
    response = compare(client_of(service(engine)))
    assert response.status_code == 200, response.text
    plain, route = Comparison.model_validate(response.json()).data
    assert (plain.index, plain.model, route.index, route.model) == (
        *(0, "scripted"),
        *(1, "route:prompt/colours"),
    )
    assert plain.answer is not None
    assert route.answer is not None
    assert (plain.answer.text, plain.answer.finish_reason) == ("thing 1", "stop")
    assert plain.answer.usage.completion_tokens == 2
    assert plain.answer.times.total >= plain.answer.times.first_token
    assert plain.answer.cost is not None
    assert plain.answer.cost.unit == "compute-seconds"
    assert 0 <= plain.answer.cost.value <= plain.answer.times.total
    assert plain.answer.rag_adapt.route == "plain"
    assert (route.answer.rag_adapt.route, route.answer.rag_adapt.skill) == ("prompt", "colours")
    assert len(engine.received) == 2


def test_citations_adapter_and_a_trace_of_its_own_come_with_each_answer() -> None:
    imported()
    engine = ScriptedEngine()
    version = published(engine, name="colours-context", with_context=True).version
    client = client_of(service(engine))
    models = ["route:rag+lora/colours", "scripted"]
    first, second = compare(client, models=models).json()["data"]
    told = first["answer"]["rag_adapt"]
    assert told["adapter"] == version
    assert {one["document"] for one in told["citations"]} == {"colours.md"}
    proof = first["answer"]["proof"]
    assert proof["proven"]
    assert [(check["name"], check["passed"]) for check in proof["checks"]] == [("hash", True)]
    assert second["answer"]["proof"] is None
    traces = [one["answer"]["rag_adapt"]["trace_id"] for one in (first, second)]
    assert len(set(traces)) == 2
    for trace, model in zip(traces, models, strict=True):
        kept = client.get(f"/v1/traces/{trace}").json()
        assert kept["model"] == model
        told = next(a for a in (first, second) if a["answer"]["rag_adapt"]["trace_id"] == trace)
        assert kept["answers"][0]["cost"] == told["answer"]["cost"]
        assert kept["answers"][0]["proof"] == told["answer"]["proof"]


def test_one_models_failure_is_its_own() -> None:
    models = ["scripted", "route:prompt/ghost", "gpt-4o"]
    good, *bad = compare(client_of(), models=models).json()["data"]
    assert good["answer"]["text"] == "thing 1"
    assert good["failure"] is None
    for one in bad:
        assert one["answer"] is None
        assert (one["failure"]["status"], one["failure"]["code"]) == (404, "model-not-found")
        assert one["failure"]["hint"]


def test_an_engines_failure_says_which_trace_tells_more() -> None:
    error = EngineError("it broke", hint="mend it")
    client = client_of(service(ScriptedEngine(failures={"thing": error})))
    (only,) = compare(client, models=["scripted"]).json()["data"]
    assert only["failure"]["detail"] == "it broke"
    kept = client.get(f"/v1/traces/{only['failure']['trace_id']}").json()
    assert kept["answers"][0]["failure"]["code"] == "engine"


def test_what_nobody_expected_is_a_failure_without_the_inside() -> None:
    class Broken(Catalogue):
        async def open(self, model: str) -> Any:
            if model == "odd":
                raise ZeroDivisionError("/srv/secret")
            return await super().open(model)

    one = service()
    one.catalogue = Broken(one.live)
    good, bad = compare(client_of(one), models=["scripted", "odd"]).json()["data"]
    assert good["answer"]["text"] == "thing 1"
    assert (bad["failure"]["status"], bad["failure"]["code"]) == (500, "internal")
    assert "secret" not in json.dumps(bad)


def test_a_failure_has_the_shape_of_every_other_problem() -> None:
    assert set(FailureInfo.model_fields) - {"trace_id"} == set(Problem.model_fields)


def test_earlier_turns_and_sampling_are_the_same_for_all() -> None:
    imported()
    engine = ScriptedEngine()
    turns = [{"role": "user", "content": "thing 0"}, {"role": "assistant", "content": "red"}]
    more = {"turns": turns, "temperature": 0.5, "top_p": 0.9, "max_tokens": 3, "stop": "END"}
    compare(client_of(service(engine)), **more)
    first, second = engine.received
    assert first.sampling.seed == second.sampling.seed
    for call in (first, second):
        assert (call.sampling.temperature, call.sampling.max_tokens) == (0.5, 3)
        assert "END" in call.sampling.stop
        assert [m.content for m in call.messages][-3:] == ["thing 0", "red", "thing 1"]
    compare(client_of(service(engine)), **more)
    assert engine.received[-1].sampling.seed != first.sampling.seed


def test_a_stream_names_its_events_and_ends_with_done() -> None:
    response = compare(client_of(), models=["scripted", "gpt-4o"], stream=True)
    assert response.headers["content-type"].startswith("text/event-stream")
    *found, last = named_events(response.text)
    assert last == ("done", "[DONE]")
    deltas = [data for name, data in found if name == "delta"]
    assert "".join(one["text"] for one in deltas) == "thing 1"
    assert {(one["index"], one["model"]) for one in deltas} == {(0, "scripted")}
    (answer,) = [data for name, data in found if name == "answer"]
    assert (answer["index"], answer["answer"]["text"]) == (0, "thing 1")
    (failure,) = [data for name, data in found if name == "failure"]
    assert (failure["index"], failure["failure"]["code"]) == (1, "model-not-found")


class Endless(ScriptedEngine):
    """Says a word every 20 ms, without end; but for one question, which it answers at once."""

    open = 0
    cut_off = False

    async def generate(self, call: Call):  # type: ignore[no-untyped-def]  # a fake of an async generator
        if call.messages[0].role == "system":
            async for delta in super().generate(call):
                yield delta
            return
        self.open += 1
        try:
            for _ in range(1000):
                await asyncio.sleep(0.02)
                yield Delta(text="word ")
        except (asyncio.CancelledError, GeneratorExit):
            self.cut_off = True
            raise
        finally:
            self.open -= 1


def send(url: str, *, stream: bool) -> socket.socket:
    """A request over a plain socket, so that leaving is up to the test."""
    host, _, port = url.removeprefix("http://").partition(":")
    body = json.dumps({**BOTH, "stream": stream}).encode()
    head = (
        f"POST /v1/comparisons HTTP/1.1\r\nHost: {host}:{port}\r\n"
        f"Content-Type: application/json\r\nContent-Length: {len(body)}\r\n\r\n"
    )
    connection = socket.create_connection((host, int(port)), timeout=10)
    connection.sendall(head.encode() + body)
    return connection


@pytest.mark.parametrize("stream", [True, False])
def test_a_client_that_leaves_cancels_all(stream: bool) -> None:
    imported()
    engine = Endless()
    with listening(app_of(service(engine))) as url, send(url, stream=stream) as connection:
        wait_until(lambda: engine.open)
        assert engine.open == 1
        connection.close()
        wait_until(lambda: not engine.open)
    assert engine.cut_off


def test_a_quick_answer_does_not_wait_for_a_slow_one() -> None:
    imported()
    with listening(app_of(service(Endless()))) as url, send(url, stream=True) as connection:
        read = b""
        while b"event: answer" not in read:
            read += connection.recv(4096)
        assert b'"index":1' in read.split(b"event: answer")[0].splitlines()[-1]


@pytest.mark.parametrize(
    ("wrong", "field"),
    [
        ({"models": []}, "body.models"),
        ({"models": [f"m{n}" for n in range(7)]}, "body.models"),
        ({"models": ["scripted", "scripted"]}, "body.models"),
        ({"models": [[]]}, "body.models"),
        ({"question": ""}, "body.question"),
        ({"turns": [{"role": "system", "content": "x"}]}, "body.turns.0.role"),
        ({"temperature": 3}, "body.temperature"),
        ({"n": 2}, "body.n"),
    ],
    ids=str,
)
def test_what_cannot_be_asked_is_refused_by_its_field(wrong: dict[str, Any], field: str) -> None:
    response = compare(client_of(), **wrong)
    assert response.status_code == 400
    assert field in response.json()["detail"]


def test_the_examples_are_valid() -> None:
    assert ComparisonRequest.model_validate(comparisons.REQUEST)
    assert Comparison.model_validate(comparisons.COMPARISON)
