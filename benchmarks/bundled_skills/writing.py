"""What every bundled skill is made of, and how it becomes files.

Knows nothing of any one skill's subject, and nothing of models.
"""

from __future__ import annotations

import json
import random
import re
import tomllib
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any, Literal

Split = Literal["train", "dev", "test"]

CLUSTERS: Mapping[Split, int] = {"train": 120, "dev": 24, "test": 60}
"""Clusters in each split of every bundled skill; two items are made from each."""

_OPEN, _BAR, _CLOSE = "\x02", "\x03", "\x04"


@dataclass(frozen=True, kw_only=True)
class Span:
    """A passage of one corpus file, in characters of its decoded text."""

    document: str
    start: int
    end: int


@dataclass(frozen=True, kw_only=True)
class Item:
    """One line of `items.jsonl`."""

    id: str
    input: str
    targets: Sequence[str]
    split: Split
    cluster: str
    gold: Sequence[Span] = ()
    tags: Sequence[str] = ()

    def line(self) -> str:
        """The item as JSON, its empty optional keys left out."""
        row = {k: v for k, v in asdict(self).items() if v or k not in ("gold", "tags")}
        return json.dumps(row, ensure_ascii=False)


@dataclass(frozen=True, kw_only=True)
class Template:
    """One file of `templates/`."""

    user: str
    system: str = ""

    def toml(self) -> str:
        """Both keys; the user's text as a multi-line string, so that it can be read."""
        body = self.user.replace("\\", "\\\\")
        return f'system = {_value(self.system)}\nuser = """\n{body}"""\n'


@dataclass(frozen=True, kw_only=True)
class Card:
    """The keys of `skill.toml`, in the order in which they are written."""

    name: str
    title: str
    description: str
    task: Literal["classification", "extraction", "question", "text"]
    scorer: str
    scorers: Sequence[str] = ()
    labels: Sequence[str] = ()
    max_tokens: int
    stop: Sequence[str] = ("\n",)
    cluster: str
    unique_targets: bool
    licence: str = "Apache-2.0"
    source: str

    def toml(self) -> str:
        """One `key = value` line for each field."""
        return "".join(f"{key} = {_value(value)}\n" for key, value in asdict(self).items())


@dataclass(frozen=True, kw_only=True)
class Skill:
    """A whole skill folder, still in memory."""

    card: Card
    items: Sequence[Item]
    templates: Mapping[str, Template]
    corpus: Mapping[str, str] = field(default_factory=dict)

    def files(self) -> dict[str, str]:
        """Every file's text by its path inside the skill's folder."""
        made = {
            "skill.toml": self.card.toml(),
            "items.jsonl": "".join(f"{item.line()}\n" for item in self.items),
        }
        made |= {f"templates/{name}.toml": t.toml() for name, t in self.templates.items()}
        made |= {f"corpus/{name}": text for name, text in self.corpus.items()}
        return made


@dataclass(frozen=True, kw_only=True)
class Marked:
    """Corpus files without their marks, and where each marked fact stands in them."""

    corpus: Mapping[str, str]
    spans: Mapping[str, Sequence[Span]]


def mark(key: str, text: str) -> str:
    """Wrap the passage that states fact `key`; marks do not nest."""
    return f"{_OPEN}{key}{_BAR}{text}{_CLOSE}"


def unmark(documents: Mapping[str, str]) -> Marked:
    """Remove the marks from all documents and keep the offsets of what they wrapped."""
    corpus: dict[str, str] = {}
    spans: dict[str, list[Span]] = {}
    for name, source in documents.items():
        text, end = "", 0
        for found in re.finditer(f"{_OPEN}([^{_BAR}]*){_BAR}([^{_CLOSE}]*){_CLOSE}", source):
            text += source[end : found.start()]
            span = Span(document=name, start=len(text), end=len(text) + len(found[2]))
            spans.setdefault(found[1], []).append(span)
            text, end = text + found[2], found.end()
        corpus[name] = text + source[end:]
    return Marked(corpus=corpus, spans=spans)


def table(name: str) -> dict[str, Any]:
    """A word or fact table, read from the TOML file beside this module."""
    with (Path(__file__).parent / f"{name}.toml").open("rb") as file:
        return tomllib.load(file)


def assign(clusters: Sequence[str], rng: random.Random) -> dict[str, Split]:
    """Give each cluster to one split, in the numbers of `CLUSTERS`; the rest is left out."""
    order = list(clusters)
    rng.shuffle(order)
    given: dict[str, Split] = {}
    for split, count in CLUSTERS.items():
        given |= dict.fromkeys(order[:count], split)
        order = order[count:]
    return given


def skeleton(text: str) -> str:
    """Lower-case letters alone: two inputs with one skeleton are near duplicates."""
    return " ".join(re.sub(r"[^a-z\s]", " ", text.lower()).split())


def sentence(text: str) -> str:
    """The text with a capital at its start."""
    return text[:1].upper() + text[1:]


def _value(value: str | int | bool | Sequence[str]) -> str:
    """A TOML value; JSON's strings, numbers, booleans and flat lists are also TOML's."""
    return json.dumps(value, ensure_ascii=False)
