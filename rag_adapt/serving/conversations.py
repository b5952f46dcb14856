"""Keeps conversations in a home's `state.db`; every change is one transaction.

It does not know what answers.
"""

import asyncio
import sqlite3
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path
from typing import Any, Final, TypeVar

from rag_adapt.retrieval.sqlite import open_writer, transaction, translated
from rag_adapt.serving.conversation import (
    Bounds,
    Conversation,
    ConversationNotFoundError,
    Generation,
    Order,
    Page,
    Placed,
    Turn,
    check_idle,
    messages_before,
)
from rag_adapt.serving.conversation_rows import Rows
from rag_adapt.serving.process import Process
from rag_adapt.serving.traces import new_id

TITLE: Final = 80
"""Characters of the first question that become a title."""
Result = TypeVar("Result")


class ConversationBook:
    """The conversations of one home; each is found by its owner alone.

    The file is opened when it is first needed, so that a busy one delays no start.

    Args:
        home: The folder that holds `state.db`; made where it is missing.
        bounds: How much one caller may have.
        process: Who writes answers here; this process by default.
    """

    def __init__(
        self, home: Path, *, bounds: Bounds | None = None, process: Process | None = None
    ) -> None:
        home.mkdir(parents=True, exist_ok=True)
        self.path = home / "state.db"
        self.bounds = bounds or Bounds()
        self.process = process or Process.this()
        self.path.touch(mode=0o600)  # what people ask is nobody else's business
        self._db: sqlite3.Connection
        self._rows: Rows
        self._is_open = False
        self._thread = ThreadPoolExecutor(1, thread_name_prefix="conversations")

    def close(self) -> None:
        """Finish writing and close the file."""
        self._thread.shutdown(wait=True)
        if self._is_open:
            self._db.close()

    async def create(
        self, owner: str, *, models: Sequence[str], skill: str | None = None, title: str = ""
    ) -> Conversation:
        """A new conversation without a turn.

        Raises:
            ConversationFullError: the caller has as many as one may have.
        """
        now = time.time()
        made = Conversation(
            number=0,
            id=new_id(),
            title=title,
            skill=skill,
            models=tuple(models),
            created=now,
            updated=now,
        )

        def change() -> Conversation:
            self._rows.add(owner, made)
            self.bounds.check_conversations(self._rows.count(owner))
            return self._rows.bare(owner, made.id)

        return await self._change(change)

    async def page(self, owner: str, *, limit: int, behind: int | None = None) -> Page:
        """The caller's conversations, newest first, without their turns."""
        return await self._run(lambda: self._rows.page(owner, limit=limit, behind=behind))

    async def find(self, owner: str, id: str) -> Conversation:
        """A conversation with its turns.

        Raises:
            ConversationNotFoundError: the caller has none of that id.
        """
        return await self._run(lambda: self._rows.whole(owner, id))

    async def rename(self, owner: str, id: str, title: str) -> Conversation:
        """The same conversation under another title, without its turns.

        Raises:
            ConversationNotFoundError: the caller has none of that id.
        """

        def change() -> Conversation:
            self._rows.bare(owner, id)
            self._rows.touch(id, title)
            return self._rows.bare(owner, id)

        return await self._change(change)

    async def delete(self, owner: str, id: str) -> tuple[str, ...]:
        """Forget a conversation; which generations went with it.

        Raises:
            ConversationNotFoundError: the caller has none of that id.
        """

        def change() -> tuple[str, ...]:
            whole = self._rows.whole(owner, id)
            self._rows.delete(id)
            return tuple(one.id for one in whole.generations)

        return await self._change(change)

    async def ask(self, owner: str, id: str, question: str, sampling: Mapping[str, Any]) -> Placed:
        """The next question, to every model of the conversation.

        Raises:
            ConversationNotFoundError: the caller has none of that id.
            UnderWayError: an earlier answer is still being written.
            ConversationFullError: it has as many turns or bytes as it may have.
            TooManyAtOnceError: the caller has too many answers under way.
        """

        def change() -> Placed:
            whole = self._rows.whole(owner, id)
            check_idle(whole.generations)
            return self._put(owner, whole, _turn(new_id(), question, sampling))

        return await self._change(change)

    async def edit(
        self, owner: str, id: str, turn: str, question: str, sampling: Mapping[str, Any]
    ) -> Placed:
        """Another question in place of an earlier one; its answers and all later turns go.

        Raises:
            ConversationNotFoundError: the caller has no such turn.
            ConversationFullError: it has as many bytes as it may have.
            TooManyAtOnceError: the caller has too many answers under way.
        """

        def change() -> Placed:
            before = self._rows.whole(owner, id)
            until = before.until(turn)
            kept = until.turns[:-1]
            check_idle(one for earlier in kept for one in earlier.generations)
            self._rows.clear_from(id, turn)
            placed = self._put(owner, replace(until, turns=kept), _turn(turn, question, sampling))
            stays = {one.id for earlier in kept for one in earlier.generations}
            gone = tuple(one.id for one in before.generations if one.id not in stays)
            return replace(placed, dropped=gone)

        return await self._change(change)

    async def again(self, owner: str, id: str, turn: str, model: str | None) -> Placed:
        """One more answer to a turn, by one model or by all; earlier ones stay as alternatives.

        Raises:
            ConversationNotFoundError: the caller has no such turn, or it does not ask that model.
            UnderWayError: an earlier answer, or one of these models', is still being written.
            ConversationFullError: there are as many answers or bytes as there may be.
            TooManyAtOnceError: the caller has too many answers under way.
        """

        def change() -> Placed:
            until = self._rows.whole(owner, id).until(turn)
            models = _chosen(until, model)
            *earlier, asked = until.turns
            check_idle(one for turn in earlier for one in turn.generations)
            check_idle(one for one in asked.generations if one.model in models)
            self.bounds.check_alternatives(asked, models)
            self._check_size(owner, id)
            self._rows.touch(id, until.title)
            return self._order(owner, tuple(earlier), asked, models)

        return await self._change(change)

    async def generation(self, owner: str, id: str, generation: str) -> Generation:
        """One generation as it was last saved.

        Raises:
            ConversationNotFoundError: the caller has none of that id there.
        """
        return await self._run(lambda: self._rows.generation(owner, id, generation))

    async def save(self, generations: Iterable[Generation]) -> None:
        """Note how far some generations are; those that were deleted stay so.

        Raises:
            StorageError: the disk is full or the file cannot be written.
        """
        kept = tuple(generations)
        await self._change(lambda: self._rows.save(kept))

    async def settle(self, *, ours: bool = False) -> int:
        """Mark as interrupted what a process began that is gone; how many those were.

        Args:
            ours: Whether what this very process began was left behind too: only at its start.
        """

        def change() -> int:
            writers = self._rows.writers()
            gone = [one for one in writers if (ours if one == self.process else not one.lives)]
            return sum(self._rows.interrupt(one) for one in gone)

        return await self._change(change)

    def _put(self, owner: str, before: Conversation, turn: Turn) -> Placed:
        """Put a turn behind others and order its answers."""
        self._rows.put_turn(before.id, turn)
        self._rows.touch(before.id, before.title or " ".join(turn.question.split())[:TITLE])
        self._check_size(owner, before.id)
        return self._order(owner, before.turns, turn, before.models)

    def _check_size(self, owner: str, id: str) -> None:
        turns = self._rows.bare(owner, id).asked
        self.bounds.check_size(turns=turns, size=self._rows.size(id))

    def _order(
        self, owner: str, earlier: tuple[Turn, ...], turn: Turn, models: Sequence[str]
    ) -> Placed:
        made = tuple(
            Generation(id=new_id(), turn=turn.id, model=model, state="queued", created=time.time())
            for model in models
        )
        for one in made:
            self._rows.add_generation(one, self.process)
        self.bounds.check_at_once(self._rows.at_once(owner))
        orders = tuple(
            Order(
                generation=one,
                owner=owner,
                question=turn.question,
                turns=messages_before(earlier, one.model),
                sampling=turn.sampling,
            )
            for one in made
        )
        return Placed(turn=replace(turn, generations=(*turn.generations, *made)), orders=orders)

    def _open(self) -> None:
        """Open the file, in the thread that uses it; tried again where another process has it."""
        if self._is_open:
            return
        self._db = open_writer(self.path)
        try:
            self._db.execute("PRAGMA synchronous = NORMAL")
            self._db.execute("PRAGMA foreign_keys = ON")
            self._rows = Rows(self._db)
        except BaseException:
            self._db.close()
            raise
        self._is_open = True

    async def _run(self, work: Callable[[], Result]) -> Result:
        def guarded() -> Result:
            with translated(self.path):
                self._open()
                return work()

        return await asyncio.get_running_loop().run_in_executor(self._thread, guarded)

    async def _change(self, work: Callable[[], Result]) -> Result:
        def all_of_it() -> Result:
            with transaction(self._db):
                return work()

        return await self._run(all_of_it)


def _turn(id: str, question: str, sampling: Mapping[str, Any]) -> Turn:
    return Turn(id=id, question=question, sampling=dict(sampling), created=time.time())


def _chosen(conversation: Conversation, model: str | None) -> tuple[str, ...]:
    """The models that are asked again.

    Raises:
        ConversationNotFoundError: the conversation does not ask that one.
    """
    if model is None:
        return conversation.models
    if model not in conversation.models:
        raise ConversationNotFoundError(
            f"this conversation does not ask {model[:80]!r}",
            hint=f"It asks {', '.join(conversation.models)}.",
        )
    return (model,)
