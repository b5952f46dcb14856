"""An engine that answers by rule: for tests, dry runs and `--engine scripted`; needs no weights.

It does not know models or files: the same call always gets the same text, word by word.
"""

import asyncio
import re
import zlib
from collections import deque
from collections.abc import AsyncGenerator, Awaitable, Callable, Mapping, Sequence
from typing import Final

from rag_adapt.core.errors import AdapterError, RagAdaptError
from rag_adapt.core.types import (
    AdapterRef,
    Call,
    Delta,
    Fingerprint,
    FinishReason,
    Message,
    Outcome,
    Sampling,
    Sent,
    Times,
    TokenLogProbs,
    Usage,
    content_hash,
)

Rule = Callable[[Call], str]
TEMPLATE_HASH: Final = content_hash("scripted: messages as they are")
EXPECTED: Final = -0.1
"""Log-probability of a token that the engine would say itself."""


def question_of(messages: Sequence[Message]) -> str:
    """The last user message; empty where there is none."""
    return next((m.content for m in reversed(messages) if m.role == "user"), "")


def last_line(call: Call) -> str:
    """The default rule: the last line of the user's message that is not blank."""
    lines = [line.strip() for line in question_of(call.messages).splitlines() if line.strip()]
    return lines[-1] if lines else ""


def lookup(replies: Mapping[str, str], otherwise: Rule = last_line) -> Rule:
    """A rule that answers known questions.

    The whole user message is looked up first, then the longest key that stands in it.
    """

    def rule(call: Call) -> str:
        question = question_of(call.messages)
        if question in replies:
            return replies[question]
        known = sorted((key for key in replies if key in question), key=len, reverse=True)
        return replies[known[0]] if known else otherwise(call)

    return rule


class ScriptedAdapters:
    """Adapters that exist by declaration: `name@sha12` and the hash they claim to carry.

    Args:
        declared: Claimed content hash (12 hex digits) by adapter version.
        rank: LoRA rank that every reference reports.
    """

    def __init__(self, declared: Mapping[str, str] | None = None, *, rank: int = 8) -> None:
        self._declared = dict(declared or {})
        self._rank = rank
        self.loaded: list[str] = []
        """Versions in the order in which they were first asked for."""

    def declare(self, version: str, sha: str | None = None) -> None:
        """Make a version known; its hash is the one in its name unless told otherwise."""
        self._declared[version] = version.rpartition("@")[2] if sha is None else sha

    def hash_of(self, version: str) -> str:
        """The declared hash: what stands for a proof on this engine.

        Raises:
            AdapterError: the version was never declared.
        """
        if version not in self._declared:
            known = ", ".join(sorted(self._declared)) or "none"
            raise AdapterError(
                f"the scripted engine has no adapter {version!r}; declared: {known}",
                hint="Declare it when the engine is built, or use `--engine embedded`.",
            )
        return self._declared[version]

    async def ensure_loaded(self, version: str) -> AdapterRef:
        """See `rag_adapt.core.protocols.Adapters`."""
        self.hash_of(version)
        if version not in self.loaded:
            self.loaded.append(version)
        return AdapterRef(version=version, path=f"scripted/{version}", rank=self._rank)


class ScriptedEngine:
    """Answers by a rule, streams words, and remembers what it received.

    Args:
        reply: A rule, or answers by question (see `lookup`).
        adapters: What may stand in `call.adapter`.
        failures: Errors to raise for user messages that contain the key.
        gate: Awaited before each answer; it may wait (a slow engine) or raise (a failing one).
        clock: Seconds on a monotonic clock; the default stands still, so that runs are equal.
        name: Part of the fingerprint: give two different rules two names.
        keep: How many received calls are remembered.
    """

    def __init__(
        self,
        reply: Rule | Mapping[str, str] = last_line,
        *,
        adapters: ScriptedAdapters | None = None,
        failures: Mapping[str, RagAdaptError] | None = None,
        gate: Callable[[Call], Awaitable[object]] | None = None,
        clock: Callable[[], float] = lambda: 0.0,
        name: str = "scripted",
        keep: int = 10_000,
    ) -> None:
        self._rule = lookup(reply) if isinstance(reply, Mapping) else reply
        self._identity = content_hash(dict(reply) if isinstance(reply, Mapping) else name)
        self.adapters = adapters or ScriptedAdapters()
        self._failures = dict(failures or {})
        self._gate = gate
        self._clock = clock
        self._name = name
        self._received: deque[Call] = deque(maxlen=keep)
        self.cancelled = 0
        """Answers whose reader went away before their end."""

    @property
    def received(self) -> list[Call]:
        """The latest calls, oldest first, those that failed included."""
        return list(self._received)

    @property
    def fingerprint(self) -> Fingerprint:
        """See `rag_adapt.core.protocols.Engine`."""
        return Fingerprint(
            engine="scripted",
            model=self._name,
            weights=self._identity,
            template_hash=TEMPLATE_HASH,
            dtype="none",
            device="none",
            deterministic=True,
        )

    async def generate(self, call: Call) -> AsyncGenerator[Delta, None]:
        """Stream the rule's answer, one word a delta.

        Raises:
            RagAdaptError: the one that was ordered for this input.
            AdapterError: the call names an adapter that was not declared.
        """
        self._received.append(call)
        arrived = self._clock()
        try:
            await self._admit(call)
            started = self._clock()
            words, reason = _cut(self._rule(call), call.sampling)
            first = self._clock()
            for word in words[:-1]:
                yield Delta(text=word)
        except (GeneratorExit, asyncio.CancelledError):
            self.cancelled += 1
            raise
        times = Times(
            queued=started - arrived,
            first_token=first - arrived,
            total=self._clock() - arrived,
            alone=True,
        )
        last = words[-1] if words else ""
        yield Delta(text=last, outcome=self._outcome(call, "".join(words), reason, times))

    async def logprobs(
        self, messages: Sequence[Message], continuation: str, adapter: str | None = None
    ) -> TokenLogProbs:
        """Words that the engine would say itself are likely; others depend on their letters.

        A token is a word; its id is its CRC-32.

        Raises:
            AdapterError: the adapter was not declared.
        """
        call = Call(messages=tuple(messages), sampling=Sampling(), adapter=adapter)
        await self._admit(call)
        own = self._rule(call).split()
        words = continuation.split()
        ids = tuple(zlib.crc32(word.encode()) for word in words)
        scores = (
            EXPECTED if own[place : place + 1] == [word] else _surprise(number, adapter)
            for place, (word, number) in enumerate(zip(words, ids, strict=True))
        )
        return TokenLogProbs(
            token_ids=ids, logprobs=tuple(scores), text_bytes=len(continuation.encode())
        )

    async def _admit(self, call: Call) -> None:
        if self._gate is not None:
            await self._gate(call)
        question = question_of(call.messages)
        for key, error in self._failures.items():
            if key in question:
                raise error
        if call.adapter is not None:
            self.adapters.hash_of(call.adapter)

    def _outcome(self, call: Call, text: str, reason: FinishReason, times: Times) -> Outcome:
        return Outcome(
            text=text,
            finish_reason=reason,
            usage=Usage(
                tokens_in=sum(len(message.content.split()) for message in call.messages),
                tokens_out=len(text.split()),
            ),
            times=times,
            sent=Sent(
                messages=call.messages,
                template_hash=TEMPLATE_HASH,
                token_ids=None,
                adapter=call.adapter,
                model=self._identity,
            ),
        )


def _surprise(token: int, adapter: str | None) -> float:
    """A fixed log-probability in [-9, -1), different for each token and adapter."""
    return -1.0 - (zlib.crc32((adapter or "").encode(), token) % 8000) / 1000


def _cut(text: str, sampling: Sampling) -> tuple[list[str], FinishReason]:
    """The answer's words, spaces attached, after stop strings and the limit were applied."""
    found = [place for place in (text.find(stop) for stop in sampling.stop) if place >= 0]
    text = text[: min(found)] if found else text
    words = re.findall(r"\s*\S+|\s+$", text)
    if len(text.split()) <= sampling.max_tokens:
        return words, "stop"
    return words[: sampling.max_tokens], "length"
