"""`/v1/conversations`: answers are written whether or not anybody is connected."""

import asyncio
import json
import os
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import aclosing, contextmanager
from typing import Any

import httpx2
import psutil
import pytest
from fastapi.testclient import TestClient

from rag_adapt.api import conversations as endpoints
from rag_adapt.core.errors import EngineError
from rag_adapt.core.types import Call
from rag_adapt.engines.scripted import ScriptedEngine
from rag_adapt.keys.key import Scope
from rag_adapt.keys.store import KeyStore
from rag_adapt.schemas.conversations import (
    ConversationDetail,
    ConversationRequest,
    GenerationInfo,
    TurnInfo,
)
from rag_adapt.serving.conversation import Bounds
from rag_adapt.serving.conversations import ConversationBook
from rag_adapt.serving.process import Process
from rag_adapt.serving.service import Service
from tests.api.parts import ADDRESS, app_of, listening
from tests.api.test_comparisons import named_events
from tests.serving.parts import HOME, imported, service
from tests.waiting import wait_until

PATH = "/v1/conversations"
CALLERS: tuple[tuple[str, Scope], ...] = (
    *(("mine", "chat"), ("other", "chat")),
    ("boss", "admin"),
)
BOTH = ["scripted", "route:prompt/colours"]


class Pausing(ScriptedEngine):
    """Says `one two `, waits until it is let go, says `three`."""

    def __init__(self) -> None:
        super().__init__(lambda call: "one two three")
        self.free = False
        self.waiting = self.stopped = 0

    async def generate(self, call: Call):  # type: ignore[no-untyped-def]  # a fake of an async generator
        async with aclosing(super().generate(call)) as deltas:
            async for delta in deltas:
                if delta.outcome is not None:
                    await self._let_go()
                yield delta

    async def _let_go(self) -> None:
        self.waiting += 1
        try:
            for _ in range(6000):  # the test sets it from another thread
                if self.free:
                    return
                await asyncio.sleep(0.01)
        except asyncio.CancelledError:
            self.stopped += 1
            raise


@contextmanager
def far_client(one: Service) -> Iterator[httpx2.Client]:
    """A client of an application on a port."""
    with (
        listening(app_of(one, desk=None)) as url,
        httpx2.Client(base_url=url, timeout=60) as client,
    ):
        yield client


@contextmanager
def open_client(one: Service | None = None, **more: Any) -> Iterator[TestClient]:
    """A client of an application that has started, and ends with the block."""
    app = app_of(one, desk=None, **more)
    with TestClient(app, base_url=ADDRESS, raise_server_exceptions=False) as client:
        yield client


def begun(client: httpx2.Client, *models: str, **more: Any) -> str:
    """Path of a new conversation."""
    made = client.post(PATH, json={"models": list(models or ["scripted"]), **more})
    assert made.status_code == 201, made.text
    assert made.headers["location"] == f"{PATH}/{made.json()['id']}"
    return str(made.headers["location"])


def asked(client: httpx2.Client, path: str, question: str, **more: Any) -> TurnInfo:
    placed = client.post(f"{path}/turns", json={"question": question, **more})
    assert placed.status_code == 202, placed.text
    return TurnInfo.model_validate(placed.json())


def shown(client: httpx2.Client, path: str) -> ConversationDetail:
    return ConversationDetail.model_validate(client.get(path).json())


def answered(client: httpx2.Client, path: str, question: str, **more: Any) -> TurnInfo:
    """Ask and wait until every model has answered."""
    turn = asked(client, path, question, **more)
    for one in turn.generations:
        read(client, path, one)
    return next(one for one in shown(client, path).turns if one.id == turn.id)


def states(client: httpx2.Client, path: str) -> list[str]:
    """Of all generations."""
    return [one.state for turn in shown(client, path).turns for one in turn.generations]


def read(client: httpx2.Client, path: str, one: GenerationInfo, **more: Any) -> Any:
    """Every event of a generation, until its end."""
    response = client.get(f"{path}/generations/{one.id}/events", **more)
    assert response.status_code == 200, response.text
    return named_events(response.text)


def test_a_question_goes_to_every_model_and_is_answered_without_a_connection() -> None:
    imported()
    with open_client() as client:
        path = begun(client, *BOTH, title="Colours")
        turn = asked(client, path, "thing 1")
        assert [one.model for one in turn.generations] == BOTH
        wait_until(lambda: states(client, path) == ["complete", "complete"])
        found = shown(client, path)
    assert (found.title, found.models, found.asked) == ("Colours", BOTH, 1)
    (turn,) = found.turns
    assert turn.question == "thing 1"
    plain, route = turn.generations
    assert plain.answer is not None
    assert route.answer is not None
    assert (plain.text, plain.answer.text) == ("thing 1", "thing 1")
    assert (plain.answer.rag_adapt.route, route.answer.rag_adapt.skill) == ("plain", "colours")
    assert plain.started is not None
    assert plain.ended is not None
    assert plain.created <= plain.started <= plain.ended


def test_an_answer_keeps_its_trace() -> None:
    with open_client() as client:
        turn = answered(client, begun(client), "Hello there")
        answer = turn.generations[0].answer
        assert answer is not None
        trace = client.get(f"/v1/traces/{answer.rag_adapt.trace_id}").json()
    assert trace["answers"][0]["text"] == "Hello there"


def test_earlier_turns_stand_before_a_question_with_each_models_own_answers() -> None:
    imported()
    engine = ScriptedEngine(lambda call: "red" if call.messages[0].role == "system" else "plain")
    with open_client(service(engine)) as client:
        path = begun(client, *BOTH)
        answered(client, path, "thing 1")
        answered(client, path, "thing 2")
    last = {call.messages[0].role: call for call in engine.received[-2:]}
    assert [m.content for m in last["user"].messages] == ["thing 1", "plain", "thing 2"]
    assert [m.content for m in last["system"].messages][1:] == ["thing 1", "red", "thing 2"]


def test_a_question_that_a_model_did_not_answer_is_left_out_for_it() -> None:
    error = EngineError("it broke", hint="mend it")
    engine = ScriptedEngine(failures={"bad": error})
    with open_client(service(engine)) as client:
        path = begun(client)
        (failed,) = answered(client, path, "a bad one").generations
        answered(client, path, "a good one")
    assert (failed.state, failed.answer) == ("failed", None)
    assert failed.failure is not None
    assert (failed.failure.status, failed.failure.code) == (502, "engine")
    assert (failed.failure.detail, failed.failure.hint) == ("it broke", "mend it")
    assert failed.failure.trace_id
    assert [m.content for m in engine.received[-1].messages] == ["a good one"]


def test_one_model_that_fails_leaves_the_others_alone() -> None:
    imported()
    with open_client() as client:
        turn = answered(client, begun(client, "scripted", "route:auto/colours"), "thing 1")
    assert [one.state for one in turn.generations] == ["complete", "failed"]


def test_a_reader_leaves_and_comes_back_to_where_it_was() -> None:
    engine = Pausing()
    with far_client(service(engine)) as client:
        path = begun(client)
        (one,) = asked(client, path, "go").generations
        wait_until(lambda: engine.waiting)
        with client.stream("GET", f"{path}/generations/{one.id}/events") as first:
            lines = first.iter_lines()
            assert json.loads(next(lines).removeprefix("data: ")) == {"text": "one two"}
            assert [next(lines), next(lines)] == ["event: delta", "id: 7"]
        assert client.get(f"{path}/generations/{one.id}").json()["text"] == "one two"
        engine.free = True
        later = read(client, path, one, headers={"Last-Event-ID": "7"})
    assert "".join(data["text"] for name, data in later if name == "delta") == " three"
    assert [name for name, _ in later][-2:] == ["generation", "done"]
    final = GenerationInfo.model_validate(later[-2][1])
    assert (final.state, final.text) == ("complete", "one two three")
    assert final.answer is not None


def test_two_readers_of_one_stream_read_the_same() -> None:
    engine = Pausing()
    with far_client(service(engine)) as client, ThreadPoolExecutor(2) as pool:
        path = begun(client)
        (one,) = asked(client, path, "go").generations
        wait_until(lambda: engine.waiting)
        readers = [pool.submit(read, client, path, one) for _ in range(2)]
        time.sleep(0.2)
        engine.free = True
        first, second = (reader.result() for reader in readers)
    assert first == second
    assert "".join(data["text"] for name, data in first if name == "delta") == "one two three"
    assert [data["state"] for name, data in first if name == "generation"] == [
        *("running", "complete")
    ]


def test_an_answer_that_has_ended_is_replayed_whole() -> None:
    with open_client() as client:
        path = begun(client)
        (one,) = answered(client, path, "Hello there").generations
        events = read(client, path, one)
    assert [name for name, _ in events] == ["delta", "generation", "done"]
    assert events[0][1] == {"text": "Hello there"}


def test_a_stop_keeps_the_text_so_far_and_ends_the_work() -> None:
    engine = Pausing()
    with far_client(service(engine)) as client:
        path = begun(client)
        (one,) = asked(client, path, "go").generations
        wait_until(lambda: engine.waiting)
        stopped = client.post(f"{path}/generations/{one.id}/cancel").json()
        assert (stopped["state"], stopped["text"], stopped["answer"]) == (
            *("cancelled", "one two"),
            None,
        )
        assert engine.stopped == 1
        again = client.post(f"{path}/generations/{one.id}/cancel").json()
        assert again == stopped
        assert [name for name, _ in read(client, path, one)] == ["delta", "generation", "done"]
        engine.free = True
        answered(client, path, "on")
    assert [m.content for m in engine.received[-1].messages] == ["go", "one two", "on"]


def test_no_question_is_asked_while_an_answer_before_it_is_written() -> None:
    engine = Pausing()
    with far_client(service(engine)) as client:
        path = begun(client)
        turn = asked(client, path, "go")
        for refused in (
            client.post(f"{path}/turns", json={"question": "on"}),
            client.post(f"{path}/turns/{turn.id}/generations", json={}),
        ):
            assert refused.status_code == 409
            assert refused.json()["code"] == "answer-under-way"
            assert refused.json()["retryable"]
        engine.free = True
        read(client, path, turn.generations[0])
        answered(client, path, "on")


def test_an_answer_that_was_asked_for_again_keeps_the_old_one_as_an_alternative() -> None:
    said = iter(["first", "second", "third"])
    engine = ScriptedEngine(lambda call: next(said))
    with open_client(service(engine)) as client:
        path = begun(client)
        turn = answered(client, path, "go", temperature=1.0, max_tokens=7)
        made = client.post(f"{path}/turns/{turn.id}/generations", json={"model": "scripted"})
        assert made.status_code == 202, made.text
        old, new = TurnInfo.model_validate(made.json()).generations
        assert old == turn.generations[0]
        read(client, path, new)
        answered(client, path, "on")
        found = shown(client, path)
    assert [one.text for one in found.turns[0].generations] == ["first", "second"]
    first, again, last = engine.received
    assert (again.sampling.temperature, again.sampling.max_tokens) == (1.0, 7)
    assert first.sampling.seed != again.sampling.seed
    assert [m.content for m in last.messages] == ["go", "second", "on"]


def test_a_model_that_the_conversation_does_not_ask_cannot_answer_again() -> None:
    with open_client() as client:
        path = begun(client)
        turn = answered(client, path, "go")
        where = f"{path}/turns/{turn.id}/generations"
        problem = client.post(where, json={"model": "gpt-4o"}).json()
    assert (problem["status"], problem["code"]) == (404, "conversation-not-found")
    assert "It asks scripted" in problem["hint"]


def test_another_question_in_place_of_an_earlier_one_deletes_what_followed() -> None:
    engine = ScriptedEngine()
    with open_client(service(engine)) as client:
        path = begun(client)
        turns = [answered(client, path, question) for question in ("one", "two", "three")]
        made = client.put(f"{path}/turns/{turns[1].id}", json={"question": "2", "max_tokens": 5})
        assert made.status_code == 202, made.text
        placed = TurnInfo.model_validate(made.json())
        read(client, path, placed.generations[0])
        found = shown(client, path)
        old = client.get(f"{path}/generations/{turns[2].generations[0].id}")
    assert [turn.question for turn in found.turns] == ["one", "2"]
    assert found.turns[1].id == turns[1].id
    assert found.turns[1].sampling.max_tokens == 5
    assert [one.text for one in found.turns[1].generations] == ["2"]
    assert [m.content for m in engine.received[-1].messages] == ["one", "one", "2"]
    assert old.status_code == 404


def test_an_answer_under_way_is_cancelled_when_its_question_changes_or_goes() -> None:
    engine = Pausing()
    with far_client(service(engine)) as client:
        path = begun(client)
        turn = asked(client, path, "go")
        wait_until(lambda: engine.waiting == 1)
        client.put(f"{path}/turns/{turn.id}", json={"question": "stay"})
        assert engine.stopped == 1
        wait_until(lambda: engine.waiting == 2)
        assert client.delete(path).json() == {"id": path.rpartition("/")[2]}
        assert engine.stopped == 2
        assert client.get(path).status_code == 404


def test_conversations_are_listed_newest_first_in_pages() -> None:
    with open_client() as client:
        paths = [begun(client, title=f"number {n}") for n in range(5)]
        first = client.get(PATH, params={"limit": 2}).json()
        second = client.get(PATH, params={"limit": 2, "cursor": first["next"]}).json()
        client.delete(paths[2])  # the last one of the page that names the cursor
        third = client.get(PATH, params={"limit": 2, "cursor": second["next"]}).json()
    titles = [one["title"] for page in (first, second, third) for one in page["data"]]
    assert titles == [f"number {n}" for n in (4, 3, 2, 1, 0)]
    assert third["next"] is None


def test_a_conversation_is_called_as_it_begins_until_somebody_names_it() -> None:
    with open_client() as client:
        path = begun(client)
        assert shown(client, path).title == ""
        answered(client, path, "What  is\n this? " + "x" * 200)
        assert shown(client, path).title.startswith("What is this? xxx")
        assert len(shown(client, path).title) == 80
        renamed = client.patch(path, json={"title": "Mine"}).json()
        assert (renamed["title"], renamed["asked"]) == ("Mine", 1)
        answered(client, path, "again")
        assert shown(client, path).title == "Mine"


@pytest.mark.parametrize(
    ("body", "status", "says"),
    [
        ({}, 400, "needs `skill` or `models`"),
        ({"models": []}, 400, "body.models"),
        ({"models": ["scripted", "scripted"]}, 400, "body.models"),
        ({"models": ["scripted"], "title": ""}, 400, "body.title"),
        ({"skill": "ghost"}, 404, "no skill 'ghost'"),
        ({"models": ["gpt-4o"]}, 404, "no model 'gpt-4o'"),
        ({"models": ["route:sing/colours"]}, 404, "names no route"),
        ({"models": ["route:rag/ghost"]}, 404, "no skill 'ghost'"),
    ],
    ids=str,
)
def test_what_nobody_could_answer_begins_no_conversation(
    body: dict[str, Any], status: int, says: str
) -> None:
    with open_client() as client:
        refused = client.post(PATH, json=body)
        assert (refused.status_code, client.get(PATH).json()["data"]) == (status, [])
    assert says in refused.json()["detail"]


def test_nobody_finds_another_callers_conversation() -> None:
    keys = KeyStore(HOME)
    mine, other, admin = (
        {"Authorization": f"Bearer {keys.create(name, scope).token.reveal()}"}
        for name, scope in CALLERS
    )
    with open_client() as client:
        client.headers.update(mine)
        path = begun(client)
        turn = answered(client, path, "go")
        place = f"{path}/generations/{turn.generations[0].id}"
        question = {"question": "x"}
        for headers in (other, admin):
            assert client.get(PATH, headers=headers).json()["data"] == []
            for method, where, body in (
                ("GET", path, None),
                ("PATCH", path, {"title": "x"}),
                ("DELETE", path, None),
                ("POST", f"{path}/turns", question),
                ("PUT", f"{path}/turns/{turn.id}", question),
                ("POST", f"{path}/turns/{turn.id}/generations", {}),
                ("GET", place, None),
                ("GET", f"{place}/events", None),
                ("POST", f"{place}/cancel", None),
            ):
                refused = client.request(method, where, json=body, headers=headers)
                assert (refused.status_code, refused.json()["code"]) == (
                    *(404, "conversation-not-found"),
                ), (method, where)
        assert shown(client, path).turns[0].question == "go"


def test_a_generation_is_found_in_its_own_conversation_alone() -> None:
    with open_client() as client:
        path, other = begun(client), begun(client)
        (one,) = answered(client, path, "go").generations
        assert client.get(f"{other}/generations/{one.id}").status_code == 404
        turn = f"{other}/turns/{one.turn}"
        assert client.put(turn, json={"question": "x"}).status_code == 404
        assert client.post(f"{turn}/generations", json={}).status_code == 404


def bounded(engine: ScriptedEngine | None = None, **bounds: int) -> Service:
    """A service that keeps less."""
    one = service(engine)
    one.conversations.close()
    one.conversations = ConversationBook(HOME, bounds=Bounds(**bounds))
    return one


def test_the_length_of_a_conversation_is_bounded() -> None:
    with open_client(bounded(turns=2)) as client:
        path = begun(client)
        first = answered(client, path, "one")
        answered(client, path, "two")
        refused = client.post(f"{path}/turns", json={"question": "three"})
        assert (refused.status_code, refused.json()["code"]) == (409, "conversation-full")
        assert "at most 2 questions" in refused.json()["detail"]
        assert len(shown(client, path).turns) == 2
        assert client.put(f"{path}/turns/{first.id}", json={"question": "1"}).status_code == 202


def test_the_bytes_of_a_conversation_are_bounded() -> None:
    with open_client(bounded(size=6000)) as client:
        path = begun(client)
        answered(client, path, "\0" + "x" * 2000)
        refused = client.post(f"{path}/turns", json={"question": "\0" + "x" * 2000})
        assert (refused.status_code, refused.json()["code"]) == (409, "conversation-full")
        assert "6000 bytes" in refused.json()["detail"]


def test_alternatives_and_conversations_are_bounded() -> None:
    with open_client(bounded(alternatives=2, conversations=1)) as client:
        path = begun(client)
        turn = answered(client, path, "go")
        where = f"{path}/turns/{turn.id}/generations"
        second = TurnInfo.model_validate(client.post(where, json={}).json()).generations[-1]
        read(client, path, second)
        third = client.post(where, json={})
        assert (third.status_code, third.json()["code"]) == (409, "conversation-full")
        another = client.post(PATH, json={"models": ["scripted"]})
        assert (another.status_code, another.json()["code"]) == (409, "conversation-full")


def test_answers_under_way_of_one_caller_are_bounded() -> None:
    engine = Pausing()
    with far_client(bounded(engine, at_once=1)) as client:
        path, other = begun(client), begun(client)
        turn = asked(client, path, "go")
        refused = client.post(f"{other}/turns", json={"question": "go"})
        assert (refused.status_code, refused.json()["code"]) == (429, "too-many-generations")
        assert refused.headers["retry-after"]
        assert shown(client, other).turns == []
        engine.free = True
        read(client, path, turn.generations[0])
        answered(client, other, "go")


def test_what_a_service_left_behind_is_interrupted_and_keeps_its_text() -> None:
    engine = Pausing()
    one = service(engine)
    with far_client(one) as client:
        path = begun(client)
        (left,) = asked(client, path, "go").generations
        wait_until(lambda: engine.waiting)
    one.conversations.close()
    with open_client() as client:
        (turn,) = shown(client, path).turns
        (found,) = turn.generations
        assert (found.id, found.state, found.text) == (left.id, "interrupted", "one two")
        assert found.ended is not None
        events = read(client, path, found)
        assert [name for name, _ in events] == ["delta", "generation", "done"]
        answered(client, path, "on")


def test_a_reader_of_what_another_process_writes_is_told_when_it_goes() -> None:
    parent = psutil.Process(os.getppid())
    other = ConversationBook(HOME, process=Process(pid=parent.pid, born=parent.create_time()))
    with far_client(service()) as client, ThreadPoolExecutor(1) as pool:
        path = begun(client)
        placed = asyncio.run(other.ask("local", path.rpartition("/")[2], "go", {}))
        other.close()
        (one,) = shown(client, path).turns[0].generations
        assert (one.id, one.state) == (placed.turn.generations[0].id, "queued")
        reader = pool.submit(read, client, path, one)
        time.sleep(0.3)
        client.delete(path)
        *_, last = reader.result()
    assert last[0] == "failure"
    assert (last[1]["status"], last[1]["code"]) == (404, "conversation-not-found")


def test_the_examples_are_valid() -> None:
    assert ConversationRequest.model_validate(endpoints.REQUEST)
    assert ConversationDetail.model_validate({**endpoints.INFO, "turns": [endpoints.TURN]})
    assert TurnInfo.model_validate(endpoints.QUEUED)
