"""Make the skill `past-tense`: a sentence in the present in, the same in the past out.

Knows nothing of files or models.
"""

from __future__ import annotations

import random
from collections.abc import Sequence
from dataclasses import dataclass

from benchmarks.bundled_skills.writing import (
    Card,
    Item,
    Skill,
    Split,
    Template,
    assign,
    table,
)

SEED = 11
WORDS = table("past_tense")


@dataclass(frozen=True, kw_only=True)
class Verb:
    """One verb and two ways for a sentence to go on after it."""

    plain: str
    third: str
    pasts: Sequence[str]
    rests: Sequence[str]


def make() -> Skill:
    """The whole skill, the same at every call."""
    return Skill(card=_card(), items=_items(random.Random(SEED)), templates=_templates())


def _card() -> Card:
    return Card(
        name="past-tense",
        title="A sentence put into the past tense",
        description=(
            "Rewrites a short sentence from the present tense in the past, changing the verb "
            "alone. Small models know the forms but often answer the sentence instead."
        ),
        task="text",
        scorer="exact",
        scorers=("f1",),
        max_tokens=28,
        cluster="verb, asked in two sentences",
        unique_targets=True,
        source=(
            f"Written for rag-adapt; made by benchmarks/bundled_skills/past_tense.py, seed {SEED}"
        ),
    )


def _verbs() -> list[Verb]:
    rows = [line.split(" | ") for line in WORDS["verbs"]]
    return [
        Verb(plain=plain, third=third, pasts=pasts.split("|"), rests=rests.split(" / "))
        for plain, third, pasts, rests in rows
    ]


def _items(rng: random.Random) -> list[Item]:
    verbs = {verb.plain: verb for verb in _verbs()}
    splits = assign(list(verbs), rng)
    return [
        _item(rng, verb, splits[name], letter, rest)
        for name, verb in verbs.items()
        if name in splits
        for letter, rest in zip("ab", verb.rests, strict=True)
    ]


def _item(rng: random.Random, verb: Verb, split: Split, letter: str, rest: str) -> Item:
    # With a plural subject, put, cut and their like would leave nothing to change.
    singular = rng.random() < 0.5 or verb.plain in verb.pasts
    subject = rng.choice(WORDS["singular"] if singular else WORDS["plural"])
    end = rest + rng.choice(WORDS["ends"])
    return Item(
        id=f"past-tense-{verb.plain}-{letter}",
        input=f"{subject} {verb.third if singular else verb.plain} {end}.",
        targets=tuple(f"{subject} {past} {end}." for past in verb.pasts),
        split=split,
        cluster=verb.plain,
        tags=("regular" if verb.pasts[0].endswith("ed") else "irregular",),
    )


def _templates() -> dict[str, Template]:
    return {
        "prompt": Template(
            user=(
                "Rewrite the sentence in the past tense. Change only the verb.\n\n"
                "Sentence: They yawn in class.\nPast: They yawned in class.\n\n"
                "Sentence: {input}\nPast:"
            )
        ),
        "prompt-2": Template(
            system="You rewrite each sentence in the past tense and change nothing else.",
            user="{input}",
        ),
        "prompt-3": Template(user="Put this sentence into the past tense: {input}"),
    }
