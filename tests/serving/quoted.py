"""What quotes a collection, as runs, traces and conversations keep it, for several tests.

It does not know the tests.
"""

import asyncio
import json
from dataclasses import replace
from pathlib import Path

from rag_adapt.serving.conversations import ConversationBook
from rag_adapt.serving.traces import KeptTrace, TraceBook

STATE = "1f3a9c2e7b04"
"""Of a collection: the hash of its content."""


def quoting(id: str, collection: str) -> KeptTrace:
    """A trace of an answer that was given with passages of a collection."""
    found = {"name": "retrieve", "detail": {"collection": f"{collection}@{STATE}"}}
    sent = {"name": "generate", "detail": {"text": f"the xylograph of {id}"}}
    answer = {"text": "a", "trace": {"route": {}, "events": [found, sent]}}
    return KeptTrace(id=id, created=7, model="route:rag/manual", answers=(answer,))


def cites(book: ConversationBook, skill: str, *, passages: int = 1) -> str:
    """A conversation with two answers that were given with passages of a skill; its id."""

    async def scene() -> str:
        made = await book.create("me", models=["a", "b"], title=f"about {skill}")
        placed = await book.ask("me", made.id, "where", {})
        citations = [{"text": f"the xylograph of {skill} {n} {made.id}"} for n in range(passages)]
        told = {"rag_adapt": {"skill": skill, "citations": citations, "sentence": "Räg"}}
        await book.save(
            replace(one.generation, state="complete", text="there", answer=told)
            for one in placed.orders
        )
        return made.id

    return asyncio.run(scene())


def quoted_by(home: Path, collection: str, *, skill: str) -> None:
    """One run, one trace and one conversation that quote a collection."""
    run = home / "runs" / "2026-x"
    run.mkdir(parents=True)
    answer = {"trace": {"events": [{"collection": f"{collection}@{STATE}"}]}}
    (run / "answers.jsonl").write_text(json.dumps(answer) + "\n")
    traces, conversations = TraceBook(home), ConversationBook(home)
    asyncio.run(traces.keep(quoting("one", collection)))
    cites(conversations, skill)
    traces.close()
    conversations.close()
