"""Conversations through the client: asked, watched, left and come back to."""

import threading
from collections.abc import Iterator

import pytest

from rag_adapt.client import ApiError, Client, Reconnect, filled
from rag_adapt.schemas.conversations import (
    ConversationRequest,
    GenerationInfo,
    GenerationPiece,
    TurnInfo,
    TurnRequest,
)
from tests.api.parts import app_of
from tests.api.test_streaming import Slow
from tests.client.parts import Played, client_of, cut
from tests.serving.parts import imported, service
from tests.waiting import wait_until

BOTH = ConversationRequest(models=["route:rag/colours", "scripted"], title="Two")


@pytest.fixture
def client() -> Iterator[Client]:
    imported()
    with client_of() as made:
        yield made


def said(looks: list[GenerationPiece | GenerationInfo]) -> str:
    return "".join(look.text for look in looks if isinstance(look, GenerationPiece))


def test_a_question_is_answered_by_every_model_while_it_is_watched(client: Client) -> None:
    made = client.conversations.create(BOTH)
    turn = client.conversations.ask(made.id, TurnRequest(question="thing number 1"))
    assert [one.model for one in turn.generations] == BOTH.models
    for one in turn.generations:
        looks = list(client.conversations.watch(made.id, one.id))
        assert said(looks) == "thing number 1"
        last = looks[-1]
        assert isinstance(last, GenerationInfo)
        assert (last.state, last.text) == ("complete", "thing number 1")
        assert client.conversations.generation(made.id, one.id) == last
        rest = list(client.conversations.watch(made.id, one.id, after=6))
        assert said(rest) == "number 1"
    kept = client.conversations.show(made.id)
    assert [one.question for one in kept.turns] == ["thing number 1"]


def test_a_question_is_changed_and_answered_again(client: Client) -> None:
    made = client.conversations.create(filled(ConversationRequest, models=["scripted"]))

    def read(turn: TurnInfo) -> None:
        list(client.conversations.watch(made.id, turn.generations[-1].id))

    first = client.conversations.ask(made.id, TurnRequest(question="one"))
    read(first)
    again = client.conversations.again(made.id, first.id)
    assert len(again.generations) == 2
    read(again)
    one = client.conversations.again(made.id, first.id, model="scripted")
    read(one)
    changed = client.conversations.edit(made.id, first.id, TurnRequest(question="two"))
    read(changed)
    (turn,) = client.conversations.show(made.id).turns
    assert turn.question == "two"
    assert turn.generations[-1].text == "two"


def test_conversations_are_listed_renamed_and_deleted(client: Client) -> None:
    made = [client.conversations.create(BOTH) for _ in range(3)]
    assert [one.id for one in client.conversations.all()] == [one.id for one in made[::-1]]
    first = client.conversations.page(limit=2)
    rest = client.conversations.page(limit=2, cursor=first.next)
    assert [one.id for one in rest.data] == [made[0].id]
    assert client.conversations.rename(made[0].id, "Other").title == "Other"
    assert client.conversations.delete(made[0].id).id == made[0].id
    with pytest.raises(ApiError) as gone:
        client.conversations.show(made[0].id)
    assert gone.value.status == 404
    with pytest.raises(ApiError, match="title"):
        client.conversations.rename(made[1].id, "")


def test_an_answer_goes_on_without_its_reader_and_is_stopped_by_name() -> None:
    slow = Slow()
    with client_of(app_of(service(slow))) as client:
        made = client.conversations.create(filled(ConversationRequest, models=["scripted"]))
        turn = client.conversations.ask(made.id, TurnRequest(question="x"))
        (one,) = turn.generations
        watch = client.conversations.watch(made.id, one.id)
        seen: list[GenerationPiece | GenerationInfo] = []
        reader = threading.Thread(target=lambda: seen.extend(watch))
        reader.start()
        wait_until(lambda: said(seen).count("word") >= 2)
        watch.close()
        reader.join(timeout=30)
        assert not reader.is_alive()
        assert not slow.cut_off
        assert client.conversations.cancel(made.id, one.id).state == "cancelled"
        wait_until(lambda: slow.cut_off)
        kept = client.conversations.generation(made.id, one.id)
        assert kept.text.startswith("word word")


def test_a_lost_connection_goes_on_behind_the_last_piece() -> None:
    fields = dict.fromkeys(("answer", "failure", "started", "ended"))
    info = {"id": "g", "turn": "t", "model": "m", "created": 1.0, **fields}
    running = GenerationInfo.model_validate({**info, "state": "running", "text": ""})
    done = GenerationInfo.model_validate({**info, "state": "complete", "text": "walked"})
    look = "data: {}\nevent: generation\n\n"
    piece = 'data: {{"text": "{}"}}\nevent: delta\nid: {}\n\n'
    played = Played(
        [
            cut(look.format(running.model_dump_json()), piece.format("walk", 4)),
            cut(look.format(running.model_dump_json()), "data: 1\nevent: newer\n\n"),
            cut(
                piece.format("ed", 6),
                look.format(done.model_dump_json()),
                "data: [DONE]\nevent: done\n\n",
            ),
        ]
    )
    with Client(transport=played) as client:
        soon = Reconnect(pause=0.001)
        looks = list(client.conversations.watch("c", "g", reconnect=soon))
    assert said(looks) == "walked"
    assert [one for one in looks if isinstance(one, GenerationInfo)] == [running, done]
    places = [request.headers.get("last-event-id") for request in played.seen]
    assert places == [None, "4", "4"]


def test_a_generation_that_can_be_read_no_further_says_why() -> None:
    told = 'data: {"code": "conversation-not-found", "detail": "it is gone", "status": 404}\n'
    played = Played([cut(f"{told}event: failure\n\n")])
    with Client(transport=played) as client, pytest.raises(ApiError, match="it is gone") as gone:
        list(client.conversations.watch("c", "g"))
    assert (gone.value.status, len(played.seen)) == (404, 1)
