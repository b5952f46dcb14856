"""Questions asked through the client, whole and in pieces."""

import threading
from collections.abc import Iterator

import pytest

from rag_adapt.client import ApiError, Client
from rag_adapt.core.types import Call
from rag_adapt.schemas.requests import ChatMessage, ChatRequest, CompletionRequest, StreamOptions
from tests.api.parts import app_of
from tests.api.test_streaming import Breaking, Silent, Slow
from tests.client.parts import client_of
from tests.serving.parts import imported, service
from tests.waiting import wait_until

HELLO = ChatRequest(model="scripted", messages=[ChatMessage(role="user", content="Hello there")])
ROUTE = HELLO.model_copy(update={"model": "route:rag/colours"})


@pytest.fixture
def client() -> Iterator[Client]:
    imported()
    with client_of() as made:
        yield made


def test_a_whole_answer_says_where_it_came_from_and_its_trace_is_read(client: Client) -> None:
    answer = client.answers.chat(ROUTE)
    assert answer.choices[0].message.content == "Hello there"
    assert answer.rag_adapt.citations[0].document == "colours.md"
    trace = client.answers.trace(answer.rag_adapt.trace_id)
    assert trace.answers[0]["text"] == "Hello there"


def test_an_answer_comes_in_pieces_and_the_last_one_says_where_it_came_from(
    client: Client,
) -> None:
    with client.answers.chat_stream(ROUTE) as stream:
        chunks = list(stream)
    said = "".join(c.choices[0].delta.content or "" for c in chunks if c.choices)
    assert said == "Hello there"
    assert chunks[-1].rag_adapt is not None
    assert chunks[-1].rag_adapt.route == "rag"
    assert stream.closed


def test_what_was_used_is_told_where_it_was_asked_for(client: Client) -> None:
    asked = HELLO.model_copy(update={"stream_options": StreamOptions(include_usage=True)})
    last = list(client.answers.chat_stream(asked))[-1]
    assert last.usage is not None
    assert last.usage.completion_tokens == 2


def test_prompts_are_completed_whole_and_in_pieces(client: Client) -> None:
    asked = CompletionRequest(model="scripted", prompt=["one", "two words"])
    assert [c.text for c in client.answers.complete(asked).choices] == ["one", "two words"]
    pieces = list(client.answers.complete_stream(asked))
    said = [
        "".join(c.text for p in pieces for c in p.choices if c.index == index) for index in (0, 1)
    ]
    assert said == ["one", "two words"]


class Talking(Slow):
    """Says a word every 50 ms."""

    silent = False


class Waiting(Silent):
    """Is asked, and never says anything."""

    silent = False

    async def generate(self, call: Call):  # type: ignore[no-untyped-def]  # a fake of an async generator
        self.silent = True
        async for delta in super().generate(call):
            yield delta


@pytest.mark.parametrize("kind", [Talking, Waiting])
def test_a_stream_that_another_thread_closes_ends_at_once_and_cancels_the_work(
    kind: type[Talking] | type[Waiting],
) -> None:
    engine = kind()
    with client_of(app_of(service(engine))) as client:
        stream = client.answers.chat_stream(HELLO)
        read: list[object] = []
        reader = threading.Thread(target=lambda: read.extend(stream))
        reader.start()
        wait_until(lambda: read or engine.silent)
        stream.close()
        reader.join(timeout=30)
        assert not reader.is_alive()
        wait_until(lambda: engine.cut_off)
    assert bool(read) == (kind is Talking)
    assert list(stream) == []


def test_a_stream_that_is_left_early_cancels_the_work() -> None:
    slow = Slow()
    with client_of(app_of(service(slow))) as client:
        with client.answers.chat_stream(HELLO) as stream:
            assert next(stream).choices[0].delta.content == "word "
        wait_until(lambda: slow.cut_off)


def test_a_stream_that_was_closed_before_it_began_asks_nothing() -> None:
    with Client("http://127.0.0.1:9") as client:
        stream = client.answers.chat_stream(HELLO)
        stream.close()
        assert list(stream) == []


def test_a_failure_in_the_middle_is_raised_after_what_was_said() -> None:
    with client_of(app_of(service(Breaking()))) as client:
        stream = client.answers.chat_stream(HELLO)
        assert next(stream).choices[0].delta.content == "one "
        with pytest.raises(ApiError) as broke:
            next(stream)
    error = broke.value
    assert (error.fact, error.hint, error.code) == ("it broke in the middle", "ask again", "engine")
    assert error.retryable
    assert (error.request_id or "").startswith("urn:uuid:")


def test_a_refusal_before_the_first_piece_is_raised_with_its_status(client: Client) -> None:
    ghost = HELLO.model_copy(update={"model": "route:prompt/ghost"})
    with pytest.raises(ApiError) as refused:
        next(client.answers.chat_stream(ghost))
    assert (refused.value.status, refused.value.code) == (404, "model-not-found")
    with pytest.raises(ApiError, match="no skill 'ghost'"):
        client.answers.chat(ghost)


def test_an_unknown_trace_is_not_found(client: Client) -> None:
    with pytest.raises(ApiError) as missing:
        client.answers.trace("ghost")
    assert missing.value.code == "trace-not-found"
