"""What is in a skill: counts, lengths, and what may be wrong with it although it loads.

It does not know how that is shown.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from statistics import median
from typing import Final

from rag_adapt.core.types import Item, Split
from rag_adapt.skills.faults import Fault
from rag_adapt.skills.files import documents_of
from rag_adapt.skills.load import Origin, SkillPlace, bundled_names, list_skills, read_skill
from rag_adapt.skills.near_duplicates import NearPair, across_splits
from rag_adapt.skills.skill import Skill

ENOUGH_CLUSTERS: Final = 50
"""Test clusters below which intervals are wide and cluster-robust figures shaky."""
SPLITS: Final[tuple[Split, ...]] = ("train", "dev", "test")


@dataclass(frozen=True, kw_only=True)
class SplitSummary:
    """One split in numbers; lengths in characters, 0 where the split is empty."""

    split: Split
    items: int
    clusters: int
    median_input: int
    longest_input: int
    longest_target: int
    with_gold: int
    """Items that name gold passages."""


@dataclass(frozen=True, kw_only=True)
class Summary:
    """A skill in numbers."""

    skill: Skill
    splits: tuple[SplitSummary, ...]
    documents: int
    """In the corpus."""
    near_duplicates: tuple[NearPair, ...]
    """Pairs of items in different splits with nearly the same input."""
    warnings: tuple[str, ...]


@dataclass(frozen=True, kw_only=True)
class Entry:
    """A line of the list of skills."""

    name: str
    origin: Origin
    folder: str
    skill: Skill | None
    fault: str | None
    """Why it cannot be loaded: the first fault and how many there are."""


def summarise(skill: Skill) -> Summary:
    """Count, measure and compare."""
    near = tuple(across_splits(skill.items))
    return Summary(
        skill=skill,
        splits=tuple(_split_summary(split, skill.items_of(split)) for split in SPLITS),
        documents=0 if skill.corpus is None else len(documents_of(skill.corpus)),
        near_duplicates=near,
        warnings=tuple(_warnings(skill, near)),
    )


def entries(home: Path) -> tuple[Entry, ...]:
    """Every skill there is, the faulty ones too."""
    taken = bundled_names()
    return tuple(
        _entry(place, taken=place.origin == "imported" and place.name in taken)
        for place in list_skills(home)
    )


def _entry(place: SkillPlace, *, taken: bool) -> Entry:
    skill, fault = None, "its name belongs to a bundled skill: rename it"
    if not taken:
        reading = read_skill(place.folder)
        skill, fault = reading.skill, _first(reading.faults)
    return Entry(
        name=place.name,
        origin=place.origin,
        folder=str(place.folder),
        skill=skill,
        fault=None if skill is not None else fault,
    )


def _first(faults: Sequence[Fault]) -> str:
    if not faults:
        return ""
    more = f" (and {len(faults) - 1} more)" if len(faults) > 1 else ""
    return f"{faults[0]}{more}"


def _split_summary(split: Split, items: Sequence[Item]) -> SplitSummary:
    inputs = [len(item.input) for item in items] or [0]
    targets = [len(target) for item in items for target in item.targets] or [0]
    return SplitSummary(
        split=split,
        items=len(items),
        clusters=len({item.cluster for item in items}),
        median_input=round(median(inputs)),
        longest_input=max(inputs),
        longest_target=max(targets),
        with_gold=sum(bool(item.gold) for item in items),
    )


def _warnings(skill: Skill, near: Sequence[NearPair]) -> Iterator[str]:
    clusters = len({item.cluster for item in skill.test_items})
    if clusters < ENOUGH_CLUSTERS:
        yield f"test has {clusters} clusters; below {ENOUGH_CLUSTERS} intervals are wide"
    if not skill.training_items:
        yield "there are no training items: lora and few-shot cannot be measured"
    if not skill.dev_items:
        yield "there are no dev items: nothing can be tuned without touching test"
    if near:
        items = len({pair.left for pair in near})
        yield f"nearly identical inputs in different splits: {items} items, {len(near)} pairs"
    learned = {target for item in skill.training_items for target in item.targets}
    if skill.labels and learned and (missing := sorted(set(skill.labels) - learned)):
        yield f"no training item for {len(missing)} labels: {', '.join(missing[:10])}"
