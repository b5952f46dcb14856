"""What is asked of a vLLM server beside answers, and what its refusals mean."""

import asyncio
import math
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import TypeVar

import pytest

from rag_adapt.core.errors import AdapterError, EngineError, RagAdaptError, SettingsError
from rag_adapt.core.types import AdapterRef, Message
from rag_adapt.engines.vllm_client import VllmClient
from tests.engines.adapter_folders import adapter
from tests.engines.fake_vllm import FakeVllm, serving
from tests.engines.hashed_weights import BASE_WEIGHTS, continued, figures, weights_of

Result = TypeVar("Result")
PROMPT = (1, 2, 3)
VERSION = "codes@0123456789ab"
REF = AdapterRef(version=VERSION, path="/adapters/codes", rank=2)
Question = Callable[[VllmClient], Awaitable[object]]


def ask(
    server: FakeVllm,
    question: Callable[[VllmClient], Awaitable[Result]],
    *,
    key: str | None = None,
) -> Result:
    async def scene() -> Result:
        client = VllmClient(server.api_base, api_key=key, base="base")
        try:
            return await question(client)
        finally:
            await client.aclose()

    return asyncio.run(scene())


@pytest.fixture
def ref(tmp_path: Path) -> AdapterRef:
    return adapter(tmp_path, VERSION)


def load(server: FakeVllm, ref: AdapterRef, folder: str | None = None) -> None:
    ask(server, lambda client: client.load(ref, folder or ref.path))


def test_an_adapter_is_loaded_listed_and_unloaded(ref: AdapterRef) -> None:
    with serving() as server:
        load(server, ref)
        assert ask(server, VllmClient.models) == {"base": "/models/base", VERSION: ref.path}
        ask(server, lambda client: client.unload(VERSION))
        assert ask(server, VllmClient.models) == {"base": "/models/base"}


def test_nothing_is_ever_loaded_in_place(ref: AdapterRef) -> None:
    with serving() as server:
        load(server, ref)
    (body,) = server.sent("/v1/load_lora_adapter")
    assert body == {"lora_name": VERSION, "lora_path": ref.path}


def test_loading_again_from_the_same_folder_is_no_fault(ref: AdapterRef) -> None:
    with serving() as server:
        load(server, ref)
        load(server, ref)
        assert server.adapters == {VERSION: ref.path}


def test_another_folder_under_the_same_name_is_refused(ref: AdapterRef) -> None:
    with serving() as server:
        load(server, ref)
        with pytest.raises(AdapterError, match="another folder is registered under this name"):
            load(server, ref, "/elsewhere")


def test_a_folder_that_the_server_does_not_see_is_the_users_to_mend(ref: AdapterRef) -> None:
    with serving() as server, pytest.raises(AdapterError) as caught:
        load(server, ref, "/elsewhere")
    assert "No adapter found for /elsewhere" in caught.value.fact
    assert "same path" in caught.value.hint


def test_a_rank_above_the_servers_is_named_with_its_remedy(tmp_path: Path) -> None:
    large = adapter(tmp_path, VERSION, rank=32)
    with serving(max_rank=16) as server, pytest.raises(AdapterError) as caught:
        load(server, large)
    assert "(rank 32): LoRA rank 32 is greater than max_lora_rank 16" in caught.value.fact
    assert "--max-lora-rank" in caught.value.hint


def test_a_servers_own_fault_at_a_load_may_be_tried_again(ref: AdapterRef) -> None:
    with serving(broken=(503, "engine is restarting")) as server:
        with pytest.raises(EngineError, match="engine is restarting") as caught:
            load(server, ref)
        assert caught.value.retryable


def test_a_rank_that_the_server_cannot_take_is_a_refusal_whatever_its_status() -> None:
    said = "Call to add_lora method failed: LoRA rank 16 is greater than max_lora_rank 8."
    with serving(broken=(500, said)) as server, pytest.raises(AdapterError, match="max_lora_rank"):
        load(server, REF)


def test_an_adapter_that_is_gone_already_is_unloaded_without_a_word() -> None:
    with serving() as server:
        ask(server, lambda client: client.unload(VERSION))


def test_an_unload_that_fails_is_no_success() -> None:
    with (
        serving(broken=(500, "out of order")) as server,
        pytest.raises(
            EngineError, match="did not unload adapter 'codes@0123456789ab': out of order"
        ),
    ):
        ask(server, lambda client: client.unload(VERSION))


@pytest.mark.parametrize(
    "question",
    [lambda client: client.load(REF, REF.path), lambda client: client.unload(VERSION)],
    ids=["load", "unload"],
)
def test_a_server_without_runtime_loading_is_said_to_be_one(question: Question) -> None:
    with serving(runtime_loading=False) as server:
        with pytest.raises(SettingsError, match="cannot load adapters while it runs") as caught:
            ask(server, question)
        assert "VLLM_ALLOW_RUNTIME_LORA_UPDATING=True" in caught.value.hint


GUARDED: dict[str, Question] = {
    "models": VllmClient.models,
    "load": lambda client: client.load(REF, REF.path),
    "unload": lambda client: client.unload(VERSION),
    "figures": lambda client: client.logprobs_of_ids(PROMPT, (101,)),
}


@pytest.mark.parametrize("question", GUARDED.values(), ids=GUARDED.keys())
def test_a_wrong_key_is_a_setting_to_correct(question: Question) -> None:
    with serving(key="right") as server, pytest.raises(SettingsError) as caught:
        ask(server, question, key="wrong")
    assert "refuses the key" in caught.value.fact
    assert "RAG_ADAPT_API_KEY" in caught.value.hint
    assert "wrong" not in str(caught.value)


def test_the_right_key_opens(ref: AdapterRef) -> None:
    with serving(key="right") as server:
        ask(server, lambda client: client.load(ref, ref.path), key="right")
        assert ask(server, VllmClient.models, key="right").keys() == {"base", VERSION}


def test_the_release_is_the_servers_own_word() -> None:
    with serving(release="0.32.0") as server:
        assert ask(server, VllmClient.version) == "0.32.0"


def test_slots_are_known_once_an_adapter_was_computed(ref: AdapterRef) -> None:
    with serving(slots=3) as server:
        load(server, ref)
        assert ask(server, VllmClient.slots) is None
        ask(server, lambda client: client.logprobs_of_ids(PROMPT, (101,), VERSION))
        assert ask(server, VllmClient.slots) == 3


def test_what_runs_and_what_waits_is_in_flight() -> None:
    with serving(waiting=2) as server:
        server.inside["base"] = 3
        assert ask(server, VllmClient.in_flight) == 5


def test_the_servers_own_template_renders() -> None:
    rows = (Message(role="user", content="hi"),)
    with serving() as server:
        assert ask(server, lambda client: client.render(rows)) == (104, 105, 1)
    assert server.sent("/tokenize") == [
        {"model": "base", "messages": [{"role": "user", "content": "hi"}]}
    ]


def test_what_the_server_would_have_said_costs_one_question(ref: AdapterRef) -> None:
    with serving() as server:
        load(server, ref)
        weights = weights_of(ref.path)
        wanted = continued(weights, PROMPT, 9)
        found = ask(server, lambda client: client.logprobs_of_ids(PROMPT, wanted, VERSION))
    assert found == pytest.approx(figures(weights, PROMPT, wanted))
    assert len(server.sent("/v1/completions")) == 1


def test_where_the_server_would_have_said_otherwise_it_is_asked_again_from_there() -> None:
    greedy = continued(BASE_WEIGHTS, PROMPT, 2)
    other = next(token for token in (100, 101) if token != greedy[1])
    wanted = (greedy[0], other, *continued(BASE_WEIGHTS, (*PROMPT, greedy[0], other), 3))
    with serving() as server:
        found = ask(server, lambda client: client.logprobs_of_ids(PROMPT, wanted))
    assert found == pytest.approx(figures(BASE_WEIGHTS, PROMPT, wanted))
    first, second = server.sent("/v1/completions")
    assert (first["prompt"], first["max_tokens"]) == ([*PROMPT], 5)
    assert (second["prompt"], second["max_tokens"]) == ([*PROMPT, greedy[0], other], 3)
    assert first["cache_salt"] == second["cache_salt"]


def test_base_and_adapter_have_figures_of_their_own(ref: AdapterRef) -> None:
    wanted = (101, 102, 103)
    with serving() as server:
        load(server, ref)
        plain = ask(server, lambda client: client.logprobs_of_ids(PROMPT, wanted))
        changed = ask(server, lambda client: client.logprobs_of_ids(PROMPT, wanted, VERSION))
    assert plain == pytest.approx(figures(BASE_WEIGHTS, PROMPT, wanted))
    assert changed == pytest.approx(figures(weights_of(ref.path), PROMPT, wanted))
    assert plain != changed


def test_a_token_that_is_no_candidate_and_all_after_it_count_as_impossible() -> None:
    first = continued(BASE_WEIGHTS, PROMPT, 1)[0]
    with serving() as server:
        found = ask(server, lambda client: client.logprobs_of_ids(PROMPT, (first, 9, first)))
        assert math.isfinite(found[0])
        assert found[1:] == (-math.inf, -math.inf)


def test_a_candidate_beyond_what_the_server_shows_counts_as_impossible() -> None:
    unlikely = min((101, 102, 103), key=lambda token: figures(BASE_WEIGHTS, PROMPT, (token,)))
    with serving(candidates=1) as server:
        found = ask(server, lambda client: client.logprobs_of_ids(PROMPT, (unlikely,)))
    assert found == (-math.inf,)


def test_two_questions_never_share_the_servers_cache() -> None:
    with serving() as server:
        for _ in range(2):
            ask(server, lambda client: client.logprobs_of_ids(PROMPT, (101,)))
    salts = [body["cache_salt"] for body in server.sent("/v1/completions")]
    assert len(set(salts)) == len(salts)


def test_what_can_end_a_server_is_never_asked() -> None:
    with serving() as server:
        ask(server, lambda client: client.logprobs_of_ids(PROMPT, (101, 102)))
    for body in server.sent("/v1/completions"):
        assert not {"echo", "prompt_logprobs"} & body.keys()
        assert body["logprobs"] <= 20


def test_figures_of_an_adapter_that_is_not_there_are_an_adapters_error() -> None:
    with serving() as server, pytest.raises(AdapterError, match="does not have adapter"):
        ask(server, lambda client: client.logprobs_of_ids(PROMPT, (101,), VERSION))


@pytest.mark.parametrize("text", ["out of order", '{"error": {"message": "out of order"}}'])
def test_a_servers_own_words_are_passed_on(text: str) -> None:
    with (
        serving(broken=(500, text)) as server,
        pytest.raises(EngineError, match=r"did not answer with 'base': out of order\n"),
    ):
        ask(server, lambda client: client.logprobs_of_ids(PROMPT, (101,)))


def test_a_server_without_words_is_quoted_with_its_status() -> None:
    with (
        serving(broken=(500, "")) as server,
        pytest.raises(EngineError, match=r"did not list its models: HTTP 500"),
    ):
        ask(server, VllmClient.models)


def test_nobody_there_is_an_engines_error_with_the_remedy() -> None:
    with serving() as server:
        server.refuse_connections()
        with pytest.raises(EngineError, match="does not answer") as caught:
            ask(server, VllmClient.version)
        assert caught.value.retryable
        assert "rag-adapt vllm --start" in caught.value.hint


def test_health_is_a_matter_of_patience() -> None:
    with serving() as server:
        assert ask(server, VllmClient.healthy)
        server.hang()
        assert not ask(server, lambda client: client.healthy(0.1))
        server.wake()
        server.refuse_connections()
        assert not ask(server, VllmClient.healthy)


def test_an_address_that_is_none_is_an_error_of_ours() -> None:
    async def scene() -> None:
        client = VllmClient("http://[nonsense/v1", api_key=None, base="base")
        try:
            await client.version()
        finally:
            await client.aclose()

    with pytest.raises(RagAdaptError, match="does not answer"):
        asyncio.run(scene())


def test_each_event_loop_has_connections_of_its_own() -> None:
    with serving() as server:
        client = VllmClient(server.api_base, api_key=None, base="base")

        async def scene() -> bool:
            try:
                return await client.healthy()
            finally:
                await client.aclose()

        assert asyncio.run(scene())
        assert asyncio.run(scene())
        asyncio.run(client.aclose())  # where none was opened there is none to close


def test_a_proxy_of_the_environment_is_not_asked(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HTTP_PROXY", "http://127.0.0.1:9")
    monkeypatch.delenv("NO_PROXY", raising=False)
    monkeypatch.delenv("no_proxy", raising=False)
    with serving() as server:
        assert ask(server, VllmClient.healthy)
