"""Cross-fitting: a skill as several, so that every item is tested once by what never saw it.

It does not know models or routes. **Within a fold no cluster stands on both sides.**
"""

from collections import Counter, defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field, replace
from random import Random
from typing import Final

from rag_adapt.core.errors import PlanError
from rag_adapt.core.types import Item, Split, content_hash
from rag_adapt.skills.clusters import join_clusters
from rag_adapt.skills.skill import Skill

DEV_SHARE: Final = 0.15
"""Of the items outside a fold's test: what its choices are tuned on."""


@dataclass(frozen=True, kw_only=True)
class _Cluster:
    name: str
    labels: Counter[str]
    """First targets of its items; all under one name where the skill declares no labels."""

    @property
    def size(self) -> int:
        return self.labels.total()

    @property
    def stratum(self) -> str:
        return min(self.labels, key=lambda label: (-self.labels[label], label))


@dataclass(kw_only=True)
class _Fold:
    clusters: list[_Cluster] = field(default_factory=list)
    labels: Counter[str] = field(default_factory=Counter)

    def take(self, cluster: _Cluster) -> None:
        self.clusters.append(cluster)
        self.labels += cluster.labels


def folds(
    skill: Skill, count: int, *, seed: int, dev_share: float = DEV_SHARE
) -> tuple[Skill, ...]:
    """The skill once per fold, its items dealt anew: this fold is test, the rest train and dev.

    The items of all splits are dealt, whole clusters at a time and near-duplicate inputs as one
    cluster, so that folds have equal sizes as far as clusters allow, and equal shares of each
    declared label. Every item is a test item of exactly one of the skills; their order stays.

    Args:
        skill: Any; its own splits are forgotten.
        count: Number of folds, at least 2.
        seed: Of the dealing, and of the choice of dev clusters.
        dev_share: Share of dev among the items outside the fold, in (0, 1); at least one cluster
            is dev and at least one train.

    Raises:
        PlanError: fewer than 2 folds, or too few clusters to test, tune and train on.
    """
    _check(count, dev_share)
    items = join_clusters(skill.items).items
    clusters = _clusters(items, stratified=bool(skill.labels))
    if len(clusters) < count + 2:
        raise PlanError(
            f"skill {skill.name!r} has {len(clusters)} clusters of items that do not resemble "
            f"each other: too few for {count} folds",
            hint=f"Use --folds {len(clusters) - 2}, or add items."
            if len(clusters) >= 4
            else "Add items, or leave out --folds.",
        )
    dealt = _deal(clusters, count, seed)
    return tuple(
        _fold_skill(
            skill,
            items,
            test={cluster.name for cluster in fold.clusters},
            dev=set(_dev(clusters, fold, dev_share, Random(f"{seed}:{number}"))),
            identity=[skill.data_hash, "folds", count, seed, number, dev_share],
        )
        for number, fold in enumerate(dealt)
    )


def _check(count: int, dev_share: float) -> None:
    if count < 2:
        raise PlanError(
            f"--folds {count} leaves nothing to learn from",
            hint="Use --folds 2 or more, such as 5.",
        )
    if not 0 < dev_share < 1:
        raise PlanError(
            f"dev share {dev_share!r} is outside (0, 1)",
            hint=f"Use a share such as {DEV_SHARE}.",
        )


def _clusters(items: Sequence[Item], *, stratified: bool) -> list[_Cluster]:
    labels: dict[str, Counter[str]] = defaultdict(Counter)
    for item in items:
        labels[item.cluster][item.targets[0] if stratified else ""] += 1
    return [_Cluster(name=name, labels=found) for name, found in labels.items()]


def _deal(clusters: Sequence[_Cluster], count: int, seed: int) -> list[_Fold]:
    """Stratum by stratum, the largest first, each to the fold that has least of its labels.

    With two folds each gets at least two clusters, since the other fold learns from them alone.
    """
    order = list(clusters)
    Random(seed).shuffle(order)
    order.sort(key=lambda cluster: (cluster.stratum, -cluster.size))
    dealt = [_Fold() for _ in range(count)]
    least = 2 if count == 2 else 1
    for left, cluster in zip(range(len(order), 0, -1), order, strict=True):
        short = [max(0, least - len(fold.clusters)) for fold in dealt]
        needy = [fold for fold, lack in zip(dealt, short, strict=True) if lack]
        open_to = needy if sum(short) >= left else dealt
        min(open_to, key=lambda fold: _fullness(fold, cluster)).take(cluster)
    return dealt


@dataclass(frozen=True, kw_only=True, order=True)
class _Fullness:
    same: int
    """Items of the labels that would come, each counted as often as it would come."""
    all: int


def _fullness(fold: _Fold, cluster: _Cluster) -> _Fullness:
    same = sum(fold.labels[label] * number for label, number in cluster.labels.items())
    return _Fullness(same=same, all=fold.labels.total())


def _dev(clusters: Sequence[_Cluster], test: _Fold, share: float, chance: Random) -> Iterator[str]:
    """Clusters outside the fold, in seeded order, as long as they fit into the share."""
    away = {cluster.name for cluster in test.clusters}
    rest = [cluster for cluster in clusters if cluster.name not in away]
    room = max(1, int(share * sum(cluster.size for cluster in rest)))
    chance.shuffle(rest)
    fitting = [cluster for cluster in rest if cluster.size <= room]
    if not fitting:
        yield min(rest, key=lambda cluster: cluster.size).name
    for cluster in fitting:
        if cluster.size <= room:
            room -= cluster.size
            yield cluster.name


def _fold_skill(
    skill: Skill, items: Sequence[Item], *, test: set[str], dev: set[str], identity: list[object]
) -> Skill:
    def split_of(item: Item) -> Split:
        return "test" if item.cluster in test else "dev" if item.cluster in dev else "train"

    return replace(
        skill,
        items=tuple(replace(item, split=split_of(item)) for item in items),
        data_hash=content_hash(identity),
    )
