"""The official OpenAI client and LangChain's ChatOpenAI, unchanged, over loopback HTTP."""

from collections.abc import Iterator
from typing import Any

import openai
import pytest
from langchain_core.messages import AIMessage, HumanMessage
from langchain_openai import ChatOpenAI
from openai import OpenAI

from rag_adapt.engines.scripted import ScriptedEngine
from tests.api.parts import app_of, listening
from tests.serving.parts import imported, service


@pytest.fixture
def url() -> Iterator[str]:
    imported()
    with listening(app_of(service(ScriptedEngine()))) as address:
        yield f"{address}/v1"


@pytest.fixture
def client(url: str) -> Iterator[OpenAI]:
    with OpenAI(base_url=url, api_key="none", max_retries=0) as made:
        yield made


def test_openai_asks_a_route_and_reads_where_the_answer_came_from(client: OpenAI) -> None:
    answer = client.chat.completions.create(
        model="route:rag/colours",
        messages=[{"role": "user", "content": "thing number 1"}],
        user="me",
        seed=3,
        n=2,
    )
    assert answer.choices[0].message.content == "thing number 1"
    assert answer.choices[1].finish_reason == "stop"
    assert answer.usage is not None
    assert answer.usage.completion_tokens == 6
    told = answer.model_extra or {}
    assert told["rag_adapt"]["citations"][0]["document"] == "colours.md"


def test_openai_sends_an_answer_back_as_it_came(client: OpenAI) -> None:
    asked: Any = {"role": "user", "content": "Hello there"}
    first = client.chat.completions.create(model="scripted", messages=[asked])
    back: Any = first.choices[0].message.model_dump()
    assert back["refusal"] is None
    again = client.chat.completions.create(model="scripted", messages=[asked, back, asked])
    assert again.choices[0].message.content


def test_openai_streams(client: OpenAI) -> None:
    stream = client.chat.completions.create(
        model="route:prompt/colours",
        messages=[{"role": "user", "content": "thing number 1"}],
        stream=True,
        stream_options={"include_usage": True},
    )
    chunks = list(stream)
    said = "".join(c.choices[0].delta.content or "" for c in chunks if c.choices)
    assert said == "thing number 1"
    assert chunks[-1].usage is not None
    assert (chunks[-1].model_extra or {})["rag_adapt"]["route"] == "prompt"


def test_openai_completes_and_lists_models(client: OpenAI) -> None:
    answer = client.completions.create(model="scripted", prompt="Hello there")
    assert answer.choices[0].text == "Hello there"
    listed = [model.id for model in client.models.list()]
    assert {"scripted", "route:rag/colours"} <= set(listed)
    assert client.models.retrieve("scripted").id == "scripted"


def test_openai_raises_its_own_errors_with_our_code_and_reason(client: OpenAI) -> None:
    hello: list[openai.types.chat.ChatCompletionMessageParam]
    hello = [{"role": "user", "content": "x"}]
    with pytest.raises(openai.NotFoundError, match="no skill 'ghost'") as missing:
        client.chat.completions.create(model="route:prompt/ghost", messages=hello)
    assert missing.value.code == "model-not-found"
    with pytest.raises(openai.BadRequestError, match="adapters train colours"):
        client.chat.completions.create(model="route:lora/colours", messages=hello)


def test_chat_openai_asks_remembers_and_streams(url: str) -> None:
    model = ChatOpenAI(model="route:prompt/colours", base_url=url, api_key="none")  # type: ignore[arg-type]  # plain text, as users write it
    answer = model.invoke([HumanMessage("thing 1"), AIMessage("red"), HumanMessage("thing 2")])
    assert answer.content == "thing 2"
    assert answer.usage_metadata is not None
    assert answer.usage_metadata["output_tokens"] == 2
    assert "".join(str(piece.content) for piece in model.stream("thing 3")) == "thing 3"
