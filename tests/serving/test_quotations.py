"""What the service keeps of a collection's text is counted, and deleted to the last byte."""

import asyncio
import sqlite3
from pathlib import Path

from rag_adapt.retrieval.catalog import skill_collection
from rag_adapt.retrieval.quoting import Quotations, quotations
from rag_adapt.serving.conversations import ConversationBook
from rag_adapt.serving.quotations import Unquoted, remove_quoting
from rag_adapt.serving.traces import TraceBook
from tests.serving.quoted import cites, quoting
from tests.serving.test_traces import trace


def counted(home: Path, collection: str) -> tuple[int, int]:
    """Traces and conversations."""
    found = quotations(home, collection)
    return found.traces, found.conversations


def bytes_of(home: Path) -> bytes:
    return b"".join(path.read_bytes() for path in home.iterdir())


def test_traces_that_quote_a_collection_go_to_the_last_byte_while_the_service_runs(
    tmp_path: Path,
) -> None:
    book = TraceBook(tmp_path)
    kept = [quoting(f"m{n}", "manual") for n in range(30)]
    others = [quoting("b", "manual-2"), quoting("c", "old-manual"), trace("d", text="manual")]

    async def keep_all() -> None:
        await asyncio.gather(*(book.keep(each) for each in (*kept, *others)))

    asyncio.run(keep_all())
    assert counted(tmp_path, "manual") == (30, 0)
    assert remove_quoting(tmp_path, "manual").traces == 30
    assert counted(tmp_path, "manual") == (0, 0)
    raw = bytes_of(tmp_path)
    assert not [each.id for each in kept if f"xylograph of {each.id}".encode() in raw]
    assert asyncio.run(book.find("m1")) is None
    assert [asyncio.run(book.find(each.id)) for each in others] == others
    asyncio.run(book.keep(trace("new")))
    assert asyncio.run(book.find("new")) == trace("new")
    book.close()


def test_conversations_lose_the_passages_of_a_skill_and_keep_all_else(tmp_path: Path) -> None:
    book = ConversationBook(tmp_path)
    long = "colours-" + "x" * 50
    ids = [cites(book, "colours"), cites(book, "colours", passages=40)]
    others = [cites(book, "colours-2"), cites(book, long), cites(book, "colours", passages=0)]
    before = {id: asyncio.run(book.find("me", id)) for id in (*ids, *others)}
    assert counted(tmp_path, "skill-colours") == (0, 2)
    assert counted(tmp_path, skill_collection(long)) == (0, 1)
    assert remove_quoting(tmp_path, "skill-colours").conversations == 2
    assert counted(tmp_path, "skill-colours") == (0, 0)
    assert counted(tmp_path, skill_collection(long)) == (0, 1)
    raw = bytes_of(tmp_path)
    assert b"xylograph of colours-2 0" in raw
    for id in ids:
        assert f"{id}" in raw.decode(errors="replace")
        assert not [n for n in range(40) if f"xylograph of colours {n} {id}".encode() in raw]
        now = asyncio.run(book.find("me", id))
        (was,), (turn,) = before[id].turns, now.turns
        assert (turn.question, len(turn.generations)) == (was.question, 2)
        for one in turn.generations:
            told = {"skill": "colours", "citations": [], "sentence": "Räg"}
            assert (one.text, one.answer) == ("there", {"rag_adapt": told})
    assert [asyncio.run(book.find("me", id)) for id in others] == [before[id] for id in others]
    book.close()


def test_where_nothing_was_answered_nothing_quotes(tmp_path: Path) -> None:
    nothing = Quotations(runs=(), traces=0, conversations=0)
    none_gone = Unquoted(collection="manual", traces=0, conversations=0)
    for _ in range(2):
        assert quotations(tmp_path, "manual") == nothing
        assert remove_quoting(tmp_path, "manual") == none_gone
        sqlite3.connect(tmp_path / "state.db").close()
