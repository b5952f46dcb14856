"""The remote engine against a small server on the loopback: streams, checks, failures, cancel."""

import asyncio
import subprocess
import sys
import time
from collections.abc import Iterator
from dataclasses import replace
from itertools import count

import pytest

from rag_adapt.core.errors import (
    AdapterError,
    ContextLengthError,
    EngineError,
    ModelNotFoundError,
    NoLogProbsError,
    NotProvenError,
    RagAdaptError,
    RefusedError,
    SettingsError,
)
from rag_adapt.core.types import Call, Delta, Message, Outcome, Sampling, Usage
from rag_adapt.engines.cached import CachedEngine
from rag_adapt.engines.remote import Cost, RemoteEngine
from tests.engines.loopback import Behaviour, Exchange, Server, serve

PROVIDERS = pytest.mark.parametrize("model", ["openai/base", "hosted_vllm/base"])
VERSION = "orders@0123456789ab"
KEY = "sk-secret-123"


def ask(**sampling: object) -> Call:
    return Call(
        messages=(Message(role="system", content="be brief"), Message(role="user", content="hi")),
        sampling=Sampling(**sampling),  # type: ignore[arg-type]
    )


def says(*words: str, model: str | None = None, reason: str = "stop") -> Behaviour:
    """A server that streams words, under the name it was asked for unless told otherwise."""

    def behave(exchange: Exchange) -> None:
        name = model or exchange.body["model"]
        exchange.open()
        for word in words:
            exchange.send(word, model=name)
        exchange.send(model=name, reason=reason)
        exchange.end(model=name)

    return behave


def fails(status: int, message: str, code: str | None = None) -> Behaviour:
    return lambda exchange: exchange.fail(status, message, code)


def engine_for(server: Server, model: str = "openai/base", **options: object) -> RemoteEngine:
    return RemoteEngine(model, api_base=server.url, api_key=KEY, **options)  # type: ignore[arg-type]


async def deltas(engine: RemoteEngine, *calls: Call) -> list[Delta]:
    try:
        return [delta for call in calls async for delta in engine.generate(call)]
    finally:
        await engine.aclose()


def answer(engine: RemoteEngine, call: Call | None = None) -> Outcome:
    outcome = asyncio.run(deltas(engine, call or ask()))[-1].outcome
    assert outcome is not None
    return outcome


@pytest.fixture(autouse=True, scope="module")
def warm() -> None:
    """The first answer of a process loads LiteLLM, for seconds; tests of time come after it."""
    with serve(says("warm")) as server:
        for model in ("openai/base", "hosted_vllm/base"):
            answer(engine_for(server, model))


@PROVIDERS
def test_an_answer_streams_and_ends_with_what_the_server_counted(model: str) -> None:
    with serve(says("hello", " there")) as server:
        found = asyncio.run(deltas(engine_for(server, model), ask()))
    assert [delta.text for delta in found] == ["hello", " there", ""]
    outcome = found[-1].outcome
    assert outcome is not None
    assert (outcome.text, outcome.finish_reason) == ("hello there", "stop")
    assert outcome.usage == Usage(tokens_in=7, tokens_out=3)
    assert (outcome.sent.messages, outcome.sent.model) == (ask().messages, "base")
    assert (outcome.sent.token_ids, outcome.sent.template_hash) == (None, None)


@PROVIDERS
def test_the_request_carries_the_call_and_nothing_more(model: str) -> None:
    with serve(says("x")) as server:
        answer(engine_for(server, model), ask(max_tokens=9, stop=("\n",)))
    assert server.bodies == [
        {
            "model": "base",
            "messages": [
                {"role": "system", "content": "be brief"},
                {"role": "user", "content": "hi"},
            ],
            "max_tokens": 9,
            "temperature": 0.0,
            "stop": ["\n"],
            "stream": True,
            "stream_options": {"include_usage": True},
        }
    ]
    assert server.keys == [f"Bearer {KEY}"]


def test_seed_and_top_p_are_sent_where_they_change_something() -> None:
    with serve(says("x")) as server:
        answer(engine_for(server), ask(temperature=0.7, top_p=0.9, seed=5))
    body = server.bodies[0]
    assert (body["temperature"], body["top_p"], body["seed"]) == (0.7, 0.9, 5)


def test_a_server_of_ones_own_never_gets_the_key_of_a_provider(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("OPENAI_API_KEY", "sk-of-a-provider")
    with serve(says("x")) as server:
        answer(RemoteEngine("openai/base", api_base=server.url))
    assert server.keys == ["Bearer none"]


def test_the_limit_of_tokens_is_the_reason_length() -> None:
    with serve(says("x", reason="length")) as server:
        assert answer(engine_for(server)).finish_reason == "length"


def test_an_empty_answer_is_an_answer() -> None:
    with serve(says()) as server:
        outcome = answer(engine_for(server))
    assert (outcome.text, outcome.finish_reason) == ("", "stop")
    assert outcome.times.first_token == outcome.times.total


def test_times_run_from_the_arrival_to_the_first_and_the_last_token() -> None:
    ticks: Iterator[int] = count()
    with serve(says("a", "b", "c")) as server:
        times = answer(engine_for(server, clock=lambda: float(next(ticks)))).times
    assert (times.queued, times.first_token, times.total, times.alone) == (0.0, 1.0, 3.0, True)


def test_answers_that_overlap_are_not_alone() -> None:
    async def scene(engine: RemoteEngine) -> list[bool]:
        found = await asyncio.gather(*(_collect(engine) for _ in range(3)))
        await engine.aclose()
        return [outcome.times.alone for outcome in found]

    with serve(_slowly) as server:
        assert asyncio.run(scene(engine_for(server))) == [False] * 3


def test_an_adapter_is_asked_for_by_its_version() -> None:
    with serve(says("x")) as server:
        outcome = answer(engine_for(server), replace(ask(), adapter=VERSION))
    assert server.bodies[0]["model"] == VERSION
    assert (outcome.sent.adapter, outcome.sent.model) == (VERSION, VERSION)


def test_an_adapter_that_did_not_answer_itself_is_not_proven() -> None:
    with (
        serve(says("x", model="base")) as server,
        pytest.raises(NotProvenError, match="'base' answered"),
    ):
        answer(engine_for(server), replace(ask(), adapter=VERSION))


def test_an_adapter_needs_a_server_that_can_load_it() -> None:
    with pytest.raises(AdapterError, match="no server of ours") as caught:
        answer(RemoteEngine("openai/gpt-4o-mini"), replace(ask(), adapter=VERSION))
    assert "api_base" in caught.value.hint


def test_an_adapter_that_the_server_does_not_have_is_named() -> None:
    with (
        serve(fails(404, "no such model", "model_not_found")) as server,
        pytest.raises(AdapterError, match=f"does not serve adapter '{VERSION}'"),
    ):
        answer(engine_for(server), replace(ask(), adapter=VERSION))


def test_a_server_that_changes_models_in_the_middle_is_found_out() -> None:
    names = iter(["base-2026-01", "base-2026-02"])
    with (
        serve(lambda exchange: says("x", model=next(names))(exchange)) as server,
        pytest.raises(EngineError, match=r"changed models: 'base-2026-01' .* 'base-2026-02'"),
    ):
        asyncio.run(deltas(engine_for(server), ask(), ask()))


@PROVIDERS
@pytest.mark.parametrize(
    ("status", "message", "code", "expected", "fact"),
    [
        pytest.param(401, f"bad key {KEY}", None, SettingsError, r"bad key \*\*\*", id="key"),
        pytest.param(403, "not yours", None, SettingsError, "refused the key", id="forbidden"),
        pytest.param(404, "no base", None, ModelNotFoundError, "not served: no base", id="model"),
        pytest.param(429, "slow down", None, EngineError, "rate limit: slow down", id="rate"),
        pytest.param(
            400,
            "This model's maximum context length is 10 tokens",
            "context_length_exceeded",
            ContextLengthError,
            "maximum context length is 10 tokens",
            id="context",
        ),
        pytest.param(400, "bad top_p", None, RefusedError, "request: bad top_p", id="refused"),
        pytest.param(422, "bad seed", None, RefusedError, "request: bad seed", id="unprocessable"),
        pytest.param(500, "boom", None, EngineError, "be asked: boom", id="fault"),
        pytest.param(503, "busy", None, EngineError, "be asked: busy", id="busy"),
    ],
)
def test_a_refusal_is_translated_with_the_servers_words_and_asked_once(
    model: str,
    status: int,
    message: str,
    code: str | None,
    expected: type[RagAdaptError],
    fact: str,
) -> None:
    with (
        serve(fails(status, message, code)) as server,
        pytest.raises(RagAdaptError, match=fact) as caught,
    ):
        answer(engine_for(server, model))
    assert type(caught.value) is expected
    assert caught.value.hint
    assert KEY not in str(caught.value)
    assert len(server.bodies) == 1


@PROVIDERS
def test_a_server_that_is_not_there_is_reported_with_its_address(model: str) -> None:
    with serve(says("x")) as server:
        engine = engine_for(server, model)
    with pytest.raises(EngineError, match=f"{server.url} could not be asked") as caught:
        answer(engine)
    assert caught.value.retryable


@PROVIDERS
def test_a_slow_answer_ends_at_the_timeout_even_if_it_drips(model: str) -> None:
    with (
        serve(_slowly) as server,
        pytest.raises(EngineError, match=r"did not finish an answer within 0\.15 s") as caught,
    ):
        answer(engine_for(server, model, timeout=0.15))
    assert "RAG_ADAPT_TIMEOUT" in caught.value.hint


@PROVIDERS
def test_a_stream_that_just_ends_is_a_failure_not_an_answer(model: str) -> None:
    def behave(exchange: Exchange) -> None:
        exchange.open()
        exchange.send("half", model="base")

    with (
        serve(behave) as server,
        pytest.raises(EngineError, match="broke off after 4 characters"),
    ):
        answer(engine_for(server, model))


@PROVIDERS
def test_a_connection_cut_in_the_middle_is_a_failure(model: str) -> None:
    def behave(exchange: Exchange) -> None:
        exchange.handler.send_response(200)
        exchange.handler.send_header("Content-Type", "text/event-stream")
        exchange.handler.send_header("Content-Length", "100000")
        exchange.handler.end_headers()
        exchange.send("half", model="base")
        exchange.handler.close_connection = True

    with serve(behave) as server, pytest.raises(EngineError) as caught:
        answer(engine_for(server, model))
    assert type(caught.value) is EngineError
    assert caught.value.retryable


def test_an_answer_that_the_provider_withholds_is_refused() -> None:
    with (
        serve(says("x", reason="content_filter")) as server,
        pytest.raises(RefusedError, match="reason 'content_filter'"),
    ):
        answer(engine_for(server))


@PROVIDERS
def test_a_reader_that_goes_away_closes_the_connection(model: str) -> None:
    async def scene(engine: RemoteEngine) -> str:
        stream = engine.generate(ask())
        first = await anext(stream)
        await stream.aclose()
        await engine.aclose()
        return first.text

    with serve(_forever) as server:
        assert asyncio.run(scene(engine_for(server, model))) == "a"
        assert server.closed.wait(timeout=30)


def test_a_reader_of_the_cache_that_goes_away_closes_the_connection_too(
    tmp_path_factory: pytest.TempPathFactory,
) -> None:
    async def scene(cached: CachedEngine, engine: RemoteEngine) -> None:
        stream = cached.generate(ask())
        await anext(stream)
        await stream.aclose()
        await engine.aclose()

    with serve(_forever) as server:
        engine = engine_for(server)
        cached = CachedEngine(engine, tmp_path_factory.mktemp("cache"))
        asyncio.run(scene(cached, engine))
        cached.close()
        assert server.closed.wait(timeout=30)


def test_log_probabilities_are_refused_with_the_remedy() -> None:
    engine = RemoteEngine("openai/gpt-4o-mini")
    with pytest.raises(NoLogProbsError, match="openai/gpt-4o-mini") as caught:
        asyncio.run(engine.logprobs(ask().messages, "yes"))
    assert "--engine embedded" in caught.value.hint


def test_the_fingerprint_names_model_and_address_but_no_secret() -> None:
    engine = RemoteEngine(
        "openai/base", api_base="https://me:pw@host:8000/v1?token=abc", api_key=KEY
    )
    found = engine.fingerprint
    assert (found.engine, found.weights) == ("remote", "openai/base")
    assert found.extra == {"api_base": "https://host:8000/v1"}
    assert RemoteEngine("openai/base").fingerprint.extra == {}


@pytest.mark.parametrize(
    ("model", "api_base", "expected"),
    [
        pytest.param("openai/gpt-4o-mini", None, Cost(value=0.00015, unit="USD"), id="list price"),
        pytest.param("openai/gpt-4o-mini", "http://127.0.0.1:1/v1", None, id="own server"),
        pytest.param("openai/unheard-of", None, None, id="unknown model"),
        pytest.param("unheard-of", None, None, id="unknown provider"),
        pytest.param("hosted_vllm/base", None, None, id="no price"),
    ],
)
def test_cost_is_the_list_price_or_nothing(
    model: str, api_base: str | None, expected: Cost | None
) -> None:
    with serve(says("x")) as server:
        outcome = answer(engine_for(server))
    outcome = replace(outcome, usage=Usage(tokens_in=1000, tokens_out=0))
    found = RemoteEngine(model, api_base=api_base).cost(outcome)
    assert found == expected


def test_importing_the_engine_does_not_import_litellm() -> None:
    script = "import sys, rag_adapt.engines.remote; sys.exit('litellm' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", script], cwd=_ROOT, check=False).returncode == 0


_ROOT = __file__.rpartition("/tests/")[0]


async def _collect(engine: RemoteEngine) -> Outcome:
    outcomes = [delta.outcome async for delta in engine.generate(ask())]
    assert outcomes[-1] is not None
    return outcomes[-1]


def _slowly(exchange: Exchange) -> None:
    name = exchange.body["model"]
    exchange.open()
    for word in "abcdefgh":
        exchange.send(word, model=name)
        time.sleep(0.05)
    exchange.send(model=name, reason="stop")
    exchange.end(model=name)


def _forever(exchange: Exchange) -> None:
    exchange.open()
    for _ in range(2000):
        exchange.send("a", model="base")
        time.sleep(0.005)
