"""Streams that break off: some are opened again, others say so."""

import threading
import time
from collections.abc import Callable
from typing import Any

import httpx
import pytest

from rag_adapt.client import ApiError, Client, Reconnect, Retries, Stream
from rag_adapt.client.connection import Connection, Request
from rag_adapt.client.events import Event
from rag_adapt.client.streams import Reading
from rag_adapt.schemas.jobs import JobInfo
from rag_adapt.schemas.requests import ChatMessage, ChatRequest
from tests.api.parts import ADDRESS
from tests.client.parts import AT_ONCE, Played, cut

RESET = httpx.ReadError("connection reset by peer")
AWAY = httpx.ConnectError("connection refused")
LATE = httpx.ReadTimeout("nothing came")
RESTARTING = httpx.Response(503, headers={"Retry-After": "1"}, json={"code": "starting"})
DONE = "data: [DONE]\n\n"
SOON = Reconnect(pause=0.001, patience=0.3)
HELLO = ChatRequest(model="scripted", messages=[ChatMessage(role="user", content="Hello")])


def numbered(number: int) -> str:
    return f"id: {number}\ndata: {number}\n\n"


def words(
    *answers: Any, reconnect: Reconnect = SOON, retries: Retries = AT_ONCE
) -> tuple[Stream[str], Played]:
    """A stream of the data of events, and what carries it."""
    played = Played(answers)
    connection = Connection(ADDRESS, transport=played, retries=retries)
    reading = Reading[str](value=lambda event: event.data)
    return Stream(connection, Request(path="/events"), reading, reconnect=reconnect), played


def test_a_stream_is_opened_again_behind_the_last_event_that_came() -> None:
    stream, played = words(
        cut(numbered(1), numbered(2), error=RESET),
        AWAY,
        RESTARTING,
        LATE,
        cut(numbered(3)),
        cut(numbered(4), DONE),
    )
    assert list(stream) == ["1", "2", "3", "4"]
    places = [request.headers.get("last-event-id") for request in played.seen]
    assert places == [None, "2", "2", "2", "2", "3"]
    assert stream.closed


def test_it_is_given_up_after_some_time_without_an_event() -> None:
    stream, played = words(cut(numbered(1)), AWAY)
    begun = time.monotonic()
    assert next(stream) == "1"
    with pytest.raises(ApiError) as away:
        next(stream)
    assert away.value.code == "unreachable"
    assert time.monotonic() - begun >= 0.3
    assert len(played.seen) > 3


def test_what_the_service_refuses_is_not_asked_again() -> None:
    gone = httpx.Response(404, json={"code": "job-not-found", "detail": "no job"})
    stream, played = words(cut(numbered(1)), gone)
    assert next(stream) == "1"
    with pytest.raises(ApiError, match="no job"):
        next(stream)
    assert len(played.seen) == 2


def test_a_failure_that_is_told_ends_it() -> None:
    told = 'data: {"error": {"code": "engine", "detail": "it broke", "hint": "mend it"}}\n\n'
    stream, played = words(cut(numbered(1), told, numbered(2), DONE))
    assert next(stream) == "1"
    with pytest.raises(ApiError) as broke:
        next(stream)
    assert (broke.value.code, broke.value.fact) == ("engine", "it broke")
    assert list(stream) == []
    assert len(played.seen) == 1


@pytest.mark.parametrize("data", ['{"error": 1}', '{"error"', "no JSON"])
def test_a_failure_that_says_nothing_is_one_all_the_same(data: str) -> None:
    stream, _ = words(cut(f"event: error\ndata: {data}\n\n", DONE))
    with pytest.raises(ApiError):
        next(stream)


def test_before_its_first_event_it_is_a_request_like_others() -> None:
    stream, played = words(AWAY)
    with pytest.raises(ApiError) as away:
        next(stream)
    assert (away.value.code, len(played.seen)) == ("unreachable", 1)
    busy = httpx.Response(429, headers={"Retry-After": "0"}, json={})
    stream, played = words(busy, busy, cut(numbered(1), DONE))
    assert list(stream) == ["1"]
    assert len(played.seen) == 3
    stream, played = words(busy)
    with pytest.raises(ApiError):
        next(stream)
    assert len(played.seen) == 3


def test_an_answer_that_breaks_off_is_not_asked_again() -> None:
    chunk = (
        'data: {"id": "x", "object": "chat.completion.chunk", "created": 1, "model": "m", '
        '"choices": [{"index": 0, "delta": {"content": "a"}, "finish_reason": null}]}\n\n'
    )
    played = Played([cut(chunk)])
    with Client(transport=played) as client:
        stream = client.answers.chat_stream(HELLO)
        assert next(stream).choices[0].delta.content == "a"
        with pytest.raises(ApiError) as lost:
            next(stream)
    assert (lost.value.code, len(played.seen)) == ("cut-off", 1)


def test_the_last_event_may_say_something_itself() -> None:
    played = Played([cut(numbered(1), "event: end\ndata: bye\n\n", numbered(2))])
    reading = Reading[str](
        value=lambda event: event.data, is_last=lambda event: event.name == "end"
    )
    stream = Stream(Connection(ADDRESS, transport=played), Request(path="/events"), reading)
    assert list(stream) == ["1", "bye"]


def test_what_a_reading_leaves_out_is_left_out() -> None:
    def even(event: Event) -> int | None:
        return int(event.data) if int(event.data) % 2 == 0 else None

    played = Played([cut(*(numbered(n) for n in range(5)), DONE)])
    connection = Connection(ADDRESS, transport=played)
    assert list(Stream(connection, Request(path="/e"), Reading[int](value=even))) == [0, 2, 4]


def closed_meanwhile(stream: Stream[str], wait: Callable[[], object]) -> float:
    """Seconds that a reader takes to end after another thread closed its stream."""
    reader = threading.Thread(target=lambda: list(stream))
    reader.start()
    wait()
    begun = time.monotonic()
    stream.close()
    reader.join(timeout=30)
    assert not reader.is_alive()
    return time.monotonic() - begun


def test_a_stream_that_waits_to_be_opened_again_is_closed_at_once() -> None:
    slow = Reconnect(pause=30, longest=30, patience=300)
    stream, _ = words(cut(numbered(1)), reconnect=slow)
    assert closed_meanwhile(stream, lambda: time.sleep(0.2)) < 1


def test_a_stream_is_closed_between_two_events_and_more_than_once() -> None:
    released = threading.Event()

    def waiting(request: httpx.Request) -> httpx.Response:
        def body() -> Any:
            yield numbered(1).encode()
            released.wait(5)
            yield numbered(2).encode()

        return httpx.Response(200, content=body())

    stream, _ = words(waiting)
    assert next(stream) == "1"
    with stream:
        stream.close()
        stream.close()
    released.set()
    assert list(stream) == []


def test_a_watched_job_is_shown_once_per_change_over_lost_connections() -> None:
    nulls = dict.fromkeys(("started", "ended", "exit_code", "progress", "result", "error"))
    fields: dict[str, Any] = {
        "id": "j",
        "command": [],
        "created": 1.0,
        "cancelling": False,
        **nulls,
    }
    looks = [JobInfo.model_validate({**fields, "state": s}) for s in ("queued", "running", "done")]
    queued, running, done = (f"data: {look.model_dump_json()}\n\n" for look in looks)
    played = Played(
        [cut(queued, queued, running, error=RESET), cut(running, running), cut(done, DONE)]
    )
    with Client(transport=played) as client:
        stream = client.jobs.watch("j", reconnect=SOON)
        assert list(stream) == looks
        assert len(played.seen) == 3
