"""Traces outlive the process and do not grow without end."""

import asyncio
from pathlib import Path

import pytest

from rag_adapt.core.errors import CollectionError, StorageError
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
