"""Floods, long bodies and slow ones are refused; what else is sent meanwhile is answered."""

import asyncio
import itertools
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from fastapi import FastAPI, Request

from rag_adapt.api import problems, security
from rag_adapt.api.limits import Buckets, Limits, Places
from rag_adapt.api.problems import ApiProblem
from rag_adapt.keys.store import KeyStore
from rag_adapt.settings import Settings
from tests.api.small_app import Small, call, small_app

JSON = {"host": "127.0.0.1:8000", "content-type": "application/json"}
CHUNKED = {**JSON, "transfer-encoding": "chunked"}
LIMITS = Limits(body_bytes=1000, upload_bytes=5000, body_seconds=0.2, concurrency=2)


@pytest.fixture
def small(tmp_path: Path) -> Small:
    return small_app(KeyStore(tmp_path), limits=LIMITS)


def code_of(body: bytes) -> str:
    return str(json.loads(body)["code"])


def test_a_body_that_announces_too_much_is_refused_unread(small: Small) -> None:
    headers = JSON | {"content-length": "1001"}
    got = asyncio.run(call(small.app, "POST", "/v1/ask", headers=headers, pieces=[b"x" * 1001]))
    assert (got.status, code_of(got.body), got.taken) == (413, "body-too-large", 0)
    assert got.headers["connection"] == "close"


@pytest.mark.parametrize("length", ["9" * 30, "9" * 5000], ids=["huge", "a number of 5000 digits"])
def test_absurd_lengths_are_refused(small: Small, length: str) -> None:
    headers = JSON | {"content-length": length}
    assert asyncio.run(call(small.app, "POST", "/v1/ask", headers=headers)).status == 413


def test_a_body_without_a_length_is_refused_as_soon_as_it_is_too_long(small: Small) -> None:
    pieces = [b"x" * 400] * 1000
    got = asyncio.run(call(small.app, "POST", "/v1/ask", headers=CHUNKED, pieces=pieces))
    assert (got.status, code_of(got.body), got.taken) == (413, "body-too-large", 3)


def test_a_body_of_just_the_limit_is_read(small: Small) -> None:
    body = json.dumps({"text": "x" * (1000 - len('{"text": ""}'))}).encode()
    assert len(body) == 1000
    got = asyncio.run(
        call(small.app, "POST", "/v1/ask", headers=CHUNKED, pieces=[body[:9], body[9:]])
    )
    assert got.status == 200


def test_uploads_have_a_limit_of_their_own(small: Small) -> None:
    def sent(size: int) -> tuple[dict[str, str], list[bytes]]:
        part = b'--b\r\nContent-Disposition: form-data; name="file"; filename="f"\r\n\r\n'
        headers = {
            "host": "localhost",
            "x-rag-adapt": "1",
            "transfer-encoding": "chunked",
            "content-type": "multipart/form-data; boundary=b",
        }
        return headers, [part, *[b"x" * 100] * (size // 100), b"\r\n--b--\r\n"]

    headers, pieces = sent(4000)
    got = asyncio.run(call(small.app, "POST", "/v1/uploads", headers=headers, pieces=pieces))
    assert (got.status, got.body) == (200, b'{"text":"4000"}')
    headers, pieces = sent(9000)
    got = asyncio.run(call(small.app, "POST", "/v1/uploads", headers=headers, pieces=pieces))
    assert got.status == 413
    assert got.taken < 60


def test_an_operation_without_files_reads_no_upload(small: Small) -> None:
    headers = {
        "host": "localhost",
        "x-rag-adapt": "1",
        "content-length": "4000",
        "content-type": "multipart/form-data; boundary=b",
    }
    got = asyncio.run(call(small.app, "POST", "/v1/ask", headers=headers, pieces=[b"x" * 4000]))
    assert (got.status, code_of(got.body), got.taken) == (415, "unsupported-media-type", 0)


def test_a_body_that_never_ends_is_given_up(small: Small) -> None:
    status = asyncio.run(_slow(small.app))
    assert status == 408


async def _slow(app: Any) -> int:
    async def receive() -> dict[str, Any]:
        await asyncio.sleep(0.06)
        return {"type": "http.request", "body": b" ", "more_body": True}

    return await _status(app, receive)


def test_waiting_for_a_disconnect_is_not_a_slow_body(small: Small) -> None:
    small.app.add_api_route("/waits", _wait_for_the_end, methods=["POST"])
    headers = JSON | {"content-length": "2"}
    got = asyncio.run(call(small.app, "POST", "/waits", headers=headers, pieces=[b"{}"]))
    assert got.status == 200


async def _wait_for_the_end(request: Request) -> str:
    await request.body()
    await asyncio.sleep(0.3)
    return str((await request.receive())["type"])


def test_a_stream_goes_out_piece_by_piece(small: Small) -> None:
    got = asyncio.run(call(small.app, "GET", "/v1/stream", headers=JSON))
    assert (got.status, got.body) == (200, b"ab")


def test_more_requests_than_places_are_503_but_the_health_check_answers(small: Small) -> None:
    statuses, health, later = asyncio.run(_crowd(small))
    assert statuses.count(503) == 3
    assert health == 200
    assert later == 200, "places were not given back"


async def _done(tasks: list[asyncio.Task[Any]], count: int) -> None:
    for next_one in itertools.islice(asyncio.as_completed(tasks), count):
        await next_one


async def _crowd(small: Small) -> tuple[list[int], int, int]:
    go = asyncio.Event()

    async def held() -> str:
        await go.wait()
        return "x"

    small.app.add_api_route("/held", held)
    waiting = [asyncio.create_task(call(small.app, "GET", "/held", headers=JSON)) for _ in range(5)]
    await asyncio.wait_for(_done(waiting, 3), timeout=10)
    health = await call(small.app, "GET", "/healthz", headers=JSON)
    go.set()
    statuses = [got.status for got in await asyncio.gather(*waiting)]
    later = await call(small.app, "GET", "/held", headers=JSON)
    return statuses, health.status, later.status


def test_a_busy_answer_says_when_to_come_back() -> None:
    places = Places(1)
    places.enter("a")
    with pytest.raises(ApiProblem) as refused:
        places.enter("b")
    assert refused.value.retryable
    assert refused.value.headers["Retry-After"] == "1"


def test_one_caller_never_has_all_places() -> None:
    places = Places(4)
    for _ in range(3):
        places.enter("greedy")
    with pytest.raises(ApiProblem) as refused:
        places.enter("greedy")
    assert (refused.value.status, refused.value.code) == (429, "too-many-at-once")
    places.enter("modest")
    places.leave("greedy")
    places.enter("greedy")


def test_bodies_on_their_way_keep_nobody_from_being_answered(small: Small) -> None:
    first, crowded, answered = asyncio.run(_slow_bodies(small.app))
    assert (first, crowded, answered) == (200, 503, 200)


async def _slow_bodies(app: Any) -> tuple[int, int, int]:
    """Two bodies stand still: status of one when it ends, of a third body, of one without any."""
    go = asyncio.Event()

    async def halting() -> Any:
        await go.wait()
        return {"type": "http.request", "body": b'{"text": "a"}', "more_body": False}

    waiting = [asyncio.create_task(_status(app, halting)) for _ in range(2)]
    await asyncio.sleep(0.01)
    pieces = [b'{"text": "a"}']
    third = await call(app, "POST", "/v1/ask", headers=CHUNKED, pieces=pieces)
    other = await call(app, "GET", "/v1/me", headers=JSON)
    go.set()
    return (await asyncio.gather(*waiting))[0], third.status, other.status


async def _status(app: Any, receive: Any) -> int:
    sent: list[dict[str, Any]] = []

    async def send(message: dict[str, Any]) -> None:
        sent.append(message)

    scope = {
        "type": "http",
        "method": "POST",
        "path": "/v1/ask",
        "query_string": b"",
        "headers": [(k.encode(), v.encode()) for k, v in CHUNKED.items()],
    }
    await app(scope, receive, send)
    return int(sent[0]["status"])


def test_a_body_that_is_complete_while_all_places_are_taken_is_503(small: Small) -> None:
    go = asyncio.Event()

    async def held() -> str:
        await go.wait()
        return "x"

    async def run() -> int:
        tasks = [asyncio.create_task(call(small.app, "GET", "/held", headers=JSON)) for _ in "ab"]
        await asyncio.sleep(0.01)
        got = await call(
            small.app, "POST", "/v1/ask", headers=CHUNKED, pieces=[b'{"text"', b': "a"}']
        )
        go.set()
        assert [one.status for one in await asyncio.gather(*tasks)] == [200, 200]
        return got.status

    small.app.add_api_route("/held", held)
    assert asyncio.run(run()) == 503
    assert small.reached == []


def test_a_failing_endpoint_gives_its_place_back(small: Small) -> None:
    small.app.add_api_route("/fails", _fail)
    for _ in range(5):
        with pytest.raises(ZeroDivisionError):
            asyncio.run(call(small.app, "GET", "/fails", headers=JSON))
    assert asyncio.run(call(small.app, "GET", "/v1/me", headers=JSON)).status == 200


async def _fail() -> float:
    return 1 / 0


def test_each_key_has_its_own_rate(tmp_path: Path) -> None:
    small = small_app(KeyStore(tmp_path), limits=Limits(rate=0.5, burst=3))
    keys = {
        name: {"authorization": f"Bearer {small.store.create(name, 'chat').token.reveal()}"}
        for name in ("greedy", "modest")
    }
    got = [asyncio.run(call(small.app, "GET", "/v1/me", headers=keys["greedy"])) for _ in range(5)]
    assert [one.status for one in got] == [200, 200, 200, 429, 429]
    assert got[-1].headers["retry-after"] == "2"
    assert asyncio.run(call(small.app, "GET", "/v1/me", headers=keys["modest"])).status == 200


@pytest.fixture
def ticks() -> list[float]:
    return [0.0]


def test_a_bucket_fills_again_up_to_its_burst(ticks: list[float]) -> None:
    bucket = Buckets(rate=2.0, burst=3, clock=lambda: ticks[0])

    def taken() -> Iterator[None]:
        while True:
            try:
                bucket.take("a")
            except ApiProblem:
                return
            yield

    assert len(list(taken())) == 3
    ticks[0] = 0.5
    assert len(list(taken())) == 1
    ticks[0] = 1000.0
    assert len(list(taken())) == 3


def test_limits_come_from_the_settings(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("RAG_ADAPT_SERVE_BODY_BYTES", "5000")
    monkeypatch.setenv("RAG_ADAPT_SERVE_RATE", "7.5")
    limits = Limits.of(Settings())
    assert (limits.body_bytes, limits.rate) == (5000, 7.5)
    monkeypatch.undo()
    assert Limits.of(Settings()) == Limits()


def test_an_app_without_our_handlers_is_refused_for_it_too(tmp_path: Path) -> None:
    app = FastAPI()

    @app.post("/raw", openapi_extra={"x-scope": "chat"})
    async def raw(request: Request) -> int:
        return len(await request.body())

    security.install(app, store=KeyStore(tmp_path), limits=LIMITS)
    pieces = [b"x" * 600] * 3
    got = asyncio.run(call(app, "POST", "/raw", headers=CHUNKED, pieces=pieces))
    assert (got.status, code_of(got.body)) == (413, "body-too-large")


def test_problems_of_an_endpoint_pass_through_the_door(small: Small) -> None:
    async def refuses() -> None:
        raise ApiProblem(status=418, code="teapot", detail="no coffee", hint="Ask for tea.")

    small.app.add_api_route("/coffee", refuses)
    got = asyncio.run(call(small.app, "GET", "/coffee", headers=JSON))
    assert (got.status, code_of(got.body)) == (418, "teapot")
    assert got.headers["content-type"] == problems.MEDIA_TYPE
