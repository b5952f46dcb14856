"""Chooses which rows are kept and which split each goes to: seeded, stratified, clusters whole.

It does not know where rows come from or how a skill is written.
"""

import random
from collections import Counter, defaultdict
from collections.abc import Hashable, Mapping, Sequence
from dataclasses import dataclass
from typing import Final

from rag_adapt.core.errors import SkillError
from rag_adapt.core.types import Split
from rag_adapt.skills.faults import Fault
from rag_adapt.skills.near_duplicates import normal_form
from rag_adapt.skills.tables import Row

SPLITS: Final[tuple[Split, ...]] = ("train", "dev", "test")
SPLIT_WORDS: Final[dict[str, Split]] = {
    "train": "train",
    "training": "train",
    "dev": "dev",
    "val": "dev",
    "valid": "dev",
    "validation": "dev",
    "test": "test",
    "testing": "test",
}
"""What a file may call its splits, in lower case."""


@dataclass(frozen=True, kw_only=True)
class Ratio:
    """Shares of the items, summing to 1."""

    train: float = 0.6
    dev: float = 0.2
    test: float = 0.2


@dataclass(frozen=True, kw_only=True)
class Sorted:
    """A row with its place."""

    row: Row
    cluster: str
    split: Split


def ratio_for(text: str | None, *, column: str | None) -> Ratio:
    """`0.6/0.2/0.2` as shares of train, dev and test; the default for None.

    Args:
        text: As the user wrote it.
        column: The split column, if one was named: then a ratio has no meaning.

    Raises:
        SkillError: not three shares that sum to 1, nothing for test, or a split column too.
    """
    if text is None:
        return Ratio()
    if column is not None:
        raise SkillError(
            f"--split {column!r} and --split-ratio {text!r} contradict each other",
            hint="Give one of them.",
        )
    try:
        train, dev, test = (float(part) for part in text.split("/"))
    except ValueError:
        train, dev, test = -1.0, -1.0, -1.0
    if not (min(train, dev) >= 0 and test > 0 and abs(train + dev + test - 1) <= 1e-6):
        raise SkillError(
            f"--split-ratio {text!r} is not three shares that sum to 1, with some for test",
            hint="Write train/dev/test, for example --split-ratio 0.6/0.2/0.2.",
        )
    return Ratio(train=train, dev=dev, test=test)


def sample(rows: Sequence[Row], limit: int, strata: Sequence[Hashable], seed: int) -> list[Row]:
    """At most `limit` rows, in their order, each stratum with its share (largest remainders).

    Args:
        rows: What there is.
        limit: How many to keep.
        strata: One per row.
        seed: Of the choice inside each stratum.
    """
    if limit >= len(rows):
        return list(rows)
    members: dict[Hashable, list[int]] = defaultdict(list)
    for position, stratum in enumerate(strata):
        members[stratum].append(position)
    shares = {stratum: limit * len(found) / len(rows) for stratum, found in members.items()}
    taken = {stratum: int(share) for stratum, share in shares.items()}
    by_remainder = sorted(shares, key=lambda s: (taken[s] - shares[s], members[s][0]))
    for stratum in by_remainder[: limit - sum(taken.values())]:
        taken[stratum] += 1
    chance = random.Random(seed)
    kept = {p for s, found in members.items() for p in chance.sample(found, taken[s])}
    return [row for position, row in enumerate(rows) if position in kept]


def cluster_names(rows: Sequence[Row]) -> list[str]:
    """One name per row; near-identical inputs and rows of one group share it."""
    named: dict[str, int] = {}
    parents: list[int] = list(range(len(rows)))

    def root(position: int) -> int:
        while parents[position] != position:
            parents[position] = parents[parents[position]]
            position = parents[position]
        return position

    for position, row in enumerate(rows):
        keys = [f"text {normal_form(row.input)}"]
        if row.group is not None:
            keys.append(f"group {row.group}")
        for key in keys:
            one, other = sorted((root(named.setdefault(key, position)), root(position)))
            parents[other] = one
    return [f"row-{rows[root(position)].number:05d}" for position in range(len(rows))]


def split_by_ratio(
    rows: Sequence[Row], clusters: Sequence[str], strata: Sequence[str], ratio: Ratio, seed: int
) -> list[Sorted]:
    """Whole clusters to splits, so that every stratum and the whole keep to the ratio.

    Each cluster, in seeded order, goes where its stratum and the whole lack most.
    """
    members: dict[str, list[int]] = defaultdict(list)
    for position, cluster in enumerate(clusters):
        members[cluster].append(position)
    shares: dict[Split, float] = {"train": ratio.train, "dev": ratio.dev, "test": ratio.test}
    order = list(members)
    random.Random(seed).shuffle(order)
    order.sort(key=lambda cluster: strata[members[cluster][0]])
    given: dict[str, Counter[Split]] = defaultdict(Counter)
    chosen: dict[str, Split] = {}
    for cluster in order:
        size, stratum = len(members[cluster]), strata[members[cluster][0]]
        needs = {
            split: _lack(given[stratum], split, share, size)
            + _lack(given["all strata"], split, share, size)
            for split, share in shares.items()
            if share > 0
        }
        split = max(needs, key=lambda s: needs[s])
        chosen[cluster] = split
        given[stratum][split] += size
        given["all strata"][split] += size
    return [
        Sorted(row=row, cluster=cluster, split=chosen[cluster])
        for row, cluster in zip(rows, clusters, strict=True)
    ]


def split_by_column(
    rows: Sequence[Row], clusters: Sequence[str], splits: Mapping[int, Split]
) -> tuple[list[Sorted], int]:
    """The file's own splits; a cluster in several of them goes where it cannot leak.

    That is test before dev before train: nothing learned from is then near a measured item.

    Returns:
        The rows, and how many of them were moved.
    """
    strictest: dict[str, Split] = {}
    for row, cluster in zip(rows, clusters, strict=True):
        own = splits[row.number]
        held = strictest.get(cluster, own)
        strictest[cluster] = max(own, held, key=SPLITS.index)
    found = [
        Sorted(row=row, cluster=cluster, split=strictest[cluster])
        for row, cluster in zip(rows, clusters, strict=True)
    ]
    return found, sum(splits[place.row.number] != place.split for place in found)


def named_splits(
    rows: Sequence[Row], column: str, file: str
) -> tuple[dict[int, Split], list[Fault]]:
    """The split of each row by its number, and a fault for every word that names none."""
    splits: dict[int, Split] = {}
    faults = []
    for row in rows:
        word = (row.split or "").strip().lower()
        if word in SPLIT_WORDS:
            splits[row.number] = SPLIT_WORDS[word]
            continue
        known = ", ".join(SPLIT_WORDS)
        reason = f"{column}: {row.split!r} names no split (known: {known})"
        faults.append(Fault(file=file, line=row.number, reason=reason))
    return splits, faults


def _lack(given: Counter[Split], split: Split, share: float, size: int) -> float:
    """How many items the split lacks, had the next cluster been dealt by share."""
    return share * (given.total() + size) - given[split]
