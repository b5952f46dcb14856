"""Traces outlive the process and do not grow without end."""

import asyncio
import json
import sqlite3
import threading
import time
from contextlib import suppress
from pathlib import Path

import pytest

from rag_adapt.core.errors import CollectionError, LockedError, StorageError
from rag_adapt.core.trace import Event, Trace
from rag_adapt.serving.traces import LARGEST, KeptTrace, TraceBook, new_id


def trace(id: str, text: str = "a") -> KeptTrace:
    events = [{"name": "generate", "detail": {"token_ids": [1], "text": text}}]
    answer = {"text": text, "trace": {"route": {}, "events": events}}
    return KeptTrace(id=id, created=7, model="route:prompt/colours", answers=(answer,))


def with_tokens(id: str, count: int) -> KeptTrace:
    events = [{"name": "generate", "detail": {"token_ids": [1] * count, "text": "a"}}]
    answer = {"text": "a", "trace": {"route": {}, "events": events}}
    return KeptTrace(id=id, created=7, model="m", answers=(answer,), owner="key")


def test_a_trace_is_found_after_a_restart(tmp_path: Path) -> None:
    book = TraceBook(tmp_path / "home")
    asyncio.run(book.keep(trace("one")))
    book.close()
    again = TraceBook(tmp_path / "home")
    assert asyncio.run(again.find("one")) == trace("one")
    assert asyncio.run(again.find("two")) is None
    again.close()


def test_traces_are_their_owners_alone(tmp_path: Path) -> None:
    book = TraceBook(tmp_path)
    assert book.path.stat().st_mode & 0o077 == 0
    book.close()


def test_the_oldest_go_where_there_are_too_many(tmp_path: Path) -> None:
    book = TraceBook(tmp_path, keep=3)

    async def fill() -> list[bool]:
        for number in range(5):
            await book.keep(trace(str(number)))
        return [await book.find(str(number)) is not None for number in range(5)]

    assert asyncio.run(fill()) == [False, False, True, True, True]
    book.close()


def test_a_trace_that_is_too_large_loses_its_tokens_alone(tmp_path: Path) -> None:
    book = TraceBook(tmp_path)
    asyncio.run(book.keep(with_tokens("big", LARGEST // 3)))
    found = asyncio.run(book.find("big"))
    assert found is not None
    detail = found.answers[0]["trace"]["events"][0]["detail"]
    assert list(detail) == ["text"]
    book.close()


@pytest.mark.parametrize("text", ["short", "x" * LARGEST], ids=["events", "text"])
def test_no_trace_is_larger_than_the_bound(tmp_path: Path, text: str) -> None:
    book = TraceBook(tmp_path)
    answer = trace("a").answers[0] | {"text": text}
    answer["trace"] = {"events": [{"name": "x", "detail": {"text": "x" * LARGEST}}]}
    asyncio.run(book.keep(KeptTrace(id="big", created=7, model="m", answers=(answer,))))
    found = asyncio.run(book.find("big"))
    assert found is not None
    assert found.answers[0]["trace"]["left_out"] == f"longer than {LARGEST} bytes"
    assert found.answers[0].get("text") == (text if text == "short" else None)
    book.close()


def test_traces_have_a_budget_of_bytes_and_the_oldest_go_first(tmp_path: Path) -> None:
    book = TraceBook(tmp_path, budget=10_000)

    async def fill() -> list[bool]:
        for number in range(12):
            await book.keep(trace(str(number), "x" * 500))
        return [await book.find(str(number)) is not None for number in range(12)]

    kept = asyncio.run(fill())
    assert kept == sorted(kept)
    assert 0 < sum(kept) < 10
    book.close()
    again = TraceBook(tmp_path, budget=3000)
    asyncio.run(again.keep(trace("last", "x" * 500)))
    assert asyncio.run(again.find("last")) is not None
    assert asyncio.run(again.find("11")) is not None
    assert asyncio.run(again.find("8")) is None
    again.close()


def test_an_id_cannot_be_guessed() -> None:
    assert len({new_id() for _ in range(100)}) == 100
    assert len(new_id()) == 32


def test_a_damaged_file_says_how_to_go_on(tmp_path: Path) -> None:
    (tmp_path / "state.db").write_text("no database at all, but long enough to be read" * 20)
    with pytest.raises(CollectionError, match="is damaged"):
        TraceBook(tmp_path)


def test_a_folder_that_cannot_be_written_says_so(tmp_path: Path) -> None:
    (tmp_path / "state.db").mkdir()
    with pytest.raises(StorageError, match="cannot open or write"):
        TraceBook(tmp_path)


def held(path: Path) -> sqlite3.Connection:
    """The file with another process's transaction in it."""
    other = sqlite3.connect(path, isolation_level=None)
    other.execute("PRAGMA journal_mode = WAL")
    other.execute("BEGIN IMMEDIATE")
    return other


def test_many_at_once_are_all_kept_in_a_few_transactions(tmp_path: Path) -> None:
    book = TraceBook(tmp_path)
    commits: list[str] = []
    assert book._connection is not None
    book._connection.set_trace_callback(commits.append)

    async def fill() -> int:
        await asyncio.gather(*(book.keep(trace(str(number))) for number in range(200)))
        return sum([await book.find(str(number)) is not None for number in range(200)])

    assert asyncio.run(fill()) == 200
    assert commits.count("COMMIT") < 100
    book.close()


def test_a_trace_is_written_as_its_plain_json_would_be(tmp_path: Path) -> None:
    book = TraceBook(tmp_path)
    whole = Trace(route={"name": "prompt"}, item="a").then(Event(name="render", detail={"k": [1]}))
    kept = KeptTrace(id="a", created=7, model="m", answers=({"text": "t", "trace": whole},))
    asyncio.run(book.keep(kept))
    found = asyncio.run(book.find("a"))
    assert found is not None
    assert found.answers[0]["trace"] == json.loads(json.dumps(whole.as_json()))
    book.close()


def test_a_trace_that_nobody_waits_for_any_more_is_not_written(tmp_path: Path) -> None:
    book = TraceBook(tmp_path)
    free = threading.Event()

    async def scene() -> KeptTrace | None:
        book._thread.submit(free.wait, 5)
        with pytest.raises(TimeoutError):
            async with asyncio.timeout(0.05):
                await book.keep(trace("late"))
        free.set()
        return await book.find("late")

    assert asyncio.run(scene()) is None
    book.close()


def test_what_cannot_be_written_is_told_to_whoever_waits(tmp_path: Path) -> None:
    book = TraceBook(tmp_path)
    odd = KeptTrace(id="odd", created=7, model="m", answers=({"trace": {"set": {1}}},))
    with pytest.raises(TypeError):
        asyncio.run(book.keep(odd))
    asyncio.run(book.keep(trace("next")))
    assert asyncio.run(book.find("next")) is not None
    book.close()


def test_a_file_that_is_held_at_the_start_is_opened_once_it_is_free(tmp_path: Path) -> None:
    other = held(tmp_path / "state.db")
    book = TraceBook(tmp_path)

    async def scene() -> KeptTrace | None:
        for use in (book.keep(trace("one")), book.find("one")):
            with pytest.raises(LockedError, match="another process"):
                await use
        other.execute("COMMIT")
        end = time.monotonic() + 10
        while time.monotonic() < end:
            with suppress(LockedError):
                await book.keep(trace("one"))
                return await book.find("one")
            await asyncio.sleep(0.05)
        raise AssertionError("it never opened")

    assert asyncio.run(scene()) == trace("one")
    other.close()
    book.close()
