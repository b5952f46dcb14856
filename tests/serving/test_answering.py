"""One question to one route: pieces, then the reply with what it rests on."""

import asyncio
from collections.abc import AsyncGenerator
from dataclasses import replace

import pytest

from rag_adapt.core.errors import EngineError
from rag_adapt.core.template import BARE
from rag_adapt.core.types import Call, Delta, Message, Sampling
from rag_adapt.engines.scripted import ScriptedEngine
from rag_adapt.routes.route import Route
from rag_adapt.serving.answering import FailedAnswer, Question, Reply, ask
from tests.test_laws import PASSAGE, ROUTES

QUESTION = Question(input="How many bolts are there?", turns=(), sampling=Sampling(max_tokens=8))


def asked(route: Route, engine: ScriptedEngine, question: Question = QUESTION) -> list[str | Reply]:
    async def collect() -> list[str | Reply]:
        return [part async for part in ask(route, question, engine=engine)]

    return asyncio.run(collect())


def test_pieces_joined_are_the_replys_text() -> None:
    *pieces, reply = asked(ROUTES["prompt"], ScriptedEngine())
    assert isinstance(reply, Reply)
    assert "".join(map(str, pieces)) == reply.answer.text
    assert len(pieces) > 1


def test_a_reply_cites_the_passages_that_stood_in_the_prompt() -> None:
    reply = asked(ROUTES["rag"], ScriptedEngine())[-1]
    assert isinstance(reply, Reply)
    assert reply.passages == (replace(PASSAGE, score=1.0),)
    assert reply.answer.trace.route == ROUTES["rag"].spec()


def test_two_questions_at_once_keep_their_citations_apart() -> None:
    async def both() -> list[str | Reply]:
        engine, last = ScriptedEngine(), []
        streams = [ask(ROUTES["rag"], QUESTION, engine=engine) for _ in range(2)]
        for stream in streams:
            last += [part async for part in stream][-1:]
        return last

    assert all(isinstance(r, Reply) and len(r.passages) == 1 for r in asyncio.run(both()))


def test_earlier_turns_and_the_repeat_reach_the_engine() -> None:
    engine = ScriptedEngine()
    turns = (Message(role="user", content="Hi"), Message(role="assistant", content="Hello"))
    asked(ROUTES["prompt"], engine, replace(QUESTION, turns=turns, repeat=3))
    (call,) = engine.received
    assert call.messages[1:3] == turns
    assert call.repeat == 3


def test_a_failure_is_raised_with_its_trace() -> None:
    engine = ScriptedEngine(failures={"bolts": EngineError("it broke", hint="mend it")})
    with pytest.raises(FailedAnswer, match="it broke") as caught:
        asked(ROUTES["rag"], engine)
    events = [event.name for event in caught.value.failure.trace.events]
    assert events == ["retrieve", "render", "generate"]


def test_closing_early_cancels_the_engine() -> None:
    engine = ScriptedEngine()

    async def leave() -> None:
        parts = ask(Route(name="plain", template=BARE), QUESTION, engine=engine)
        await anext(parts)
        await parts.aclose()

    asyncio.run(leave())
    assert engine.cancelled == 1


def test_a_plain_route_sends_messages_as_they_are() -> None:
    engine = ScriptedEngine()
    turns = (Message(role="system", content="{odd} braces"),)
    asked(Route(name="plain", template=BARE), engine, replace(QUESTION, turns=turns, input="{x}"))
    call: Call = engine.received[0]
    assert call.messages == (*turns, Message(role="user", content="{x}"))


class Wholesale(ScriptedEngine):
    """Says in one delta what the other one says in many."""

    asked_whole = 0

    async def whole(self, call: Call) -> AsyncGenerator[Delta, None]:
        self.asked_whole += 1
        deltas = [delta async for delta in self.generate(call)]
        yield Delta(text="".join(delta.text for delta in deltas))
        yield Delta(text="", outcome=deltas[-1].outcome)


@pytest.mark.parametrize("whole", [True, False])
def test_an_engine_that_answers_whole_is_asked_so_where_nobody_reads_along(whole: bool) -> None:
    engine = Wholesale()

    async def collect() -> list[str | Reply]:
        asked = ask(ROUTES["prompt"], QUESTION, engine=engine, whole=whole)
        return [part async for part in asked]

    *pieces, reply = asyncio.run(collect())
    assert isinstance(reply, Reply)
    assert "".join(map(str, pieces)) == reply.answer.text
    assert engine.asked_whole == whole
    assert (len(pieces) == 1) == whole


def test_an_engine_that_only_streams_is_asked_for_a_stream() -> None:
    async def collect() -> list[str | Reply]:
        asked = ask(ROUTES["prompt"], QUESTION, engine=ScriptedEngine(), whole=True)
        return [part async for part in asked]

    assert len(asyncio.run(collect())) > 2
