"""Writes answers whether or not anybody is connected: readers come, leave and come back.

It does not know how an answer is made; what asks is handed in.
"""

import asyncio
import logging
import time
from collections.abc import AsyncGenerator, Callable, Iterable
from contextlib import aclosing
from dataclasses import dataclass, replace
from typing import Any, Final

from rag_adapt.core.errors import LockedError, RagAdaptError
from rag_adapt.serving.conversation import Conversation, Generation, Order, Placed, State, Turn
from rag_adapt.serving.conversations import ConversationBook

COMPUTING: Final = 32
"""Answers computed at once, all callers together; the others are `queued`."""
SAVE_SECONDS: Final = 1.0
"""Between two times that texts under way are saved, all of them in one transaction."""
BEAT: Final = 15.0
"""Seconds after which a reader is told something though nothing was written: connections that say
nothing are cut."""
LOOK_SECONDS: Final = 0.5
"""Between two looks at what another process of this home writes."""
START_SECONDS: Final = 0.5
"""How long a start waits until what was left behind is marked."""
BUSY_SECONDS: Final = 1.0
"""Before the next try to do so, where another process holds the file."""
log = logging.getLogger("rag_adapt.serving")


@dataclass(frozen=True, kw_only=True)
class Ending:
    """How an answer ended: one of the two is there."""

    text: str = ""
    answer: dict[str, Any] | None = None
    failure: dict[str, Any] | None = None


@dataclass(frozen=True, kw_only=True)
class Look:
    """What a reader sees next: some text, or the generation in another state."""

    piece: str = ""
    place: int = 0
    """Characters of the answer up to the end of the piece: a reader that comes back begins here."""
    generation: Generation | None = None


Ask = Callable[[Order], AsyncGenerator[str | Ending, None]]
"""Asks what was ordered: pieces of text, then how it ended. Closing it cancels the work."""


class _Live:
    """One generation while it is written."""

    def __init__(self, order: Order) -> None:
        self.order = order
        self.now = order.generation
        """As everybody may see it."""
        self.final: Generation | None = None
        """How it ended; shown once that was saved, so that the next question finds it."""
        self.task: asyncio.Task[None]
        self.stopping: State = "interrupted"
        """What becomes of it where it is cancelled."""
        self.saved: Generation | None = None
        """As it was last saved."""
        self.changed = asyncio.Event()
        """Set, and another one put in its place, at every change."""

    @property
    def latest(self) -> Generation:
        """What is to be saved."""
        return self.final or self.now

    def show(self, now: Generation) -> None:
        self.now = now
        changed, self.changed = self.changed, asyncio.Event()
        changed.set()


class Generations:
    """The answers that this process writes.

    Args:
        book: Where they are kept.
        ask: What asks the models.
        computing: See `COMPUTING`.
        save_seconds: See `SAVE_SECONDS`.
        beat: See `BEAT`.
    """

    def __init__(
        self,
        book: ConversationBook,
        ask: Ask,
        *,
        computing: int = COMPUTING,
        save_seconds: float = SAVE_SECONDS,
        beat: float = BEAT,
    ) -> None:
        self._book, self._ask = book, ask
        self._places = asyncio.Semaphore(computing)
        self._save_seconds, self._beat = save_seconds, beat
        self._live: dict[str, _Live] = {}
        self._saver: asyncio.Task[None] | None = None
        self._settling: asyncio.Task[None] | None = None

    @property
    def under_way(self) -> int:
        """Generations that are written, or whose end is not saved yet."""
        return len(self._live)

    async def start(self) -> None:
        """Mark as interrupted what a process left behind that is gone; later, if that must wait."""
        self._settling = asyncio.create_task(self._settle())
        await asyncio.wait({self._settling}, timeout=START_SECONDS)

    async def _settle(self) -> None:
        ours = True  # what this process begins comes to the file after the first look
        while True:
            try:
                left = await self._book.settle(ours=ours)
            except LockedError:
                ours = False
                await asyncio.sleep(BUSY_SECONDS)
                continue
            except RagAdaptError as error:
                log.warning("answers that were left behind are not marked: %s", error.fact)
                return
            if left:
                log.info("%d answers were interrupted when the service ended", left)
            return

    async def stop(self) -> None:
        """Interrupt what is under way; its text is kept."""
        await asyncio.gather(*(self._stop(one, "interrupted") for one in self._lives()))
        for task in (self._saver, self._settling):
            if task is not None:
                task.cancel()
                await asyncio.gather(task, return_exceptions=True)

    async def begin(self, placed: Placed) -> None:
        """Begin what was ordered; cancel what went away with the turn that it replaces."""
        for order in placed.orders:
            live = self._live[order.generation.id] = _Live(order)
            live.task = asyncio.create_task(self._write(live))
        if self._saver is None or self._saver.done():
            self._saver = asyncio.create_task(self._save_often())
        await self.cancel(*placed.dropped)

    async def cancel(self, *ids: str) -> None:
        """Stop generations and wait for their end; their text is kept."""
        found = [self._live[id] for id in ids if id in self._live]
        await asyncio.gather(*(self._stop(one, "cancelled") for one in found))

    async def find(self, owner: str, conversation: str, id: str) -> Generation:
        """A generation as it is now.

        Raises:
            ConversationNotFoundError: the caller has none of that id there.
        """
        saved = await self._book.generation(owner, conversation, id)
        if saved.active and id not in self._live:  # it ended since, or somebody else writes it
            await self._book.settle()
            saved = await self._book.generation(owner, conversation, id)
        return self._newest(saved)

    async def conversation(self, owner: str, id: str) -> Conversation:
        """A conversation with its answers as they are now.

        Raises:
            ConversationNotFoundError: the caller has none of that id.
        """
        found = await self._book.find(owner, id)
        if any(one.active and one.id not in self._live for one in found.generations):
            await self._book.settle()
            found = await self._book.find(owner, id)
        return replace(found, turns=tuple(map(self.turn, found.turns)))

    def turn(self, turn: Turn) -> Turn:
        """A turn with its answers as they are now."""
        return replace(turn, generations=tuple(map(self._newest, turn.generations)))

    async def follow(
        self, owner: str, conversation: str, id: str, *, start: int = 0
    ) -> AsyncGenerator[Look, None]:
        """The text from a place on, then whatever comes, until the end of the generation.

        Args:
            owner: Who asks.
            conversation: Where it belongs.
            id: The generation's.
            start: Characters that the reader has already.

        Raises:
            ConversationNotFoundError: the caller has none of that id there.
        """
        state: State | None = None
        live: _Live | None = None
        while True:
            live = self._live.get(id, live)
            changed = None if live is None else live.changed  # taken before the look
            now = await self.find(owner, conversation, id) if live is None else live.now
            if piece := now.text[start:]:
                start += len(piece)
                yield Look(piece=piece, place=start)
            if now.state != state:
                state = now.state
                yield Look(generation=now)
            if not now.active:
                return
            if not await self._changes(changed):
                yield Look(generation=now)

    async def _changes(self, changed: asyncio.Event | None) -> bool:
        """Wait for a change; False where a reader should be told that nothing happened."""
        if changed is None:
            await asyncio.sleep(LOOK_SECONDS)
            return True
        try:
            async with asyncio.timeout(self._beat):
                await changed.wait()
        except TimeoutError:
            return False
        return True

    async def _write(self, live: _Live) -> None:
        """One generation from its queue to its end."""
        try:
            async with self._places:
                live.show(replace(live.now, state="running", started=time.time()))
                ending = await self._answer(live)
        except asyncio.CancelledError:
            await self._end(live, live.stopping)
        except Exception:
            log.exception("the generation %s ended without an answer", live.now.id)
            await self._end(live, "failed")
        else:
            state: State = "failed" if ending.answer is None else "complete"
            await self._end(live, state, ending)

    async def _answer(self, live: _Live) -> Ending:
        ending = Ending()
        async with aclosing(self._ask(live.order)) as parts:
            async for part in parts:
                if isinstance(part, Ending):
                    ending = part
                else:
                    live.show(replace(live.now, text=live.now.text + part))
        return ending

    async def _stop(self, live: _Live, state: State) -> None:
        live.stopping = state
        if live.final is None:
            live.task.cancel()
        await asyncio.wait({live.task})
        if live.final is None:  # it was cancelled before its first step
            await self._end(live, state)

    async def _end(self, live: _Live, state: State, ending: Ending | None = None) -> None:
        told = ending or Ending()
        live.final = replace(
            live.now,
            state=state,
            text=live.now.text if told.answer is None else told.text,
            answer=told.answer,
            failure=told.failure,
            ended=time.time(),
        )
        try:
            await self._save((live,))
        finally:
            live.show(live.final)
        if live.saved is live.final:
            self._live.pop(live.now.id, None)

    async def _save_often(self) -> None:
        while self._live:
            await asyncio.sleep(self._save_seconds)
            await self._save(one for one in self._lives() if one.saved is not one.latest)
            for one in self._lives():
                if one.saved is one.final is one.now:
                    self._live.pop(one.now.id, None)

    async def _save(self, lives: Iterable[_Live]) -> None:
        """Save them as they are; what could not be saved is tried again."""
        kept = {one: one.latest for one in lives}
        if not kept:
            return
        try:
            await self._book.save(kept.values())
        except RagAdaptError as error:
            log.warning("%d answers are not saved yet: %s", len(kept), error.fact)
            return
        for one, saved in kept.items():
            one.saved = saved

    def _newest(self, saved: Generation) -> Generation:
        live = self._live.get(saved.id)
        return saved if live is None else live.now

    def _lives(self) -> tuple[_Live, ...]:
        return tuple(self._live.values())
