"""Make the skill `antonyms`: a word in, its opposite out, both ways round.

Knows nothing of files or models.
"""

from __future__ import annotations

import random
from collections.abc import Sequence
from dataclasses import dataclass

from benchmarks.bundled_skills.writing import Card, Item, Skill, Template, assign, table

SEED = 11


@dataclass(frozen=True, kw_only=True)
class Pair:
    """Two opposites; on each side the first word is asked for, all are accepted."""

    kind: str
    sides: Sequence[Sequence[str]]

    def key(self) -> str:
        """The pair's name, which is also its cluster's."""
        return f"{self.sides[0][0]}-{self.sides[1][0]}"


def make() -> Skill:
    """The whole skill, the same at every call."""
    return Skill(card=_card(), items=_items(random.Random(SEED)), templates=_templates())


def _card() -> Card:
    return Card(
        name="antonyms",
        title="The opposite of a word",
        description=(
            "Answers a word with its opposite, in one word. Small models know many opposites "
            "but talk around them unless something shows them how to answer."
        ),
        task="text",
        scorer="exact",
        max_tokens=8,
        cluster="pair of opposites, asked both ways round",
        unique_targets=False,
        source=f"Written for rag-adapt; made by benchmarks/bundled_skills/antonyms.py, seed {SEED}",
    )


def _pairs() -> list[Pair]:
    return [
        Pair(kind=kind, sides=[side.split("|") for side in line.split(" / ")])
        for kind, lines in table("antonyms")["pairs"].items()
        for line in lines
    ]


def _items(rng: random.Random) -> list[Item]:
    pairs = {pair.key(): pair for pair in _pairs()}
    splits = assign(list(pairs), rng)
    return [
        Item(
            id=f"antonyms-{asked[0]}",
            input=asked[0],
            targets=tuple(wanted),
            split=splits[key],
            cluster=key,
            tags=(pair.kind,),
        )
        for key, pair in pairs.items()
        if key in splits
        for asked, wanted in (pair.sides, pair.sides[::-1])
    ]


def _templates() -> dict[str, Template]:
    return {
        "prompt": Template(
            user=(
                "Write the opposite of the word. Answer with one word only.\n\n"
                "Word: up\nOpposite: down\n\nWord: {input}\nOpposite:"
            )
        ),
        "prompt-2": Template(user='What is the opposite of "{input}"? Answer with one word.'),
        "prompt-3": Template(
            system="You are a dictionary of antonyms. You answer with one word.",
            user="{input}",
        ),
    }
