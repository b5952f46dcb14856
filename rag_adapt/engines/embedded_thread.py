"""The engine's one thread: takes waiting rows, computes, hands pieces of text back.

It does not know messages or adapters' files. Rows join a running batch when others have left it,
so a long answer does not hold up short ones.
"""

import threading
import time
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from concurrent.futures import Future
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Final

from rag_adapt.core.errors import EngineError, RagAdaptError
from rag_adapt.engines.embedded_adapters import AdapterBank, inner_name
from rag_adapt.engines.embedded_batch import Filled, Prompt, Runner
from rag_adapt.engines.embedded_prefix import PrefixStore
from rag_adapt.engines.embedded_rows import Asked
from rag_adapt.engines.embedded_scores import Head, Scored, batches, families, take

if TYPE_CHECKING:
    import numpy as np
    import torch

    from rag_adapt.engines.embedded_kv import Prefix

PREFIX_BYTES: Final = 128 * 1024 * 1024
"""Memory for shared beginnings of prompts."""


@dataclass(kw_only=True)
class _Inbox:
    """What other threads hand over; guarded by the condition."""

    changed: threading.Condition = field(default_factory=threading.Condition)
    asked: list[Asked] = field(default_factory=list)
    scored: list[Scored] = field(default_factory=list)
    tasks: list[Callable[[], None]] = field(default_factory=list)
    closed: bool = False

    @property
    def empty(self) -> bool:
        return not (self.asked or self.scored or self.tasks or self.closed)


class EngineThread:
    """Runs rows through the model.

    Args:
        runner: Computes logits.
        bank: The model with its adapters.
        max_batch: Rows computed together; 1 in deterministic mode.
        window: Seconds that an idle engine waits for more rows after the first.
        keys_bytes: Memory for keys and values of a batch, padding and answers included; a single
            row may take more.
        prefixes: Whether shared beginnings are computed once.
    """

    def __init__(
        self,
        *,
        runner: Runner,
        bank: AdapterBank,
        max_batch: int,
        window: float,
        keys_bytes: int,
        prefixes: bool,
    ) -> None:
        self.bank = bank
        self.prefixes = PrefixStore(PREFIX_BYTES if prefixes else 0)
        self._share = prefixes
        self._runner = runner
        self._max_batch = max_batch
        self._window = window
        self._room = keys_bytes // runner.token_bytes
        self._inbox = _Inbox()
        self._waiting: deque[Asked] = deque()
        self._scoring: deque[Scored] = deque()
        self._running: list[Asked] = []
        self._filled: Filled | None = None
        self._thread = threading.Thread(target=self._run, name="rag-adapt-engine", daemon=True)
        self._thread.start()

    @property
    def rows(self) -> int:
        """Answers that are computed or wait for it."""
        return len(self._running) + len(self._waiting) + len(self._inbox.asked)

    def ask(self, asked: Asked) -> None:
        """Queue an answer.

        Raises:
            EngineError: the engine is closed.
        """
        with self._open() as inbox:
            inbox.asked.append(asked)

    def score(self, scored: Scored) -> None:
        """Queue tokens to score; see `ask`."""
        with self._open() as inbox:
            inbox.scored.append(scored)

    def do(self, work: Callable[[], Any]) -> "Future[Any]":
        """Run something in the engine's thread, between two steps; see `ask`."""
        future: Future[Any] = Future()

        def task() -> None:
            if not future.set_running_or_notify_cancel():
                return
            try:
                future.set_result(work())
            except Exception as exc:  # noqa: BLE001 - it goes to whoever waits for the future
                future.set_exception(exc)

        with self._open() as inbox:
            inbox.tasks.append(task)
        return future

    def close(self) -> None:
        """Stop after the present step; what was not finished fails."""
        with self._inbox.changed:
            self._inbox.closed = True
            self._inbox.changed.notify()
        self._thread.join()

    @contextmanager
    def _open(self) -> Iterator[_Inbox]:
        """The inbox, to add to: whoever looks at its lists without the lock may hold old ones.

        Raises:
            EngineError: the engine is closed.
        """
        with self._inbox.changed:
            if self._inbox.closed:
                raise EngineError("the embedded engine is closed", hint="Start the command again.")
            yield self._inbox
            self._inbox.changed.notify()

    def _run(self) -> None:
        import torch

        ended: Exception = EngineError("the embedded engine was closed", hint="Start it again.")
        try:
            with torch.inference_mode():
                while self._take():
                    try:
                        self._turn()
                    except Exception as exc:  # noqa: BLE001 - one batch fails, the engine goes on
                        self._fail(exc)
        except Exception as exc:  # noqa: BLE001 - nobody waits for a thread that is no more
            ended = exc
        self._end(ended)

    def _end(self, why: Exception) -> None:
        """Take nothing more; what was not finished fails."""
        with self._inbox.changed:
            self._inbox.closed = True
        self._waiting.extend(self._inbox.asked)
        self._scoring.extend(self._inbox.scored)
        for task in self._inbox.tasks:
            task()
        self._fail(why)

    def _take(self) -> bool:
        """Move what arrived to the thread's own queues; wait if there is nothing to do."""
        inbox = self._inbox
        with inbox.changed:
            if not (self._running or self._waiting or self._scoring):
                inbox.changed.wait_for(lambda: not inbox.empty)
                self._linger()
            tasks, inbox.tasks = inbox.tasks, []
            asked, inbox.asked = inbox.asked, []
            scored, inbox.scored = inbox.scored, []
            closed = inbox.closed
        self._waiting.extend(asked)
        self._scoring.extend(scored)
        for task in tasks:
            task()
        if self._share:
            alike = families(scored).values()
            arrived: list[Asked | Scored] = [*asked, *(one[0] for one in alike)]
            for entry in arrived:
                self.prefixes.note(entry.adapter, entry.tokens)
        return not closed

    def _linger(self) -> None:
        """Let more rows arrive, for a batch costs little more than a row."""
        inbox = self._inbox
        end = time.monotonic() + self._window
        while 0 < len(inbox.asked) + len(inbox.scored) < self._max_batch and not inbox.closed:
            left = end - time.monotonic()
            if left <= 0 or not inbox.changed.wait(left):
                return

    def _turn(self) -> None:
        self._drop_cancelled()
        if self._scoring:
            group = take(self._scoring, rows=self._max_batch, room=self._room)
            self._score([s for s in group if s.future.set_running_or_notify_cancel()])
        admitted = self._admit()
        if admitted:
            self._start(admitted)
        elif self._running:
            self._step()

    def _admit(self) -> list[Asked]:
        """Waiting rows to start now: the oldest, and those most like it."""
        free = self._max_batch - len(self._running)
        if not self._waiting or free < min(len(self._waiting), max(1, self._max_batch // 4)):
            return []
        held = max((asked.room for asked in self._running), default=0) * len(self._running)
        if self._running and held + self._waiting[0].room > self._room:
            return []
        return _nearest(self._waiting, free, self._room - held)

    def _start(self, group: list[Asked]) -> None:
        now = time.monotonic()
        for asked in group:
            asked.started = now
        self._running += group
        filled, logits = self._runner.fill(self._prompts(group), self.bank.forward)
        if self._filled is None:
            self._filled = filled
        else:
            longest = max(asked.room for asked in self._running)
            self._filled.join(filled, min(self._max_batch, self._room // longest))
        self._accept(group, logits[:, -1])

    def _step(self) -> None:
        assert self._filled is not None
        last = [asked.row.produced[-1] for asked in self._running]
        logits = self._runner.step(self._filled, last, self.bank.forward)
        self._accept(list(self._running), logits)

    def _accept(self, group: Sequence[Asked], logits: "torch.Tensor") -> None:
        """Choose the next token of every row; rows that are finished leave the batch."""
        likely = logits.float().argmax(dim=-1).tolist()  # in bfloat16 it takes ten times as long
        now = time.monotonic()
        for number, asked in enumerate(group):
            row = asked.row
            piece = row.push(likely[number] if row.greedy else row.draw(logits[number]))
            asked.first = asked.first or now
            asked.ended = now
            if piece or row.finish:
                asked.tell(piece, row.finish is not None)
        self._drop(asked for asked in group if asked.row.finish)

    def _drop_cancelled(self) -> None:
        self._waiting = deque(asked for asked in self._waiting if not asked.cancelled)
        self._drop(asked for asked in list(self._running) if asked.cancelled)

    def _drop(self, rows: Iterable[Asked]) -> None:
        """Take rows out of the running batch, in whose place the last one moves."""
        for asked in list(rows):
            assert self._filled is not None
            place = self._running.index(asked)
            if len(self._running) == 1:
                self._running, self._filled = [], None
                return
            self._filled.drop(place)
            self._running[place] = self._running[-1]
            del self._running[-1]

    def _score(self, group: list[Scored]) -> None:
        if not group:
            return
        try:
            heads = self._heads(group) if self._share else {}
            for batch in batches(group, rows=self._max_batch, room=self._room):
                self._score_batch(batch, heads)
        except Exception as exc:  # noqa: BLE001 - it goes to whoever waits for the future
            for scored in group:
                if not scored.future.done():
                    scored.future.set_exception(_translated(exc))

    def _score_batch(self, batch: Sequence[Scored], heads: "Mapping[Head, Prefix]") -> None:
        import torch

        keep = max(scored.count for scored in batch) + 1
        prompts = [
            Prompt(tokens=one.tokens, adapter=inner_name(one.adapter), prefix=heads[one.head])
            if one.head in heads
            else self._prompt(one.tokens, one.adapter, len(one.tokens) - keep)
            for one in batch
        ]
        _, logits = self._runner.fill(prompts, self.bank.forward, keep)
        for scored, found in zip(batch, logits, strict=True):
            wanted = torch.from_numpy(scored.tokens[-scored.count :]).to(found.device)
            chances = found[-scored.count - 1 : -1].float().log_softmax(-1)
            picked = chances.gather(1, wanted.unsqueeze(1)).squeeze(1)
            scored.future.set_result(tuple(picked.tolist()))

    def _heads(self, group: Sequence[Scored]) -> "dict[Head, Prefix]":
        """Keys and values of the prompts that several of a group continue."""
        keep = max(scored.count for scored in group) + 1
        shared = {head: alike for head, alike in families(group).items() if len(alike) > 1}
        sizes = [min(len(one.tokens) for one in alike) - keep for alike in shared.values()]
        firsts = [alike[0] for alike in shared.values()]
        self._compute_shared(firsts, sizes)
        prompts = [
            self._prompt(first.tokens[:size], first.adapter, size - 1)
            for first, size in zip(firsts, sizes, strict=True)
            if size > 0
        ]
        named = [head for head, size in zip(shared, sizes, strict=True) if size > 0]
        return dict(zip(named, self._prefixes(prompts), strict=True))

    def _prompts(self, group: Sequence[Asked]) -> list[Prompt]:
        """Rows to compute, their beginnings taken from what is known."""
        limits = [len(wanted.tokens) - 1 for wanted in group]
        if self._share:
            self._compute_shared(group, limits)
        return [
            self._prompt(wanted.tokens, wanted.adapter, limit)
            for wanted, limit in zip(group, limits, strict=True)
        ]

    def _compute_shared(self, group: Sequence[Asked | Scored], limits: Sequence[int]) -> None:
        """Compute the beginnings that are worth it, all of them in one pass, and keep them."""
        fresh: dict[tuple[str | None, bytes], Prompt] = {}
        for wanted, limit in zip(group, limits, strict=True):
            size = self.prefixes.worth(wanted.adapter, wanted.tokens, limit)
            if size:
                head = wanted.tokens[:size]
                key = (wanted.adapter, head.tobytes())
                fresh.setdefault(key, self._prompt(head, wanted.adapter, size - 1))
        for ((adapter, _), prompt), prefix in zip(
            fresh.items(), self._prefixes(list(fresh.values())), strict=True
        ):
            self.prefixes.add(adapter, prompt.tokens, prefix)

    def _prefixes(self, prompts: list[Prompt]) -> "list[Prefix]":
        """Keys and values of whole prompts."""
        if not prompts:
            return []
        filled, _ = self._runner.fill(prompts, self.bank.forward)
        found = []
        for row, prompt in enumerate(prompts):
            beyond = filled.buffers.prefix(row, len(prompt.tokens) - prompt.known)
            found.append(beyond if prompt.prefix is None else prompt.prefix.then(beyond))
        return found

    def _prompt(self, tokens: "np.ndarray", adapter: str | None, limit: int) -> Prompt:
        prefix = self.prefixes.longest(adapter, tokens, limit) if self._share else None
        return Prompt(tokens=tokens, adapter=inner_name(adapter), prefix=prefix)

    def _fail(self, exc: Exception) -> None:
        """Give up what runs; after closing, also what waits."""
        lost = list(self._running)
        if self._inbox.closed:
            lost += self._waiting
            for scored in self._scoring:
                if scored.future.set_running_or_notify_cancel():
                    scored.future.set_exception(_translated(exc))
        self._running, self._filled = [], None
        self.prefixes.clear()
        for asked in lost:
            asked.fail(_translated(exc))


def _nearest(queue: Any, count: int, room: int) -> list[Any]:
    """Take the oldest entry and those nearest to it in length, so that little is padded.

    The batch's rows times its longest row stay within `room`, but for a single one.
    """
    oldest = queue[0]
    others = [entry for entry in queue if entry is not oldest]
    others.sort(key=lambda entry: abs(entry.room - oldest.room))
    group, longest = [oldest], oldest.room
    for entry in others:
        longest = max(longest, entry.room)
        if len(group) >= count or longest * (len(group) + 1) > room:
            break
        group.append(entry)
    for entry in group:
        queue.remove(entry)
    return group


def _translated(exc: Exception) -> RagAdaptError:
    """An error of its own for one waiter: a shared one would collect all waiters' tracebacks."""
    if isinstance(exc, RagAdaptError):
        return type(exc)(exc.fact, hint=exc.hint)
    error = EngineError(
        f"the embedded engine failed: {type(exc).__name__}: {exc}",
        hint="Try again; where memory is short, use a smaller model, shorter prompts or "
        "a lower concurrency.",
    )
    error.__cause__ = exc
    return error
