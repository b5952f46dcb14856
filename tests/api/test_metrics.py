"""What is counted comes out at /metrics, and no client can make it grow."""

import re
from pathlib import Path

import pytest
from fastapi.testclient import TestClient
from prometheus_client.parser import text_string_to_metric_families

from rag_adapt.api.metrics import MOST_NAMES, Metrics, Names
from rag_adapt.core.types import Times, Usage
from rag_adapt.keys.store import KeyStore
from tests.api.small_app import small_app

ROUTE, ADAPTER = "route:lora/orders", "orders@1f3a9c2e7b04"


@pytest.fixture
def metrics() -> Metrics:
    return Metrics(known_route=lambda n: n == ROUTE, known_adapter=lambda n: n == ADAPTER)


def samples(metrics: Metrics) -> dict[tuple[str, frozenset[str]], float]:
    """Every sample that is not zero, by name and the values of its labels."""
    text = bytes(metrics.exposition().body).decode()
    return {
        (sample.name, frozenset(sample.labels.values())): sample.value
        for family in text_string_to_metric_families(text)
        for sample in family.samples
        if sample.value and not sample.name.endswith("_created")
    }


def test_an_answer_is_counted_per_route_and_adapter(metrics: Metrics) -> None:
    metrics.answer(
        route=ROUTE,
        adapter=ADAPTER,
        outcome="answered",
        usage=Usage(tokens_in=11, tokens_out=5),
        times=Times(queued=0.0, first_token=0.02, total=0.3),
    )
    found = samples(metrics)
    assert found["rag_adapt_requests_total", frozenset({ROUTE, ADAPTER, "answered"})] == 1
    assert found["rag_adapt_tokens_total", frozenset({ROUTE, ADAPTER, "in"})] == 11
    assert found["rag_adapt_tokens_total", frozenset({ROUTE, ADAPTER, "out"})] == 5
    assert found["rag_adapt_latency_seconds_sum", frozenset({ROUTE, ADAPTER})] == pytest.approx(0.3)
    assert found["rag_adapt_first_token_seconds_sum", frozenset({ROUTE, ADAPTER})] == pytest.approx(
        0.02
    )


@pytest.mark.parametrize(
    ("outcome", "cached"), [("failed", False), ("cancelled", False), ("answered", True)]
)
def test_what_was_not_computed_to_its_end_has_no_latency(
    metrics: Metrics, outcome: str, cached: bool
) -> None:
    times = Times(queued=0.0, first_token=0.1, total=0.2, cached=cached)
    metrics.answer(route=ROUTE, adapter=None, outcome=outcome, times=times)  # type: ignore[arg-type]
    assert {name for name, _ in samples(metrics)} == {"rag_adapt_requests_total"}


def test_swaps_proofs_and_lost_traces_are_counted(metrics: Metrics) -> None:
    metrics.swap(adapter=ADAPTER, kind="load", succeeded=True)
    metrics.swap(adapter=ADAPTER, kind="load", succeeded=False)
    metrics.proof_failed(adapter=ADAPTER)
    metrics.trace_lost()
    assert samples(metrics) == {
        ("rag_adapt_adapter_swaps_total", frozenset({ADAPTER, "load", "done"})): 1,
        ("rag_adapt_adapter_swaps_total", frozenset({ADAPTER, "load", "failed"})): 1,
        ("rag_adapt_proof_failures_total", frozenset({ADAPTER})): 1,
        ("rag_adapt_traces_lost_total", frozenset()): 1,
    }


def test_names_from_outside_become_other(metrics: Metrics) -> None:
    for number in range(1000):
        metrics.answer(route=f"route:{number}", adapter=f"x@{number}", outcome="failed")
        metrics.request(path="/x", method=f"M{number}", status=405, seconds=0.1)
    found = samples(metrics)
    assert found["rag_adapt_requests_total", frozenset({"other", "failed"})] == 1000
    assert found["rag_adapt_http_requests_total", frozenset({"/x", "other", "405"})] == 1000


def test_also_known_names_are_bounded() -> None:
    names = Names(lambda name: True)
    labels = {names.label(f"a{n}") for n in range(MOST_NAMES + 50)}
    assert len(labels) == MOST_NAMES + 1
    assert names.label("a0") == "a0"
    assert names.label(None) == "none"


def test_two_services_in_one_process_count_apart(metrics: Metrics) -> None:
    other = Metrics(known_route=lambda n: True, known_adapter=lambda n: True)
    metrics.proof_failed(adapter=ADAPTER)
    assert samples(other) == {}


def test_the_door_counts_requests_by_template_refusals_included(
    tmp_path: Path, metrics: Metrics
) -> None:
    small = small_app(KeyStore(tmp_path), observer=metrics)
    small.app.add_api_route("/metrics", metrics.exposition, openapi_extra={"x-scope": "none"})
    client = TestClient(small.app, base_url="http://127.0.0.1")
    client.get("/v1/files/a/b")
    client.get("/v1/files/a", headers={"Origin": "https://evil.example"})
    client.get("/nowhere/1")
    client.get("/nowhere/2")
    shown = client.get("/metrics")
    assert shown.headers["content-type"].startswith("text/plain")
    found = samples(metrics)
    assert (
        found["rag_adapt_http_requests_total", frozenset({"/v1/files/{name:path}", "GET", "200"})]
        == 1
    )
    assert (
        found["rag_adapt_http_requests_total", frozenset({"/v1/files/{name:path}", "GET", "403"})]
        == 1
    )
    assert found["rag_adapt_http_requests_total", frozenset({"unmatched", "GET", "404"})] == 2
    assert found["rag_adapt_http_request_seconds_count", frozenset({"unmatched", "GET"})] == 2


def test_every_metric_is_documented_and_every_documented_one_exists(metrics: Metrics) -> None:
    document = (Path(__file__).parent.parent.parent / "docs" / "security.md").read_text()
    names = {
        family.name + ("_total" if family.type == "counter" else "")
        for family in metrics.registry.collect()
    }
    assert set(re.findall(r"rag_adapt_\w+", document)) == names
