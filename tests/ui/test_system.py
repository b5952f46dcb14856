"""The page System: what is ready, what the doctor says, and for whom."""

from collections.abc import Iterator

import httpx
import pytest
from streamlit.testing.v1 import AppTest

from rag_adapt.client import Client
from rag_adapt.engines.scripted import ScriptedEngine
from rag_adapt.keys.store import KeyStore
from tests.api.parts import app_of, listening
from tests.serving.parts import HOME, service
from tests.ui.parts import button, fresh, page, ran, read, words
from ui.connection import ADDRESS
from ui.counted import counted


@pytest.fixture
def keys(own_folder: object) -> KeyStore:
    return KeyStore(HOME)


@pytest.fixture
def guarded(keys: KeyStore, monkeypatch: pytest.MonkeyPatch) -> Iterator[str]:
    """A service that asks for keys; the address that the pages know."""
    keys.create("first", "chat")
    with listening(app_of(service(ScriptedEngine()))) as url:
        monkeypatch.setenv(ADDRESS, url)
        yield url


COUNTS = """# TYPE rag_adapt_requests_total counter
rag_adapt_requests_total{adapter="none",outcome="answered",route="route:prompt/a"} 3.0
rag_adapt_requests_total{adapter="a@1",outcome="answered",route="route:lora/a"} 2.0
rag_adapt_requests_total{adapter="a@1",outcome="failed",route="route:lora/a"} 1.0
# TYPE rag_adapt_tokens_total counter
rag_adapt_tokens_total{adapter="none",direction="in",route="route:prompt/a"} 1200.0
rag_adapt_tokens_total{adapter="none",direction="out",route="route:prompt/a"} 30.0
# TYPE rag_adapt_latency_seconds histogram
rag_adapt_latency_seconds_bucket{adapter="none",le="1.0",route="route:prompt/a"} 3.0
rag_adapt_latency_seconds_bucket{adapter="none",le="+Inf",route="route:prompt/a"} 3.0
rag_adapt_latency_seconds_count{adapter="none",route="route:prompt/a"} 3.0
rag_adapt_latency_seconds_sum{adapter="none",route="route:prompt/a"} 1.5
# TYPE rag_adapt_adapter_swaps_total counter
rag_adapt_adapter_swaps_total{adapter="a@1",kind="load",outcome="done"} 4.0
rag_adapt_adapter_swaps_total{adapter="a@1",kind="load",outcome="failed"} 1.0
rag_adapt_adapter_swaps_total{adapter="a@1",kind="unload",outcome="done"} 2.0
rag_adapt_adapter_swaps_total{adapter="a@1",kind="eviction",outcome="done"} 1.0
# TYPE rag_adapt_proof_failures_total counter
rag_adapt_proof_failures_total{adapter="a@1"} 1.0
# TYPE rag_adapt_http_requests_total counter
rag_adapt_http_requests_total{method="GET",path="/v1/jobs",status="200"} 8.0
rag_adapt_http_requests_total{method="GET",path="/v1/jobs",status="404"} 2.0
rag_adapt_http_requests_total{method="GET",path="/v1/jobs",status="503"} 1.0
"""


def test_counters_are_summed_by_what_a_person_asks() -> None:
    found = counted(COUNTS)
    assert (found.answered, found.failed) == (5, 1)
    assert (found.tokens_in, found.tokens_out) == (1200, 30)
    assert (found.loads, found.failed_loads, found.unloads) == (4, 1, 3)
    assert found.proof_failures == 1
    assert (found.requests, found.refused, found.faults, found.traces_lost) == (11, 2, 1, 0)
    lora, prompt = found.routes
    assert (lora.name, lora.failed, lora.seconds) == ("route:lora/a", 1, None)
    assert (prompt.seconds, prompt.first_token) == (0.5, None)


def tables(test: AppTest) -> str:
    return "\n".join(one.value.to_csv(index=False) for one in test.dataframe)


def sign_in(test: AppTest, key: str) -> AppTest:
    test.text_input[0].set_value(key)
    button(test, "Sign in").click()
    return ran(test)


def test_parts_findings_engine_and_versions_are_told(address: str) -> None:
    with page("system") as test:
        assert "It looks at the machine" in words(test)  # the page stands before the doctor's word
        assert "engine ready" in words(test)
        shown = tables(ran(test))
        assert "scripted: scripted on none" in words(test)
        assert "rag-adapt," in shown
        assert "this page," in shown
        assert any("checks" in read(one.label) for one in test.expander)
        button(test, "Look again").click()
        assert "It looks at the machine" in words(ran(test))
        assert "engine ready" in words(ran(test))
        assert "No question was asked yet" in words(test)
        figures = {one.label: one.value for one in test.metric}
        assert figures["Answers"] == "0"
        assert int(figures["Requests"]) > 1


def test_a_key_without_the_scope_is_told_which_one_is_needed(guarded: str, keys: KeyStore) -> None:
    with page() as test:
        sign_in(test, keys.create("second", "chat").token.reveal())
        test.switch_page("views/system.py")
        ran(test)  # the doctor is asked when the page stands
        assert "for keys of the scope `admin`" in words(ran(test))
        assert "What was counted is for keys of the scope `bench`" in words(test)
        assert "engine ready" in words(test)
        assert "--scope admin" in words(test)
        for name in ("benchmark", "adapters", "collections"):
            test.switch_page(f"views/{name}.py")
            assert "This key may look, but start nothing." in words(ran(test))
            assert "That did not work" not in words(test)
        test.query_params["order"] = '{"skills": ["past-tense"]}'
        test.switch_page("views/benchmark.py")
        assert "That did not work" in words(ran(test))
        assert button(test, "All runs")


def test_a_service_with_keys_asks_for_one_and_signing_out_forgets_it(
    guarded: str, keys: KeyStore
) -> None:
    made = keys.create("mine", "admin")
    with page() as test:
        assert "Sign in" in words(test)
        assert not test.chat_input
        assert "no such key" not in words(test)
        sign_in(test, " ")
        assert "Type or paste the key first." in words(test)
        sign_in(test, "ra_wrong")
        assert "That did not work" in words(test)
        sign_in(test, "clé")
        assert "holds characters that no key has" in words(test)
        sign_in(test, made.token.reveal())
        assert test.chat_input
        assert made.token.reveal() not in words(test)
        button(test, "Sign out").click()
        assert "Sign in" in words(ran(test))
        assert not test.chat_input


def test_a_key_that_is_revoked_leads_back_to_signing_in(guarded: str, keys: KeyStore) -> None:
    made = keys.create("mine", "admin")
    with page() as test:
        assert sign_in(test, made.token.reveal()).chat_input
        test.query_params["job"] = "0" * 32
        test.switch_page("views/adapters.py")
        assert "That did not work" in words(ran(test))
        keys.revoke("mine")
        assert "Sign in" in words(ran(test))
        assert [one.value for one in test.title] == []


def told(request: httpx.Request) -> httpx.Response:
    """A service whose model is loading on a machine with a fault."""
    engine = {"engine": "embedded", "model": "m", "weights": "0" * 64, "dtype": "f", "device": "c"}
    finding = {"name": "disk", "state": "fault", "what": "*full*", "remedy": "rm -r ./cache"}
    answers = {
        "/readyz": {
            "ready": False,
            "parts": [{"name": "engine", "ready": False, "detail": "the model is being loaded"}],
        },
        "/v1/system": {
            "healthy": False,
            "uptime": 61.0,
            "versions": {},
            "engine": engine,
            "checked": 0.0,
            "findings": [finding],
        },
        "/v1/models": {"object": "list", "data": [{"id": "base"}]},
        "/v1/conversations": {"data": [], "next": None},
    }
    if request.url.path == "/metrics":
        return httpx.Response(200, text=COUNTS)
    return httpx.Response(200, json=answers[request.url.path])


def test_what_is_wrong_stands_on_top_with_its_remedy() -> None:
    with Client(transport=httpx.MockTransport(told)) as client:
        test = fresh()
        test.session_state["connection.client"] = client
        test.switch_page("views/system.py")
        said = words(ran(ran(test)))
        assert "*full*" in said
        assert "rm -r ./cache" in said
        assert "until every part is ready" in said
        assert "engine not ready" in said
        assert "the model is being loaded" in said
        assert "route:prompt/a,3,0,0,1200,30" in tables(test)


def test_without_any_skill_the_chat_says_how_to_get_one() -> None:
    with Client(transport=httpx.MockTransport(told)) as client:
        test = fresh()
        test.session_state["connection.client"] = client
        assert "rag-adapt skills import" in words(ran(test))
        assert not test.chat_input
