"""Addresses, keys, timeouts, retries and bounds of the client's requests."""

import io
import socket
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import httpx
import pytest

from rag_adapt.client import ApiError, Client, Retries, Timeouts, Upload
from rag_adapt.client.connection import LARGEST, Connection, Request, nested, path
from rag_adapt.core.errors import SettingsError
from rag_adapt.keys.store import KeyStore
from rag_adapt.schemas.adapters import TrainRequest
from rag_adapt.schemas.requests import ChatMessage, ChatRequest
from tests.api.parts import ADDRESS, app_of
from tests.client.parts import Played, client_of, cut, free_port
from tests.serving.parts import HOME

BUSY = httpx.Response(429, headers={"Retry-After": "5"}, json={"code": "queue-full"})
FINE = httpx.Response(200, json={"status": "ok"})
LOST = httpx.RemoteProtocolError("Server disconnected without sending a response.")
HELLO = ChatRequest(model="scripted", messages=[ChatMessage(role="user", content="Hello")])


def connected(*answers: Any, **more: Any) -> tuple[Connection, Played, list[float]]:
    """A connection, what carries it, and how long it waited."""
    played, waited = Played(answers), list[float]()
    return Connection(ADDRESS, transport=played, sleep=waited.append, **more), played, waited


@pytest.mark.parametrize(
    "address",
    ["http://127.0.0.1:8000", "http://127.0.0.1:8000/", "http://127.0.0.1:8000/v1/"],
)
def test_an_address_may_end_as_openai_clients_have_it(address: str) -> None:
    with Client(address) as client:
        assert client.base_url == "http://127.0.0.1:8000"
        assert repr(client) == "Client('http://127.0.0.1:8000')"


@pytest.mark.parametrize(
    "address",
    ["", "127.0.0.1:8000", "ftp://x", "http://", "http://a:b@x", "http://x?y=1", "http://x:y"],
)
def test_what_is_no_address_is_said_with_one_that_is(address: str) -> None:
    with pytest.raises(SettingsError, match="is no address") as wrong:
        Client(address)
    assert "http://127.0.0.1:8000" in wrong.value.hint


@pytest.mark.parametrize("key", ["", " ", "rk\n1", "schlüssel"])
def test_what_cannot_be_a_key_is_refused_and_not_shown(key: str) -> None:
    with pytest.raises(SettingsError) as wrong:
        Client(key=key)
    assert "schlüssel" not in str(wrong.value)


def test_a_key_opens_the_service_and_is_shown_nowhere() -> None:
    token = KeyStore(HOME).create("me", "chat").token.reveal()
    with client_of(app_of(), key=f" {token} ") as client:
        assert client.catalog.models()
        assert token not in repr(vars(client))
        with pytest.raises(ApiError) as narrow:
            client.catalog.metrics()
    assert (narrow.value.status, narrow.value.code) == (403, "scope")
    with client_of(app_of()) as nobody, pytest.raises(ApiError) as closed_door:
        nobody.catalog.models()
    assert (closed_door.value.status, closed_door.value.code) == (401, "unauthorized")
    assert "rag-adapt keys create" in closed_door.value.hint


def test_where_nobody_listens_the_command_that_starts_the_service_is_named() -> None:
    port = free_port()
    with Client(f"{ADDRESS}:{port}") as client, pytest.raises(ApiError) as away:
        client.catalog.health()
    error = away.value
    assert (error.code, error.status, error.retryable) == ("unreachable", 503, True)
    assert f"no service answers at {ADDRESS}:{port}" in error.fact
    assert f"rag-adapt serve --port {port}" in error.hint


def test_on_another_machine_the_command_names_its_address() -> None:
    elsewhere = Played([httpx.ConnectError("no route")])
    client = Client("http://gpu.example", transport=elsewhere)
    with client, pytest.raises(ApiError) as away:
        client.catalog.health()
    assert "rag-adapt serve --host gpu.example`" in away.value.hint
    assert len(elsewhere.seen) == 1


def test_a_request_that_was_turned_away_is_sent_again_when_the_service_says() -> None:
    connection, played, waited = connected(BUSY, BUSY, FINE)
    asked = Request(method="POST", path="/v1/adapters", body=TrainRequest(skill="orders"))
    assert connection.ask(asked) == b'{"status":"ok"}'
    assert waited == [5.0, 5.0]
    assert len({request.content for request in played.seen}) == 1


def test_a_request_that_is_turned_away_for_long_is_an_error() -> None:
    connection, played, waited = connected(BUSY)
    with pytest.raises(ApiError) as busy:
        connection.ask(Request(path="/healthz"))
    assert (busy.value.code, busy.value.retry_after, len(played.seen)) == ("queue-full", 5.0, 3)
    patient, played, waited = connected(BUSY, retries=Retries(longest=1))
    with pytest.raises(ApiError):
        patient.ask(Request(path="/healthz"))
    assert (len(played.seen), waited) == (1, [])


@pytest.mark.parametrize(
    "refused",
    [
        httpx.Response(503, json={"code": "not-proven"}),
        httpx.Response(503, headers={"Retry-After": "Fri, 20 Nov 2026 10:00:00 GMT"}),
        httpx.Response(500, headers={"Retry-After": "1"}),
        httpx.Response(404),
    ],
    ids=["no time said", "a date", "another status", "not found"],
)
def test_other_refusals_are_not_sent_again(refused: httpx.Response) -> None:
    connection, played, _ = connected(refused)
    with pytest.raises(ApiError):
        connection.ask(Request(path="/healthz"))
    assert len(played.seen) == 1


def test_a_lost_request_is_repeated_where_that_does_no_more_than_once() -> None:
    connection, played, waited = connected(LOST, LOST, FINE)
    assert connection.ask(Request(path="/healthz"))
    assert waited == [0.2, 0.4]
    keyed = Request(method="POST", path="/v1/runs", key="once")
    connection, played, _ = connected(LOST, FINE)
    assert connection.ask(keyed)
    assert [one.headers["idempotency-key"] for one in played.seen] == ["once", "once"]


def test_a_lost_question_is_not_asked_twice() -> None:
    played = Played([LOST])
    with Client(transport=played) as client, pytest.raises(ApiError) as lost:
        client.answers.chat(HELLO)
    assert (lost.value.code, len(played.seen)) == ("cut-off", 1)


def test_an_answer_that_breaks_off_is_an_error_and_not_half_an_answer() -> None:
    connection, _, _ = connected(cut('{"status":', error=httpx.ReadError("reset")))
    with pytest.raises(ApiError) as broken:
        connection.ask(Request(method="POST", path="/x"))
    assert broken.value.code == "cut-off"


def test_every_job_gets_a_key_of_its_own_unless_one_is_given() -> None:
    played = Played([httpx.Response(418)])
    order = TrainRequest(skill="orders")
    version = "orders@e8275acfcb4e"
    calls: list[Callable[[Client], object]] = [
        lambda c: c.adapters.train(order),
        lambda c: c.adapters.train(order),
        lambda c: c.adapters.prove(version),
        lambda c: c.adapters.prove(version, key="mine"),
        lambda c: c.collections.add("manual", [Upload(name="a.md", content=b"a")]),
    ]
    with Client(transport=played) as client:
        for call in calls:
            with pytest.raises(ApiError):
                call(client)
    keys = [request.headers["idempotency-key"] for request in played.seen]
    assert len(set(keys)) == 5
    assert keys[3] == "mine"


def test_only_what_was_set_is_sent_so_that_defaults_are_the_services() -> None:
    played = Played([httpx.Response(418)])
    with Client(transport=played) as client, pytest.raises(ApiError):
        client.adapters.train(TrainRequest(skill="orders", rank=4))
    assert played.seen[0].content == b'{"skill":"orders","rank":4}'


def test_an_upload_that_is_sent_again_begins_at_its_beginning() -> None:
    connection, played, _ = connected(BUSY, FINE)
    file = Upload(name="a.md", content=io.BytesIO(b"# All of it"))
    connection.ask(Request(method="POST", path="/x", files=[("documents", file)]))
    assert [b"# All of it" in request.content for request in played.seen] == [True, True]
    assert {request.headers["x-rag-adapt"] for request in played.seen} == {"1"}


@contextmanager
def mute() -> Iterator[str]:
    """A server that takes connections and says nothing."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        yield f"{ADDRESS}:{server.getsockname()[1]}"


def test_a_service_that_says_nothing_is_given_up_after_the_time_of_its_kind() -> None:
    quick = Timeouts(quick=0.2, answer=0.5)
    with mute() as url, Client(url, timeouts=quick) as client:
        for call, seconds in (
            (client.catalog.health, 0.2),
            (lambda: client.answers.chat(HELLO), 0.5),
        ):
            begun = time.monotonic()
            with pytest.raises(ApiError) as silent:
                call()
            assert (silent.value.status, silent.value.code) == (504, "timed-out")
            assert time.monotonic() - begun >= seconds


def test_a_stream_that_waits_for_its_status_is_closed_at_once() -> None:
    with mute() as url, Client(url) as client:
        stream = client.answers.chat_stream(HELLO)
        reader = threading.Thread(target=lambda: list(stream))
        reader.start()
        time.sleep(0.3)
        stream.close()
        reader.join(timeout=1)
        assert not reader.is_alive()


def test_an_answer_without_end_is_given_up_in_bounded_memory() -> None:
    sent: list[int] = []

    def endless() -> Iterator[bytes]:
        while True:
            sent.append(2**20)
            yield b"x" * 2**20

    connection, _, _ = connected(httpx.Response(200, content=endless()))
    with pytest.raises(ApiError) as refused:
        connection.ask(Request(path="/v1/runs/x/report.html"))
    assert refused.value.code == "too-large"
    assert sum(sent) <= LARGEST + 2**20


def test_nobody_is_followed_to_another_address() -> None:
    moved = httpx.Response(307, headers={"Location": "http://elsewhere.example/"})
    connection, played, _ = connected(moved, key="rk-1")
    with pytest.raises(ApiError) as refused:
        connection.ask(Request(path="/healthz"))
    assert (refused.value.status, len(played.seen)) == (307, 1)


def test_a_closed_client_says_so() -> None:
    client = Client(transport=Played([FINE]))
    with client:
        assert client.catalog.health().status == "ok"
    with pytest.raises(ApiError) as closed:
        client.catalog.health()
    assert closed.value.code == "closed"


def test_an_address_with_tls_is_verified() -> None:
    with Client("https://service.example") as client:
        assert client.base_url == "https://service.example"


@pytest.mark.parametrize("name", ["", ".", ".."])
def test_a_name_that_leads_elsewhere_is_refused(name: str) -> None:
    with pytest.raises(ApiError, match="is no name"):
        path("runs", name)
    with pytest.raises(ApiError, match="is no name"):
        nested(f"a/{name}/b")


def test_names_are_escaped() -> None:
    assert path("adapters", "orders@e8275acfcb4e") == "/v1/adapters/orders@e8275acfcb4e"
    assert path("runs", "a/b?c#d%") == "/v1/runs/a%2Fb%3Fc%23d%25"
    assert nested("a folder/b.md") == "a%20folder/b.md"
