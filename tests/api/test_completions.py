"""`POST /v1/completions`: OpenAI's older shape."""

import json

import pytest

from rag_adapt.engines.scripted import ScriptedEngine
from tests.api.parts import client_of, events
from tests.api.test_chat import Words
from tests.serving.parts import imported, service

PROMPT = {"model": "scripted", "prompt": "Hello there"}


def test_a_prompt_is_sent_as_one_user_message_to_the_plain_model() -> None:
    engine = ScriptedEngine()
    answer = client_of(service(engine)).post("/v1/completions", json=PROMPT).json()
    assert [m.role for m in engine.received[0].messages] == ["user"]
    assert answer["object"] == "text_completion"
    assert answer["choices"][0] == {
        "index": 0,
        "text": "Hello there",
        "finish_reason": "stop",
        "logprobs": None,
    }
    assert answer["usage"]["total_tokens"] == 4


def test_on_a_route_the_prompt_is_the_item() -> None:
    imported()
    engine = ScriptedEngine()
    asked = {**PROMPT, "model": "route:prompt/colours"}
    answer = client_of(service(engine)).post("/v1/completions", json=asked).json()
    assert [m.role for m in engine.received[0].messages] == ["system", "user"]
    assert answer["rag_adapt"]["route"] == "prompt"


def test_several_prompts_are_answered_in_order() -> None:
    asked = {**PROMPT, "prompt": ["one", "two three"], "n": 2}
    answer = client_of().post("/v1/completions", json=asked).json()
    assert [c["text"] for c in answer["choices"]] == ["one", "one", "two three", "two three"]
    assert [c["index"] for c in answer["choices"]] == [0, 1, 2, 3]
    assert answer["usage"] == {"prompt_tokens": 3, "completion_tokens": 6, "total_tokens": 9}


def test_prompts_times_n_are_bounded() -> None:
    asked = {**PROMPT, "prompt": ["a"] * 5, "n": 2}
    problem = client_of().post("/v1/completions", json=asked).json()
    assert (problem["status"], problem["code"]) == (400, "too-many-choices")
    assert "make 10 answers" in problem["detail"]


@pytest.mark.parametrize(
    "wrong",
    [{"echo": True}, {"suffix": "."}, {"best_of": 3}, {"prompt": [1, 2]}, {"logprobs": 5}],
    ids=str,
)
def test_what_cannot_be_done_is_refused(wrong: dict[str, object]) -> None:
    response = client_of().post("/v1/completions", json={**PROMPT, **wrong})
    assert response.status_code == 400
    assert next(iter(wrong)) in response.json()["detail"]


def test_log_probabilities_have_the_older_shape() -> None:
    client = client_of(service(scores=Words()))
    answer = client.post("/v1/completions", json={**PROMPT, "logprobs": 1}).json()
    assert answer["choices"][0]["logprobs"] == {
        "tokens": ["Hello", "there"],
        "token_logprobs": [-0.5, -0.5],
        "top_logprobs": None,
        "text_offset": [0, 5],
    }


def test_a_stream_says_the_same_in_pieces() -> None:
    asked = {**PROMPT, "stream": True, "stream_options": {"include_usage": True}}
    *chunks, done = events(client_of().post("/v1/completions", json=asked).text)
    read = [json.loads(chunk) for chunk in chunks]
    assert done == "[DONE]"
    assert "".join(c["choices"][0]["text"] for c in read[:-1]) == "Hello there"
    assert read[-2]["choices"][0]["finish_reason"] == "stop"
    assert read[-1]["usage"]["completion_tokens"] == 2
    assert read[-1]["rag_adapt"]["route"] == "plain"


def test_equal_prompts_are_counted_each_and_choices_of_one_prompt_once() -> None:
    def prompt_tokens(**more: object) -> int:
        response = client_of().post("/v1/completions", json={"model": "scripted", **more})
        return int(response.json()["usage"]["prompt_tokens"])

    one = prompt_tokens(prompt="walk on")
    assert one > 0
    assert prompt_tokens(prompt=["walk on", "walk on"]) == 2 * one
    assert prompt_tokens(prompt="walk on", n=3) == one
