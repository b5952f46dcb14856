"""Answers are written, saved now and then, followed by any number of readers, and stopped."""

import asyncio
import sqlite3
from collections.abc import AsyncGenerator, Callable, Coroutine, Iterable
from contextlib import aclosing, asynccontextmanager, closing
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import pytest

from rag_adapt.core.errors import LockedError, StorageError
from rag_adapt.retrieval import sqlite
from rag_adapt.serving import generations
from rag_adapt.serving.conversation import Generation, Order, Placed
from rag_adapt.serving.conversations import ConversationBook
from rag_adapt.serving.generations import Ending, Generations, Look
from rag_adapt.serving.process import Process

ME = "me"
ELSEWHERE = Process(pid=1, born=1.0)
"""A process that is gone: another one has its number."""


class Counting(ConversationBook):
    """Counts what is saved, and refuses it where it is told to."""

    saves = 0
    full = False

    async def save(self, generations: Iterable[Generation]) -> None:
        self.saves += 1
        if self.full:
            raise StorageError("the disk is full", hint="free some space")
        await super().save(generations)


@dataclass
class Talk:
    """One conversation under test."""

    book: Counting
    writing: Generations
    id: str
    script: "Script"

    async def ask(self, question: str = "why") -> Placed:
        placed = await self.book.ask(ME, self.id, question, {})
        await self.writing.begin(placed)
        return placed

    async def begun(self) -> Generation:
        """Ask one model; its generation."""
        placed = await self.ask()
        return placed.turn.generations[0]

    async def find(self, one: Generation) -> Generation:
        return await self.writing.find(ME, self.id, one.id)

    async def saved(self, one: Generation) -> Generation:
        """As it is in the file."""
        return await self.book.generation(ME, self.id, one.id)

    async def follow(self, one: Generation, start: int = 0) -> list[Look]:
        async with aclosing(self.writing.follow(ME, self.id, one.id, start=start)) as looks:
            return [look async for look in looks]


@dataclass
class Script:
    """What asks: says its pieces, then waits until it may end."""

    pieces: tuple[str, ...] = ("one ", "two")
    end: Ending = field(default_factory=lambda: Ending(text="one two", answer={"text": "one two"}))
    go: asyncio.Event = field(default_factory=asyncio.Event)
    orders: list[Order] = field(default_factory=list)
    closed: int = 0
    error: Exception | None = None

    async def __call__(self, order: Order) -> AsyncGenerator[str | Ending, None]:
        self.orders.append(order)
        try:
            for piece in self.pieces:
                yield piece
            await self.go.wait()
            if self.error is not None:
                raise self.error
            yield self.end
        finally:
            self.closed += 1


async def until(true: Callable[[], object]) -> None:
    for _ in range(1000):
        if true():
            return
        await asyncio.sleep(0.005)
    raise AssertionError("it did not happen in time")


def run(work: Coroutine[Any, Any, None]) -> None:
    asyncio.run(work)


@asynccontextmanager
async def talk(
    home: Path, *models: str, script: Script | None = None, **more: Any
) -> AsyncGenerator[Talk, None]:
    """A conversation whose answers are written as the script says."""
    book, said = Counting(home), script or Script()
    more.setdefault("save_seconds", 0.02)
    made = await book.create(ME, models=models or ("a",))
    writing = Generations(book, said, **more)
    try:
        yield Talk(book=book, writing=writing, id=made.id, script=said)
    finally:
        await writing.stop()
        book.close()


def test_text_is_saved_in_batches_while_it_is_written(tmp_path: Path) -> None:
    async def check() -> None:
        async with talk(tmp_path, script=Script(pieces=("word ",) * 500)) as one:
            made = await one.begun()
            await until(lambda: one.book.saves)
            await asyncio.sleep(0.1)
            saved = await one.saved(made)
            assert (saved.state, len(saved.text)) == ("running", 2500)
            assert one.book.saves < 5

    run(check())


def test_an_end_is_saved_before_it_is_seen(tmp_path: Path) -> None:
    async def check() -> None:
        async with talk(tmp_path, save_seconds=60.0) as one:
            made = await one.begun()
            one.script.go.set()
            *_, last = await one.follow(made)
            assert last.generation is not None
            assert last.generation == await one.saved(made)
            assert last.generation.answer == {"text": "one two"}
            await one.ask("and then")  # not refused: the answer before it has ended

    run(check())


def test_a_reader_that_comes_back_reads_on_where_it_was(tmp_path: Path) -> None:
    async def check() -> None:
        async with talk(tmp_path) as one:
            made = await one.begun()
            await until(lambda: one.script.orders)
            await asyncio.sleep(0.01)
            one.script.go.set()
            looks = await one.follow(made, start=3)
            assert [(look.piece, look.place) for look in looks if look.piece] == [(" two", 7)]
            assert next(look.piece for look in await one.follow(made)) == "one two"
            assert await one.follow(made, start=99) == [Look(generation=await one.saved(made))]

    run(check())


def test_a_reader_is_told_now_and_then_that_nothing_happened(tmp_path: Path) -> None:
    async def check() -> None:
        async with talk(tmp_path, beat=0.02) as one:
            made = await one.begun()
            looks = one.writing.follow(ME, one.id, made.id)
            seen = [await anext(looks) for _ in range(6)]
            assert all(look.generation is not None for look in seen[-2:])
            await looks.aclose()

    run(check())


def test_only_so_many_are_computed_at_once(tmp_path: Path) -> None:
    async def check() -> None:
        async with talk(tmp_path, "a", "b", computing=1) as one:
            placed = await one.ask()
            await until(lambda: one.script.orders)
            first, second = [await one.find(g) for g in placed.turn.generations]
            assert (first.state, second.state) == ("running", "queued")
            assert len(one.script.orders) == 1
            await one.writing.cancel(second.id)
            assert (await one.saved(second)).state == "cancelled"
            assert len(one.script.orders) == 1

    run(check())


def test_a_generation_that_is_cancelled_before_it_began_ends_all_the_same(tmp_path: Path) -> None:
    async def check() -> None:
        async with talk(tmp_path) as one:
            placed = await one.book.ask(ME, one.id, "why", {})
            begin = asyncio.create_task(one.writing.begin(placed))
            await begin
            await one.writing.cancel(placed.turn.generations[0].id)
            assert (await one.saved(placed.turn.generations[0])).state == "cancelled"
            await one.ask()

    run(check())


def test_a_cancelled_one_keeps_its_text_and_closes_what_asks(tmp_path: Path) -> None:
    async def check() -> None:
        async with talk(tmp_path) as one:
            made = await one.begun()
            reader = asyncio.create_task(one.follow(made))
            await until(lambda: one.script.orders)
            await asyncio.sleep(0.01)
            await one.writing.cancel(made.id, "unknown")
            saved = await one.saved(made)
            assert (saved.state, saved.text, one.script.closed) == ("cancelled", "one two", 1)
            assert (await reader)[-1].generation == saved

    run(check())


def test_what_is_under_way_when_the_service_ends_is_interrupted(tmp_path: Path) -> None:
    async def check() -> None:
        async with talk(tmp_path) as one:
            made = await one.begun()
            await until(lambda: one.script.orders)
            await one.writing.stop()
            assert (await one.saved(made)).state == "interrupted"

    run(check())


def test_a_failure_is_kept_with_the_text_before_it(tmp_path: Path) -> None:
    async def check() -> None:
        script = Script(end=Ending(failure={"code": "engine"}))
        async with talk(tmp_path, script=script) as one:
            made = await one.begun()
            script.go.set()
            await one.follow(made)
            saved = await one.saved(made)
            assert (saved.state, saved.text) == ("failed", "one two")
            assert (saved.answer, saved.failure) == (None, {"code": "engine"})

    run(check())


def test_what_nobody_expected_ends_one_generation_and_no_more(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    async def check() -> None:
        script = Script(error=ZeroDivisionError("odd"))
        async with talk(tmp_path, script=script) as one:
            made = await one.begun()
            script.go.set()
            await one.follow(made)
            assert (await one.saved(made)).state == "failed"
            script.error = None
            await one.follow(await one.begun())

    run(check())
    assert "ended without an answer" in caplog.text


def test_what_cannot_be_saved_is_shown_and_saved_later(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    async def check() -> None:
        async with talk(tmp_path) as one:
            made = await one.begun()
            one.book.full = True
            one.script.go.set()
            *_, last = await one.follow(made)
            assert last.generation is not None
            assert last.generation.state == "complete"
            assert (await one.saved(made)).state != "complete"
            assert await one.find(made) == last.generation
            one.book.full = False
            await until(lambda: not one.writing.under_way)
            assert await one.saved(made) == last.generation

    run(check())
    assert "not saved yet: the disk is full" in caplog.text


def test_what_another_process_writes_is_followed_until_it_is_gone(tmp_path: Path) -> None:
    async def check() -> None:
        async with talk(tmp_path) as one:
            other = ConversationBook(tmp_path, process=ELSEWHERE)
            placed = await other.ask(ME, one.id, "why", {})
            (made,) = placed.turn.generations
            looks = await one.follow(made)
            assert [look.generation and look.generation.state for look in looks] == ["interrupted"]
            other.close()

    run(check())


def test_what_a_living_process_writes_is_read_as_it_is_saved(tmp_path: Path) -> None:
    async def check() -> None:
        async with talk(tmp_path) as one:
            made = (await one.book.ask(ME, one.id, "why", {})).turn.generations[0]
            reader = asyncio.create_task(one.follow(made))  # nobody here writes it
            await asyncio.sleep(0.05)
            done = replace(made, state="complete", text="all", answer={}, ended=1.0)
            await one.book.save([done])
            assert [look.piece for look in await reader if look.piece] == ["all"]

    run(check())


def test_a_conversation_shows_its_answers_as_they_are_now(tmp_path: Path) -> None:
    async def check() -> None:
        async with talk(tmp_path, save_seconds=60.0) as one:
            made = await one.begun()
            await until(lambda: one.script.orders)
            await asyncio.sleep(0.01)
            found = await one.writing.conversation(ME, one.id)
            assert [g.text for g in found.generations] == ["one two"]
            assert (await one.saved(made)).text == ""

    run(check())


def test_a_conversation_shows_what_a_process_that_is_gone_left_behind(tmp_path: Path) -> None:
    async def check() -> None:
        async with talk(tmp_path) as one:
            other = ConversationBook(tmp_path, process=ELSEWHERE)
            await other.ask(ME, one.id, "why", {})
            other.close()
            found = await one.writing.conversation(ME, one.id)
            assert [g.state for g in found.generations] == ["interrupted"]

    run(check())


def test_a_start_that_cannot_read_the_file_is_said_and_no_more(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    class Damaged(ConversationBook):
        async def settle(self, *, ours: bool = False) -> int:
            raise StorageError("the file cannot be read", hint="mend it")

    async def check() -> None:
        book = Damaged(tmp_path)
        await Generations(book, Script()).start()
        book.close()

    run(check())
    assert "the file cannot be read" in caplog.text


def test_what_was_left_behind_is_marked_once_another_process_lets_go_of_a_fresh_file(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sqlite, "BUSY_SECONDS", 0.05)
    monkeypatch.setattr(generations, "START_SECONDS", 0.05)
    monkeypatch.setattr(generations, "BUSY_SECONDS", 0.05)

    class Settling(ConversationBook):
        settled = asyncio.Event()

        async def settle(self, *, ours: bool = False) -> int:
            left = await super().settle(ours=ours)
            self.settled.set()
            return left

    async def check() -> None:
        with closing(sqlite3.connect(tmp_path / "state.db", isolation_level=None)) as other:
            other.execute("BEGIN EXCLUSIVE")
            book = Settling(tmp_path)
            writing = Generations(book, Script())
            await writing.start()
            with pytest.raises(LockedError):
                await book.create(ME, models=["a"])
            other.execute("ROLLBACK")
        async with asyncio.timeout(10):
            await book.settled.wait()
        await book.create(ME, models=["a"])
        await writing.stop()
        book.close()

    run(check())


def test_what_was_left_behind_is_interrupted_at_the_start(tmp_path: Path) -> None:
    async def check() -> None:
        async with talk(tmp_path) as one:
            made = (await one.book.ask(ME, one.id, "why", {})).turn.generations[0]
            await one.writing.start()
            assert (await one.find(made)).state == "interrupted"

    run(check())
