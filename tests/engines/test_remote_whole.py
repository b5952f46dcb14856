"""Answers that nobody streams are asked at once, under the same checks; and what a stream says."""

import asyncio
import threading
import time
from dataclasses import replace

import pytest

from rag_adapt.core.errors import EngineError, NotProvenError, RagAdaptError, RefusedError
from rag_adapt.core.types import Call, Delta, Message, Outcome, Sampling, Usage
from rag_adapt.engines.remote import RemoteEngine
from tests.engines.loopback import Behaviour, Exchange, Server, serve

PROVIDERS = pytest.mark.parametrize("model", ["openai/base", "hosted_vllm/base"])
pytestmark = pytest.mark.filterwarnings(
    # LiteLLM 1.106 has a typed dict that pydantic warns of when the first stream is read
    "ignore:Item .* on TypedDict class:UserWarning"
)
VERSION = "orders@0123456789ab"
CALL = Call(messages=(Message(role="user", content="hi"),), sampling=Sampling(max_tokens=9))


def says(text: str | None, *, model: str | None = None, reason: str = "stop") -> Behaviour:
    def behave(exchange: Exchange) -> None:
        exchange.whole(text, model=model or exchange.body["model"], reason=reason)

    return behave


def engine_for(server: Server, model: str = "openai/base", **options: object) -> RemoteEngine:
    return RemoteEngine(model, api_base=server.url, **options)  # type: ignore[arg-type]


async def deltas(engine: RemoteEngine, call: Call = CALL) -> list[Delta]:
    try:
        return [delta async for delta in engine.whole(call)]
    finally:
        await engine.aclose()


def answer(engine: RemoteEngine, call: Call = CALL) -> Outcome:
    outcome = asyncio.run(deltas(engine, call))[-1].outcome
    assert outcome is not None
    return outcome


@pytest.fixture(autouse=True, scope="module")
def warm() -> None:
    """The first answer of a process loads LiteLLM, for seconds."""
    with serve(says("warm")) as server:
        answer(engine_for(server))


@PROVIDERS
def test_an_answer_comes_in_one_piece_with_what_the_server_counted(model: str) -> None:
    with serve(says("hello there")) as server:
        found = asyncio.run(deltas(engine_for(server, model)))
    assert [delta.text for delta in found] == ["hello there", ""]
    outcome = found[-1].outcome
    assert outcome is not None
    assert (outcome.text, outcome.finish_reason) == ("hello there", "stop")
    assert outcome.usage == Usage(tokens_in=7, tokens_out=3)
    assert outcome.sent.model == "base"
    assert outcome.times.first_token == outcome.times.total


@PROVIDERS
def test_the_request_is_that_of_a_stream_without_the_stream(model: str) -> None:
    with serve(says("x")) as server:
        answer(engine_for(server, model))
    (body,) = server.bodies
    assert body.pop("stream", False) is False
    assert body == {
        "model": "base",
        "messages": [{"role": "user", "content": "hi"}],
        "max_tokens": 9,
        "temperature": 0.0,
    }


@pytest.mark.parametrize("text", ["", None])
def test_an_empty_answer_is_an_answer(text: str | None) -> None:
    with serve(says(text, reason="length")) as server:
        outcome = answer(engine_for(server))
    assert (outcome.text, outcome.finish_reason) == ("", "length")


@PROVIDERS
def test_another_model_than_the_adapter_is_not_proven(model: str) -> None:
    with serve(says("x", model="base")) as server, pytest.raises(NotProvenError):
        answer(engine_for(server, model), replace(CALL, adapter=VERSION))


def test_what_the_provider_withholds_is_refused() -> None:
    with serve(says("x", reason="content_filter")) as server, pytest.raises(RefusedError):
        answer(engine_for(server))


@PROVIDERS
def test_a_refusal_is_translated_and_asked_once(model: str) -> None:
    with (
        serve(lambda exchange: exchange.fail(400, "bad top_p")) as server,
        pytest.raises(RefusedError, match="bad top_p"),
    ):
        answer(engine_for(server, model))
    assert len(server.bodies) == 1


@PROVIDERS
def test_a_reader_that_goes_away_closes_the_connection(model: str) -> None:
    closed = threading.Event()

    def behave(exchange: Exchange) -> None:
        exchange.handler.connection.settimeout(10)
        if exchange.handler.rfile.read(1) == b"":
            closed.set()

    async def scene(engine: RemoteEngine) -> None:
        reader = asyncio.create_task(_collect(engine))
        await asyncio.sleep(0.5)
        reader.cancel()
        await asyncio.gather(reader, return_exceptions=True)
        assert await asyncio.to_thread(closed.wait, 30.0)
        await engine.aclose()

    with serve(behave) as server:
        asyncio.run(scene(engine_for(server, model)))


def test_an_answer_that_does_not_come_ends_at_the_timeout() -> None:
    with (
        serve(lambda exchange: time.sleep(0.6)) as server,
        pytest.raises(EngineError, match=r"within 0\.2 s"),
    ):
        answer(engine_for(server, timeout=0.2))


@PROVIDERS
@pytest.mark.parametrize(
    ("code", "expected"), [(400, RefusedError), (500, EngineError)], ids=["refusal", "fault"]
)
def test_an_error_in_the_middle_of_a_stream_is_told_in_the_servers_words(
    model: str, code: int, expected: type[RagAdaptError]
) -> None:
    def behave(exchange: Exchange) -> None:
        exchange.open()
        exchange.send("half", model="base")
        exchange.refuse("the adapter is gone", code)

    with serve(behave) as server, pytest.raises(RagAdaptError, match="adapter is gone") as caught:
        asyncio.run(_streamed(engine_for(server, model)))
    if model == "hosted_vllm/base":  # the other provider's client drops the code
        assert type(caught.value) is expected


def test_loading_ahead_makes_the_first_answer_quick() -> None:
    async def scene(engine: RemoteEngine) -> None:
        await engine.ready()
        await engine.ready()
        assert [delta.text async for delta in engine.whole(CALL)] == ["x", ""]
        await engine.aclose()

    with serve(says("x")) as server:
        asyncio.run(scene(engine_for(server)))


async def _collect(engine: RemoteEngine) -> list[Delta]:
    return [delta async for delta in engine.whole(CALL)]


async def _streamed(engine: RemoteEngine) -> None:
    try:
        async for _ in engine.generate(CALL):
            continue
    finally:
        await engine.aclose()
