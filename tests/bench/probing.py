"""A skill in memory and an engine whose log-probabilities a test may bend.

It does not know what is probed.
"""

import zlib
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path

from rag_adapt.core.template import Template
from rag_adapt.core.types import Fingerprint, Item, Message, Span, Split, TokenLogProbs
from rag_adapt.engines.scripted import Rule, ScriptedAdapters, ScriptedEngine, last_line
from rag_adapt.skills.skill import Skill

COLOURS = ("red", "blue")
Bend = Callable[[str | None, str, int], float]
"""Adapter, word, which asking of it: the word's log-probability."""


def even(adapter: str | None, word: str, turn: int) -> float:
    """Every word is one nat."""
    return -1.0


class Bent(ScriptedEngine):
    """A scripted engine whose words cost what a test says.

    Args:
        bend: See `Bend`; the last number counts how often this adapter was asked so far.
        deterministic: What the fingerprint claims.
    """

    def __init__(
        self,
        bend: Bend = even,
        *,
        reply: Rule = last_line,
        adapters: Sequence[str] = (),
        deterministic: bool = True,
    ) -> None:
        declared = {version: version.rpartition("@")[2] for version in adapters}
        super().__init__(reply, adapters=ScriptedAdapters(declared))
        self._bend = bend
        self._deterministic = deterministic
        self.asked: list[tuple[str | None, str]] = []
        """Adapter and continuation of everything that was scored, in order."""

    @property
    def fingerprint(self) -> Fingerprint:
        return replace(super().fingerprint, deterministic=self._deterministic)

    async def logprobs(
        self, messages: Sequence[Message], continuation: str, adapter: str | None = None
    ) -> TokenLogProbs:
        if adapter is not None:
            self.adapters.hash_of(adapter)
        turn = sum(one == adapter for one, _ in self.asked)
        self.asked.append((adapter, continuation))
        words = continuation.split()
        return TokenLogProbs(
            token_ids=tuple(zlib.crc32(word.encode()) for word in words),
            logprobs=tuple(self._bend(adapter, word, turn) for word in words),
            text_bytes=len(continuation.encode()),
        )


def colour(number: int, split: Split) -> Item:
    """Even things are red, odd ones blue."""
    return Item(
        id=f"{split}-{number}",
        input=f"{split} thing {number}",
        targets=(COLOURS[number % 2],),
        split=split,
        cluster=f"{split}-{number}",
        gold=(Span(document="colours.md", start=0, end=10),),
    )


def skill(name: str = "colours", *, train: int = 60, dev: int = 20, **more: object) -> Skill:
    """The colour of things, with two templates without passages and one with."""
    items = (*(colour(n, "train") for n in range(train)), *(colour(n, "dev") for n in range(dev)))
    base = Skill(
        name=name,
        title="Colours",
        description="Say the colour of a thing.",
        task="classification",
        scorer="label",
        scorers=(),
        labels=COLOURS,
        max_tokens=4,
        stop=("\n",),
        cluster="thing",
        unique_targets=False,
        licence="Apache-2.0",
        source="Made in a test",
        folder=Path(),
        items=(*items, *(colour(n, "test") for n in range(4))),
        templates={
            "prompt": Template(system="", user="Which colour is {input}?"),
            "prompt-2": Template(system="Say the colour.", user="{input}"),
            "context": Template(system="", user="{context}\n{input}"),
        },
        data_hash="5" * 12,
        corpus=None,
    )
    return replace(base, **more)  # type: ignore[arg-type]
