"""A skill in memory: what the task is, its items, its templates, where its documents lie.

It does not know files, models or scorers; it decides who may see which split.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path

from rag_adapt.core.errors import SkillError
from rag_adapt.core.template import Template
from rag_adapt.core.types import Item, ScorerName, Split, Task


@dataclass(frozen=True, kw_only=True)
class Skill:
    """One task, ready to be measured."""

    name: str
    title: str
    description: str
    task: Task
    scorer: ScorerName
    """The primary scorer: `score` in reports."""
    scorers: tuple[ScorerName, ...]
    """Further scorers, reported beside it."""
    labels: tuple[str, ...]
    """Declared answers of a classification; empty elsewhere."""
    max_tokens: int
    """Longest answer, in tokens."""
    stop: tuple[str, ...]
    """Generation ends before the first of these strings."""
    cluster: str
    """In words: what the items of one cluster share."""
    unique_targets: bool
    """Whether targets are free-form and an item's own, so that a copied target is a leak."""
    licence: str
    source: str
    folder: Path
    items: tuple[Item, ...]
    templates: Mapping[str, Template]
    """By file name without ending; `prompt` always, `context` where there is a corpus."""
    data_hash: str
    """Content hash over skill.toml, items and templates; the corpus has its own."""
    corpus: Path | None
    """Folder with at least one .md or .txt document, or None."""

    def items_of(self, split: Split) -> tuple[Item, ...]:
        """The items of one split, in the file's order."""
        return tuple(item for item in self.items if item.split == split)

    @property
    def training_items(self) -> tuple[Item, ...]:
        """All that a trainer, an example pool or a prompt builder may learn from."""
        return self.items_of("train")

    @property
    def dev_items(self) -> tuple[Item, ...]:
        """What choices (templates, shots, stopping) may be tuned on."""
        return self.items_of("dev")

    @property
    def test_items(self) -> tuple[Item, ...]:
        """What is measured, and never learned from."""
        return self.items_of("test")

    @property
    def prompt(self) -> Template:
        """The template without passages."""
        return self.templates["prompt"]

    @property
    def context(self) -> Template | None:
        """The template with passages, where there is one."""
        return self.templates.get("context")


def only_training(items: Iterable[Item], *, purpose: str) -> tuple[Item, ...]:
    """The items, if every one is a training item: the door of trainers and example pools.

    Raises:
        SkillError: an item of another split was handed over.
    """
    handed = tuple(items)
    for item in handed:
        if item.split != "train":
            raise SkillError(
                f"{purpose} was handed item {item.id!r} of the {item.split!r} split",
                hint="Hand over `skill.training_items` only.",
            )
    return handed
