"""`POST /v1/chat/completions`: OpenAI's shape, with where the answer came from."""

import json
from typing import Any

import pytest

from rag_adapt.core.errors import ContextLengthError, EngineError
from rag_adapt.core.types import Call
from rag_adapt.engines.scripted import ScriptedEngine
from rag_adapt.serving.answering import TokenScore
from tests.api.parts import HELLO, chat, client_of, events
from tests.serving.parts import imported, published, service


class Words:
    """Scores every word of an answer alike."""

    async def score(self, call: Call, text: str) -> tuple[TokenScore, ...]:
        return tuple(TokenScore(text=word, logprob=-0.5) for word in text.split())


def test_the_plain_model_is_sent_the_messages_as_they_are() -> None:
    engine = ScriptedEngine()
    messages = [
        {"role": "system", "content": "Be brief."},
        {"role": "user", "content": "Hi"},
        {"role": "assistant", "content": "Hello"},
        {
            "role": "user",
            "content": [{"type": "text", "text": "How "}, {"type": "text", "text": "?"}],
        },
    ]
    response = chat(client_of(service(engine)), messages=messages)
    assert response.status_code == 200, response.text
    (call,) = engine.received
    assert [(m.role, m.content) for m in call.messages] == [
        *(("system", "Be brief."), ("user", "Hi"), ("assistant", "Hello"), ("user", "How ?"))
    ]
    assert response.json()["rag_adapt"]["route"] == "plain"


def test_a_developer_message_is_read_as_a_system_message() -> None:
    engine = ScriptedEngine()
    messages = [{"role": "developer", "content": "Be brief."}, *HELLO["messages"]]
    assert chat(client_of(service(engine)), messages=messages).status_code == 200
    assert engine.received[0].messages[0].role == "system"


def test_an_answer_says_what_was_used_and_why_it_ended() -> None:
    answer = chat(client_of(), max_tokens=1).json()
    assert answer["choices"][0]["message"] == {"role": "assistant", "content": "Hello"}
    assert answer["choices"][0]["finish_reason"] == "length"
    assert answer["usage"] == {"prompt_tokens": 2, "completion_tokens": 1, "total_tokens": 3}
    assert answer["object"] == "chat.completion"
    assert answer["model"] == "scripted"


def test_on_a_route_the_last_message_is_the_item_and_earlier_turns_stand_before_it() -> None:
    imported()
    engine = ScriptedEngine()
    messages = [
        {"role": "user", "content": "thing 1"},
        {"role": "assistant", "content": "red"},
        {"role": "user", "content": "thing 2"},
    ]
    response = chat(client_of(service(engine)), model="route:prompt/colours", messages=messages)
    assert response.status_code == 200, response.text
    sent = [(m.role, m.content) for m in engine.received[0].messages]
    assert sent[0] == ("system", "Answer with one of: red, blue.")
    assert sent[1:] == [("user", "thing 1"), ("assistant", "red"), ("user", "thing 2")]


def test_citations_adapter_route_and_trace_come_back_in_the_extension_and_as_headers() -> None:
    imported()
    engine = ScriptedEngine()
    version = published(engine, name="colours-context", with_context=True).version
    client = client_of(service(engine))
    response = chat(client, model="route:rag+lora/colours")
    told = response.json()["rag_adapt"]
    assert told["route"] == "rag+lora"
    assert told["skill"] == "colours"
    assert told["setup"] == "context, 2 passages"
    assert told["adapter"] == response.headers["X-Adapter"] == version
    assert told["trace_id"] == response.headers["X-Trace-Id"]
    assert {c["document"] for c in told["citations"]} == {"colours.md"}
    for citation in told["citations"]:
        assert citation["text"] in engine.received[0].messages[-1].content
        assert citation["end"] - citation["start"] == len(citation["text"])
    trace = client.get(f"/v1/traces/{told['trace_id']}").json()
    assert [e["name"] for e in trace["answers"][0]["trace"]["events"]] == [
        *("retrieve", "adapt", "render", "generate")
    ]
    sent = trace["answers"][0]["trace"]["events"][-1]["detail"]["call"]
    assert sent == json.loads(json.dumps(engine.received[0].as_json()))


def test_without_an_adapter_there_is_no_such_header() -> None:
    response = chat(client_of())
    assert "X-Adapter" not in response.headers
    assert response.json()["rag_adapt"]["adapter"] is None


def test_sampling_reaches_the_engine_on_top_of_the_skills_own() -> None:
    imported()
    engine = ScriptedEngine()
    more = {"temperature": 0.5, "top_p": 0.9, "seed": 7, "stop": ["END"], "max_tokens": 3}
    chat(client_of(service(engine)), model="route:prompt/colours", **more)
    sampling = engine.received[0].sampling
    assert (sampling.temperature, sampling.top_p, sampling.seed) == (0.5, 0.9, 7)
    assert sampling.stop == ("\n", "END")
    assert sampling.max_tokens == 3


def test_defaults_are_those_of_the_benchmark() -> None:
    imported()
    engine = ScriptedEngine()
    chat(client_of(service(engine)), model="route:prompt/colours")
    sampling = engine.received[0].sampling
    assert (sampling.temperature, sampling.seed, sampling.max_tokens) == (0.0, 0, 6)


def test_without_a_seed_every_request_draws_its_own() -> None:
    engine = ScriptedEngine()
    client = client_of(service(engine))
    for _ in range(3):
        chat(client, temperature=1.0)
    assert len({call.sampling.seed for call in engine.received}) == 3


@pytest.mark.parametrize(
    ("given", "limit"),
    [({"max_completion_tokens": 3}, 3), ({"max_tokens": 5, "max_completion_tokens": 4}, 4)],
)
def test_the_newer_name_of_the_limit_counts_too(given: dict[str, int], limit: int) -> None:
    engine = ScriptedEngine()
    chat(client_of(service(engine)), **given)
    assert engine.received[0].sampling.max_tokens == limit


def test_several_choices_are_asked_as_repeats_and_the_prompt_counts_once() -> None:
    engine = ScriptedEngine()
    answer = chat(client_of(service(engine)), n=3).json()
    assert [choice["index"] for choice in answer["choices"]] == [0, 1, 2]
    assert sorted(call.repeat for call in engine.received) == [0, 1, 2]
    assert answer["usage"] == {"prompt_tokens": 2, "completion_tokens": 6, "total_tokens": 8}


@pytest.mark.parametrize("harmless", ["user", "metadata", "store", "stream_options"])
def test_what_clients_send_out_of_habit_is_accepted(harmless: str) -> None:
    values: dict[str, Any] = {
        "user": "me",
        "metadata": {"a": "b"},
        "store": True,
        "stream_options": {"include_usage": True},
    }
    assert chat(client_of(), **{harmless: values[harmless]}).status_code == 200


@pytest.mark.parametrize(
    ("wrong", "says"),
    [
        ({"n": 9}, "body.n"),
        ({"n": 0}, "body.n"),
        ({"echo": True}, "kill a server"),
        ({"prompt_logprobs": 1}, "kill a server"),
        ({"prompt_logprobs": 0}, "kill a server"),
        ({"tools": [{"type": "function"}]}, "never calls tools"),
        ({"tools": []}, "never calls tools"),
        ({"presence_penalty": 0.5}, "no penalties"),
        ({"top_logprobs": 2}, "body.top_logprobs"),
        ({"temperature": 3}, "body.temperature"),
        ({"top_p": 0}, "body.top_p"),
        ({"max_tokens": 0}, "body.max_tokens"),
        ({"sparkle": 1, "glitter": 2}, "body.sparkle"),
        ({"sparkle": 1, "glitter": 2}, "body.glitter"),
        ({"messages": []}, "body.messages"),
        ({"messages": [{"role": "tool", "content": "x"}]}, "body.messages.0.role"),
        ({"messages": [{"role": "user", "content": [{"type": "image_url"}]}]}, "image_url"),
    ],
    ids=str,
)
def test_what_cannot_be_done_is_refused_with_the_field_and_the_reason(
    wrong: dict[str, Any], says: str
) -> None:
    response = chat(client_of(), **wrong)
    assert response.status_code == 400
    assert response.headers["content-type"] == "application/problem+json"
    if says != "image_url":
        assert says in response.json()["detail"]


@pytest.mark.parametrize(
    "body",
    [
        b'{"model": "scripted", "messages": [{"role": "user", "content": "\\ud800"}]}',
        b'{"model": "\\ud800", "messages": [{"role": "user", "content": "a"}]}',
        b'{"model": "scripted", "temperature": NaN, "messages": [{"role":"user","content":"a"}]}',
        b'{"model": "scripted", "seed": 1e400, "messages": [{"role": "user", "content": "a"}]}',
        b"[]",
        b"{",
        b"",
        b"\xff",
    ],
)
def test_an_odd_body_is_the_clients_fault(body: bytes) -> None:
    headers = {"Content-Type": "application/json"}
    response = client_of().post("/v1/chat/completions", content=body, headers=headers)
    assert response.status_code == 400, response.text


def test_a_last_message_that_is_not_the_users_is_refused() -> None:
    messages = [*HELLO["messages"], {"role": "assistant", "content": "Hm"}]
    problem = chat(client_of(), messages=messages).json()
    assert (problem["status"], problem["code"]) == (400, "last-message")


def test_a_system_message_on_a_route_is_refused_with_the_reason() -> None:
    imported()
    messages = [{"role": "system", "content": "Be brief."}, *HELLO["messages"]]
    problem = chat(client_of(), model="route:prompt/colours", messages=messages).json()
    assert (problem["status"], problem["code"]) == (400, "system-message")
    assert "speaks the system message itself" in problem["detail"]


def test_log_probabilities_are_given_where_the_engine_gives_them() -> None:
    client = client_of(service(scores=Words()))
    answer = chat(client, logprobs=True).json()
    (first, _) = answer["choices"][0]["logprobs"]["content"]
    assert (first["token"], first["logprob"], first["top_logprobs"]) == ("Hello", -0.5, [])
    assert bytes(first["bytes"]).decode() == "Hello"
    assert chat(client).json()["choices"][0]["logprobs"] is None


def test_log_probabilities_are_refused_where_it_does_not() -> None:
    problem = chat(client_of(), logprobs=True).json()
    assert (problem["status"], problem["code"]) == (400, "no-logprobs")
    assert "'scripted'" in problem["detail"]


@pytest.mark.parametrize(
    ("model", "status", "code"),
    [
        ("gpt-4o", 404, "model-not-found"),
        ("route:sing/colours", 404, "model-not-found"),
        ("route:prompt/ghost", 404, "model-not-found"),
        ("route:auto/colours", 404, "model-not-found"),
        ("route:lora/colours", 400, "adapter"),
    ],
)
def test_a_model_that_cannot_answer_is_a_problem(model: str, status: int, code: str) -> None:
    imported()
    problem = chat(client_of(), model=model).json()
    assert (problem["status"], problem["code"]) == (status, code)
    assert problem["hint"]


@pytest.mark.parametrize("stream", [False, True])
@pytest.mark.parametrize(
    ("error", "status"),
    [
        (EngineError("it broke", hint="mend it"), 502),
        (ContextLengthError("too long", hint="shorten it"), 413),
    ],
    ids=["engine", "context"],
)
def test_an_engines_failure_before_the_first_token_has_its_status(
    error: EngineError, status: int, stream: bool
) -> None:
    client = client_of(service(ScriptedEngine(failures={"Hello": error})))
    response = chat(client, stream=stream)
    assert response.status_code == status
    problem = response.json()
    assert (problem["detail"], problem["hint"]) == (error.fact, error.hint)
    kept = client.get(f"/v1/traces/{response.headers['X-Trace-Id']}").json()
    assert kept["answers"][0]["failure"]["code"] == error.code


def test_several_choices_that_fail_together_are_one_problem() -> None:
    error = EngineError("it broke", hint="mend it")
    response = chat(client_of(service(ScriptedEngine(failures={"Hello": error}))), n=4)
    assert (response.status_code, response.json()["code"]) == (502, "engine")


def test_an_adapter_that_is_not_proven_is_503_with_the_reason() -> None:
    from rag_adapt.bench.proof import Proof, not_provable

    imported()
    engine = ScriptedEngine()
    version = published(engine).version

    async def unproven(name: str) -> Proof:
        return not_provable(name, engine="scripted")

    client = client_of(service(engine, prove=unproven))
    problem = chat(client, model="route:lora/colours").json()
    assert (problem["status"], problem["code"]) == (503, "not-proven")
    assert f"so {version} cannot be checked" in problem["detail"]
    counted = client.get("/metrics").text
    assert f'rag_adapt_proof_failures_total{{adapter="{version}"}} 1.0' in counted


def test_a_stream_says_the_same_in_pieces() -> None:
    client = client_of()
    response = chat(client, stream=True)
    assert response.headers["content-type"].startswith("text/event-stream")
    *chunks, done = events(response.text)
    assert done == "[DONE]"
    read = [json.loads(chunk) for chunk in chunks]
    deltas = [chunk["choices"][0]["delta"] for chunk in read]
    assert deltas[0]["role"] == "assistant"
    assert "".join(delta.get("content", "") for delta in deltas) == "Hello there"
    assert [c["choices"][0]["finish_reason"] for c in read] == [None, None, "stop"]
    assert read[-1]["rag_adapt"]["trace_id"] == response.headers["X-Trace-Id"]
    assert all("rag_adapt" not in chunk for chunk in read[:-1])
    assert client.get(f"/v1/traces/{response.headers['X-Trace-Id']}").status_code == 200


def test_a_stream_with_usage_ends_with_it_and_with_the_extension() -> None:
    response = chat(client_of(), stream=True, stream_options={"include_usage": True}, n=2)
    read = [json.loads(chunk) for chunk in events(response.text)[:-1]]
    last = read[-1]
    assert last["choices"] == []
    assert last["usage"]["completion_tokens"] == 4
    assert last["rag_adapt"]["route"] == "plain"
    assert {c["choices"][0]["index"] for c in read[:-1]} == {0, 1}
    roles = [c["choices"][0]["delta"].get("role") for c in read[:-1]]
    assert roles.count("assistant") == 2


def test_an_empty_answer_streams_too() -> None:
    client = client_of(service(ScriptedEngine(lambda call: "")))
    read = [json.loads(chunk) for chunk in events(chat(client, stream=True).text)[:-1]]
    assert read[0]["choices"][0]["delta"] == {"role": "assistant", "content": ""}
    assert read[-1]["choices"][0]["finish_reason"] == "stop"


def test_log_probabilities_stream_with_the_end_of_a_choice() -> None:
    client = client_of(service(scores=Words()))
    read = [json.loads(c) for c in events(chat(client, stream=True, logprobs=True).text)[:-1]]
    assert len(read[-1]["choices"][0]["logprobs"]["content"]) == 2


def test_answers_are_counted_by_route_and_adapter() -> None:
    imported()
    client = client_of()
    chat(client, model="route:prompt/colours")
    chat(client)
    counted = client.get("/metrics").text
    for route in ("route:prompt/colours", "scripted"):
        name = f'rag_adapt_requests_total{{adapter="none",outcome="answered",route="{route}"}}'
        assert f"{name} 1.0" in counted
    assert 'direction="out",route="scripted"} 2.0' in counted
