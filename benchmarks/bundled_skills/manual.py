"""Make the skill `manual`: questions on four sibling products, answered from their manual.

Knows nothing of files or models.
"""

from __future__ import annotations

import random
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from benchmarks.bundled_skills.writing import (
    CLUSTERS,
    Card,
    Item,
    Marked,
    Skill,
    Split,
    Template,
    mark,
    table,
    unmark,
)

SEED = 17
FACTS = table("manual_facts")
PROSE = table("manual_pages")
MORE = table("manual_more")
COMPARED = ("width", "height", "shelves", "power", "noise")
"""Attributes of the overview that the page on choosing a model states once more."""
MODELS: Sequence[str] = tuple(PROSE["models"])
ATTRIBUTES: Mapping[Split, int] = {"test": 60, "dev": 10}
"""Attributes (not facts) of these splits; the rest is trained on. No attribute is in two.

In test each attribute is asked of one model alone, so that no two clusters share a wording.
"""
SHORT = {
    "litres": "l",
    "watts": "W",
    "percent": "%",
    "minutes": "min",
    "seconds": "s",
    "hours": "h",
    "metres": "m",
    "amperes": "A",
    "lumens": "lm",
    "microns": "µm",
    "°C": "C",
    "degrees": "°",
    "turns": "rpm",
    "dB": "decibels",
    "kg": "kilograms",
    "cm": "centimetres",
    "mm": "millimetres",
    "ml": "millilitres",
}
"""Other accepted ways of writing a unit."""


@dataclass(frozen=True, kw_only=True)
class Fact:
    """One attribute of one model."""

    model: str
    page: str
    attribute: str
    value: str

    def key(self) -> str:
        """The fact's name, which is also its cluster's."""
        return f"{self.model.lower()}-{self.page}-{self.attribute}"

    def entry(self) -> Mapping[str, Any]:
        """The attribute's row of the fact table."""
        row: Mapping[str, Any] = FACTS[self.page][self.attribute]
        return row

    def targets(self) -> list[str]:
        """The value and other ways of writing it; a bare number is accepted."""
        number = re.fullmatch(r"([\d.]+) (\S+)", self.value)
        if not number:
            return [self.value]
        short = SHORT.get(number[2])
        return [self.value, *([f"{number[1]} {short}"] if short else []), number[1]]


def make() -> Skill:
    """The whole skill, the same at every call."""
    rng = random.Random(SEED)
    facts = [
        Fact(model=model, page=page, attribute=name, value=entry["values"][position])
        for page, entries in FACTS.items()
        for name, entry in entries.items()
        for position, model in enumerate(MODELS)
    ]
    manual = unmark(_documents(rng, facts))
    items = _items(rng, facts, manual)
    return Skill(card=_card(), items=items, templates=_templates(), corpus=manual.corpus)


def _card() -> Card:
    return Card(
        name="manual",
        title="Questions on a product's manual",
        description=(
            "Short answers from the manual of four sibling growing cabinets. The product is "
            "invented, so that no model can know it; siblings differ in every value."
        ),
        task="question",
        scorer="exact",
        scorers=("f1",),
        max_tokens=20,
        cluster="fact: one attribute of one model, asked twice",
        unique_targets=False,
        source=f"Written for rag-adapt; made by benchmarks/bundled_skills/manual.py, seed {SEED}",
    )


def _documents(rng: random.Random, facts: Sequence[Fact]) -> dict[str, str]:
    pages = {f"{name}.md": text for name, text in (PROSE["shared"] | MORE["shared"]).items()}
    pages["choosing.md"] = pages["choosing.md"].replace("<comparison>", _comparison(facts))
    pages |= {f"{model}-letters.md".lower(): text for model, text in MORE["letters"].items()}
    for position, model in enumerate(MODELS):
        for page in FACTS:
            own = [fact for fact in facts if (fact.model, fact.page) == (model, page)]
            pages[f"{model}-{page}.md".lower()] = _page(rng, position, own)
    return pages


def _comparison(facts: Sequence[Fact]) -> str:
    """One line for each model, its figures marked one by one."""
    lines = []
    for model in MODELS:
        own = {f.attribute: f for f in facts if (f.model, f.page) == (model, "overview")}
        told = [own[name] for name in COMPARED]
        said = [f"{fact.entry()['row'].lower()} {mark(fact.key(), fact.value)}" for fact in told]
        lines.append(f"- **{model}**, {PROSE['models'][model]}: {', '.join(said)}.")
    return "\n".join(lines)


def _page(rng: random.Random, position: int, facts: Sequence[Fact]) -> str:
    """One page of one model: introduction, table and sections, close."""
    prose = PROSE["pages"][facts[0].page]
    rows = [
        mark(f.key(), f"| {f.entry()['row']} | {f.value} |") for f in facts if "row" in f.entry()
    ]
    parts = [f"# {facts[0].model}: {prose['title']}", prose["intro"][position]]
    if rows:
        heads = {"alarms": "| Trouble | Code |", "spares": "| Part | Number |"}
        head = heads.get(facts[0].page, "| Property | Value |")
        rng.shuffle(rows)
        parts.append("\n".join((head, "|---|---|", *rows)))
    sections: dict[str, list[str]] = {}
    for fact in facts:
        if "say" in fact.entry():
            sections.setdefault(fact.entry()["section"], []).append(_said(rng, fact))
    for heading, sentences in sections.items():
        parts += [f"## {heading}", " ".join(sentences)]
    return "\n\n".join((*parts, "## Good to know", prose["close"][position])) + "\n"


def _said(rng: random.Random, fact: Fact) -> str:
    """The fact in one of its wordings."""
    wording: str = rng.choice(fact.entry()["say"])
    return mark(fact.key(), wording.format(m=fact.model, v=fact.value))


def _splits(rng: random.Random, facts: Sequence[Fact]) -> dict[str, Split]:
    """Each asked fact's split: first attributes are dealt out, then facts drawn from them."""
    names = [f"{page}-{name}" for page, entries in FACTS.items() for name in entries]
    rng.shuffle(names)
    test, rest = names[: ATTRIBUTES["test"]], names[ATTRIBUTES["test"] :]
    pools: dict[Split, list[str]] = {
        "test": test,
        "dev": rest[: ATTRIBUTES["dev"]],
        "train": rest[ATTRIBUTES["dev"] :],
    }
    given: dict[str, Split] = {}
    for split, pool in pools.items():
        rounds = [rng.sample(MODELS, len(MODELS)) for _ in pool]
        # Every attribute gives one fact before any gives a second one.
        turns = [
            (n, name, order[n]) for name, order in zip(pool, rounds, strict=True) for n in range(4)
        ]
        turns.sort(key=lambda turn: turn[0])
        for _, name, model in turns[: CLUSTERS[split]]:
            given[f"{model.lower()}-{name}"] = split
    return {fact.key(): given[fact.key()] for fact in facts if fact.key() in given}


def _items(rng: random.Random, facts: Sequence[Fact], manual: Marked) -> list[Item]:
    splits = _splits(rng, facts)
    return [
        Item(
            id=f"manual-{fact.key()}-{letter}",
            input=question.format(m=fact.model),
            targets=fact.targets(),
            split=splits[fact.key()],
            cluster=fact.key(),
            gold=manual.spans[fact.key()],
            tags=(fact.page, fact.model.lower(), fact.attribute),
        )
        for fact in facts
        if fact.key() in splits
        for letter, question in zip("ab", fact.entry()["ask"], strict=True)
    ]


def _templates() -> dict[str, Template]:
    # An example of another product leaked into the answers on dev items: the small default
    # model repeated its value. It is kept as an alternative only.
    question = "{input} Answer with the number and its unit, the name or the code only."
    return {
        "prompt": Template(user=f"About a growing cabinet made by Garthwell: {question}"),
        "prompt-2": Template(
            system="You answer with a few words only, never with a sentence.", user="{input}"
        ),
        "prompt-3": Template(
            user=(
                "Give only the short answer: a number with its unit, a name or a code.\n\n"
                "Question: How deep is the Fennel?\nAnswer: 33 cm\n\nQuestion: {input}\nAnswer:"
            )
        ),
        "context": Template(
            user=f"{{context}}\n\nAbout a growing cabinet made by Garthwell: {question}"
        ),
    }
