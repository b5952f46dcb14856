"""Make the skill `sentiment`: short reviews, each told once as praise and once as blame.

Knows nothing of files or models.
"""

from __future__ import annotations

import random
from collections.abc import Mapping, Sequence
from typing import Any

from benchmarks.bundled_skills.writing import (
    Card,
    Item,
    Skill,
    Template,
    assign,
    sentence,
    table,
)

SEED = 11
LABELS = ("positive", "negative")
WORDS: Mapping[str, Any] = table("sentiment")


def make() -> Skill:
    """The whole skill, the same at every call."""
    return Skill(card=_card(), items=_items(random.Random(SEED)), templates=_templates())


def _card() -> Card:
    return Card(
        name="sentiment",
        title="Is a short review positive or negative?",
        description=(
            "Labels one-sentence reviews of everyday things. Each situation is told twice, once "
            "by a pleased and once by an annoyed writer, so that the topic gives nothing away."
        ),
        task="classification",
        scorer="label",
        labels=LABELS,
        max_tokens=6,
        cluster="situation reviewed: one subject, told once either way",
        unique_targets=False,
        source=(
            f"Written for rag-adapt; made by benchmarks/bundled_skills/sentiment.py, seed {SEED}"
        ),
    )


def _items(rng: random.Random) -> list[Item]:
    situations = {
        f"{topic}-{n:02}": row
        for topic, rows in sorted(WORDS["situations"].items())
        for n, row in enumerate(rows, 1)
    }
    splits = assign(list(situations), rng)
    items: list[Item] = []
    for name, split in sorted(splits.items()):
        subject, *tellings = situations[name]
        for label, telling in zip(LABELS, tellings, strict=True):
            items.append(
                Item(
                    id=f"sentiment-{name}-{label[:3]}",
                    input=_review(rng, subject, telling),
                    targets=(label,),
                    split=split,
                    cluster=name,
                    tags=(name[:-3],),
                )
            )
    return items


def _review(rng: random.Random, subject: str, telling: str) -> str:
    """A subject and what it did, in a frame that takes no side."""
    frames: Sequence[str] = WORDS["frames"]
    frame = rng.choice(frames)
    start = subject if not frame.startswith("{s}") else sentence(subject)
    return frame.format(s=start, t=telling)


def _templates() -> dict[str, Template]:
    return {
        "prompt": Template(
            user="Is this review {labels}? Answer with one word.\n\nReview: {input}\nAnswer:"
        ),
        "prompt-2": Template(
            system="You label reviews. Answer with exactly one of: {labels}.",
            user="{input}",
        ),
        "prompt-3": Template(
            user=(
                "Review: The soup was cold and nobody apologised.\nLabel: negative\n\n"
                "Review: They fixed my bike in an hour and smiled.\nLabel: positive\n\n"
                "Review: {input}\nLabel ({labels}):"
            )
        ),
    }
