"""A model server, asked over HTTP."""

import json
import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import psutil
import pytest

from rag_adapt.doctor import server
from rag_adapt.doctor.finding import Observation
from tests.doctor.parts import only, patient, seen

MODELS = {
    "object": "list",
    "data": [
        {"id": "base", "owned_by": "vllm", "root": "/model"},
        {"id": "orders-1f3a9c2e7b04", "owned_by": "vllm", "parent": "base"},
    ],
}
METRICS = 'vllm:lora_requests_info{max_lora="4",running_lora_adapters=""} 1.0\n'
VLLM: Mapping[str, tuple[int, str]] = {
    "/v1/models": (200, json.dumps(MODELS)),
    "/version": (200, '{"version": "0.33.0"}'),
    "/metrics": (200, METRICS),
    "/v1/load_lora_adapter": (405, '{"detail": "Method Not Allowed"}'),
}
KEY = "the-servers-key"


@contextmanager
def serving(replies: Mapping[str, tuple[int, str]], key: str | None = None) -> Iterator[str]:
    """A server that gives these replies; its address, `/v1` included."""

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            status, text = replies.get(self.path, (404, "{}"))
            guarded = self.path.startswith("/v1") and key is not None
            if guarded and self.headers.get("Authorization") != f"Bearer {key}":
                status, text = 401, "{}"
            self.send_response(status)
            self.send_header("Content-Length", str(len(text)))
            self.end_headers()
            self.wfile.write(text.encode())

        def log_message(self, format: str, *args: object) -> None:
            """Say nothing."""

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as listening:
        thread = threading.Thread(target=listening.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        try:
            yield f"http://127.0.0.1:{listening.server_port}/v1"
        finally:
            listening.shutdown()
            thread.join()


def asked(
    replies: Mapping[str, tuple[int, str]],
    *,
    model: str = "hosted_vllm/base",
    key: str | None = None,
    ours: str | None = None,
) -> list[Observation]:
    with serving(replies, key) as base:
        return seen(
            server.server, patient(engine="remote", model=model, api_base=base, api_key=ours)
        )


def states(said: list[Observation]) -> list[str]:
    return [each.state for each in said]


def test_engines_that_ask_no_server_need_none() -> None:
    assert only(server.server, patient(engine="scripted")).state == "ok"


def test_a_vllm_of_ours_is_asked_by_the_name_that_it_serves() -> None:
    with serving(VLLM, KEY) as base:
        said = seen(server.server, patient(engine="vllm", api_base=base, api_key=KEY))
    assert states(said) == ["ok", "ok", "ok"]


def test_without_a_known_vllm_it_says_how_to_start_one(tmp_path: Path) -> None:
    said = only(server.server, patient(engine="vllm", home=tmp_path))
    assert said.state == "fault"
    assert said.remedy == "rag-adapt vllm --start"


def test_a_vllm_that_makes_room_for_a_training_is_no_fault(tmp_path: Path) -> None:
    plan = {"python": "python3", "model": "m", "port": 1, "gpu": True, "slots": 4}
    record = {
        "pid": 1,
        "created": 0.0,
        "api_base": "http://127.0.0.1:1/v1",
        "api_key": "k",
        "log": "log",
        "plan": {**plan, "max_rank": 8, "context": 64},
        "away": "a training has the GPU",
        "by": (us := psutil.Process()).pid,
        "by_created": us.create_time(),
    }
    (tmp_path / "vllm").mkdir()
    (tmp_path / "vllm" / "server.json").write_text(json.dumps(record))
    said = only(server.server, patient(engine="vllm", home=tmp_path))
    assert said.state == "warning"
    assert "a training has the GPU" in said.what


def test_a_provider_is_not_asked_for_that_costs_money() -> None:
    said = only(server.server, patient(engine="remote", model="openai/gpt-x"))
    assert said.state == "ok"
    assert "not asked" in said.what


def test_a_vllm_with_lora_is_fine() -> None:
    said = asked(VLLM, key=KEY, ours=KEY)
    assert states(said) == ["ok", "ok", "ok"]
    assert "orders-1f3a9c2e7b04" in said[0].what
    assert "0.33.0" in said[1].what
    assert "4 slots" in said[2].what


def test_a_server_that_is_not_there_is_named_with_how_to_start_it() -> None:
    with serving(VLLM) as base:
        pass
    said = only(server.server, patient(engine="remote", model="hosted_vllm/base", api_base=base))
    assert said.state == "fault"
    assert base in said.what
    assert "rag-adapt vllm --start" in said.remedy
    assert "RAG_ADAPT_API_BASE" in said.remedy


@pytest.mark.parametrize("address", ["http://[bad", "127.0.0.1:9/v1", "ftp://127.0.0.1/v1"])
def test_an_address_that_is_none_is_a_fault(address: str) -> None:
    said = only(server.server, patient(engine="remote", model="hosted_vllm/x", api_base=address))
    assert said.state == "fault"
    assert "RAG_ADAPT_API_BASE" in said.remedy


def test_credentials_in_the_address_are_not_shown() -> None:
    with serving(VLLM) as base:
        address = base.replace("http://", "http://user:secret@")
        (first, *_) = seen(
            server.server, patient(engine="remote", model="hosted_vllm/no", api_base=address)
        )
    assert "secret" not in first.what + first.remedy


@pytest.mark.parametrize("ours", [None, "another-key"])
def test_a_refused_key_is_named_with_its_variable(ours: str | None) -> None:
    (said,) = asked(VLLM, key=KEY, ours=ours)
    assert said.state == "fault"
    assert "401" in said.what
    assert "RAG_ADAPT_API_KEY" in said.remedy


@pytest.mark.parametrize(
    "reply", [(404, "{}"), (200, "<html>"), (200, "[]"), (200, '{"data": [{}]}'), (500, "oh")]
)
def test_what_is_no_model_server_is_told(reply: tuple[int, str]) -> None:
    (said,) = asked({"/v1/models": reply})
    assert said.state == "fault"
    assert "/v1" in said.remedy


def test_a_model_that_is_not_served_is_told_with_those_that_are() -> None:
    said = asked(VLLM, model="hosted_vllm/other")
    assert said[0].state == "fault"
    assert "base" in said[0].what
    assert said[0].remedy == "export RAG_ADAPT_MODEL=hosted_vllm/base"


def test_another_kind_of_server_gets_no_adapters() -> None:
    plain = {"data": [{"id": "tiny", "owned_by": "library"}]}
    said = asked({"/v1/models": (200, json.dumps(plain))}, model="openai/tiny")
    assert states(said) == ["ok", "ok"]
    assert "no vLLM" in said[1].what


def test_a_vllm_with_a_known_defect_is_a_fault() -> None:
    said = asked({**VLLM, "/version": (200, '{"version": "0.32.0+cpu"}')})
    assert states(said) == ["ok", "fault", "ok", "ok"]
    assert "0.32.0" in said[1].what
    assert "0.33" in said[1].remedy


@pytest.mark.parametrize(
    ("missing", "named"),
    [
        ({"/metrics": (200, "vllm:num_requests_running 0\n")}, "--enable-lora"),
        ({"/v1/load_lora_adapter": (404, "{}")}, "VLLM_ALLOW_RUNTIME_LORA_UPDATING=True"),
        ({"/metrics": (404, "")}, "--disable-log-stats"),
    ],
    ids=["no lora", "no loading", "no metrics"],
)
def test_a_vllm_that_cannot_swap_adapters_is_told_with_the_flag(
    missing: dict[str, tuple[int, str]], named: str
) -> None:
    said = asked({**VLLM, **missing})
    assert states(said) == ["ok", "ok", "warning"]
    assert named in said[2].remedy


def test_lora_that_nobody_used_yet_is_enabled_all_the_same() -> None:
    said = asked({**VLLM, "/metrics": (200, "# TYPE vllm:lora_requests_info gauge\n")})
    assert said[-1].state == "ok"
    assert "slots" not in said[-1].what
