"""Conversations outlive the process, belong to one caller and do not grow without end."""

import asyncio
import signal
import subprocess
import sys
from collections.abc import Coroutine
from pathlib import Path
from typing import Any, TypeVar

import pytest

from rag_adapt.core.errors import StorageError
from rag_adapt.serving.conversation import (
    Bounds,
    Conversation,
    ConversationNotFoundError,
    Generation,
    TooManyAtOnceError,
    Turn,
    UnderWayError,
    messages_before,
)
from rag_adapt.serving.conversations import ConversationBook

Result = TypeVar("Result")
LEFT = """
import asyncio, sys, time
from pathlib import Path
from rag_adapt.serving.conversations import ConversationBook

async def ask():
    book = ConversationBook(Path(sys.argv[1]))
    made = await book.create("me", models=["a"])
    placed = await book.ask("me", made.id, "why", {})
    await book.save([placed.orders[0].generation])
    print(made.id, flush=True)
    await asyncio.sleep(60)

asyncio.run(ask())
"""


def run(work: Coroutine[Any, Any, Result]) -> Result:
    return asyncio.run(work)


def begun(book: ConversationBook, *models: str) -> Conversation:
    return run(book.create("me", models=models or ("a",)))


def answered(book: ConversationBook, id: str, question: str = "why") -> Turn:
    """Ask, and answer for every model."""
    placed = run(book.ask("me", id, question, {}))
    done = [ended(one, f"{one.model} says") for one in placed.turn.generations]
    run(book.save(done))
    return placed.turn


def ended(one: Generation, text: str) -> Generation:
    return Generation(
        id=one.id,
        turn=one.turn,
        model=one.model,
        state="complete",
        text=text,
        answer={"text": text},
        created=one.created,
        started=1.0,
        ended=2.0,
    )


def test_a_conversation_is_found_after_a_restart(tmp_path: Path) -> None:
    book = ConversationBook(tmp_path / "home")
    made = begun(book, "a", "b")
    turn = answered(book, made.id)
    before = run(book.find("me", made.id))
    book.close()
    again = ConversationBook(tmp_path / "home")
    assert run(again.find("me", made.id)) == before
    assert [one.text for one in before.turns[0].generations] == ["a says", "b says"]
    assert run(again.generation("me", made.id, turn.generations[1].id)).answer == {"text": "b says"}
    again.close()


def test_the_file_is_its_owners_alone(tmp_path: Path) -> None:
    book = ConversationBook(tmp_path)
    assert book.path.stat().st_mode & 0o077 == 0
    book.close()


def test_what_was_deleted_is_gone_from_the_file(tmp_path: Path) -> None:
    book = ConversationBook(tmp_path)
    made = begun(book)
    answered(book, made.id, "a question about platypuses")
    run(book.delete("me", made.id))
    book.close()
    assert b"platypuses" not in (tmp_path / "state.db").read_bytes()


def test_later_questions_are_asked_with_each_models_own_answers(tmp_path: Path) -> None:
    book = ConversationBook(tmp_path)
    made = begun(book, "a", "b")
    answered(book, made.id, "one")
    first, second = run(book.ask("me", made.id, "two", {"seed": 7})).orders
    assert [m.content for m in first.turns] == ["one", "a says"]
    assert [m.content for m in second.turns] == ["one", "b says"]
    assert [m.role for m in second.turns] == ["user", "assistant"]
    assert (second.question, second.sampling, second.owner) == ("two", {"seed": 7}, "me")
    book.close()


def generation(state: Any, text: str = "x") -> Generation:
    return Generation(id="g", turn="t", model="a", state=state, text=text, created=0.0)


@pytest.mark.parametrize(
    ("states", "said"),
    [
        ([("complete", "x")], "x"),
        ([("complete", "x"), ("complete", "y")], "y"),
        ([("complete", "x"), ("failed", "y")], "x"),
        ([("complete", "x"), ("interrupted", "y")], "x"),
        ([("cancelled", "half")], "half"),
        ([("cancelled", "")], None),
        ([("failed", "x")], None),
        ([("complete", "")], ""),
        ([], None),
    ],
    ids=str,
)
def test_the_newest_answer_that_is_one_stands(states: list[Any], said: str | None) -> None:
    own = tuple(generation(*one) for one in states)
    turn = Turn(id="t", question="q", sampling={}, created=0.0, generations=own)
    assert turn.said("a") == said
    assert turn.said("b") is None
    assert len(messages_before((turn,), "a")) == (0 if said is None else 2)


def test_a_question_that_is_refused_leaves_nothing_behind(tmp_path: Path) -> None:
    book = ConversationBook(tmp_path, bounds=Bounds(at_once=1))
    made = begun(book, "a", "b")
    with pytest.raises(TooManyAtOnceError, match="1 answers"):
        run(book.ask("me", made.id, "why", {}))
    assert run(book.find("me", made.id)) == made
    book.close()


def test_an_earlier_question_waits_for_answers_before_it_alone(tmp_path: Path) -> None:
    book = ConversationBook(tmp_path)
    made = begun(book)
    first = answered(book, made.id, "one")
    second = run(book.ask("me", made.id, "two", {})).turn
    placed = run(book.edit("me", made.id, second.id, "2", {}))
    assert placed.dropped == (second.generations[0].id,)
    again = run(book.again("me", made.id, first.id, None))
    assert again.turn.id == first.id
    with pytest.raises(UnderWayError, match="'a' is still answering"):
        run(book.edit("me", made.id, second.id, "3", {}))
    assert [turn.question for turn in run(book.find("me", made.id)).turns] == ["one", "2"]
    book.close()


def test_another_callers_things_are_not_there(tmp_path: Path) -> None:
    book = ConversationBook(tmp_path)
    made = begun(book)
    turn = answered(book, made.id)
    for work in (
        book.find("you", made.id),
        book.rename("you", made.id, "x"),
        book.delete("you", made.id),
        book.ask("you", made.id, "x", {}),
        book.edit("you", made.id, turn.id, "x", {}),
        book.again("you", made.id, turn.id, None),
        book.generation("you", made.id, turn.generations[0].id),
    ):
        with pytest.raises(ConversationNotFoundError):
            run(work)
    assert run(book.page("you", limit=5)).conversations == ()
    book.close()


def test_what_a_killed_process_left_behind_is_interrupted(tmp_path: Path) -> None:
    command = [sys.executable, "-c", LEFT, str(tmp_path)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as left:
        assert left.stdout is not None
        id = left.stdout.readline().strip()
        book = ConversationBook(tmp_path)
        assert run(book.settle()) == 0, "it still lives"
        left.send_signal(signal.SIGKILL)
        left.wait()
    assert run(book.settle()) == 1
    (one,) = run(book.find("me", id)).generations
    assert one.state == "interrupted"
    assert one.ended is not None
    assert run(book.settle()) == 0
    book.close()


def test_what_this_process_writes_is_no_leftover_but_at_its_start(tmp_path: Path) -> None:
    book = ConversationBook(tmp_path)
    run(book.ask("me", begun(book).id, "why", {}))
    assert run(book.settle()) == 0
    assert run(book.settle(ours=True)) == 1
    book.close()


def test_a_full_disk_is_our_error(tmp_path: Path) -> None:
    book = ConversationBook(tmp_path)
    made = begun(book)
    book._db.execute("PRAGMA max_page_count = 1")
    with pytest.raises(StorageError, match="full"):
        run(book.ask("me", made.id, "x" * 400_000, {}))
    assert run(book.find("me", made.id)).turns == ()
    book.close()
