"""Joins the clusters of items that say nearly the same, so that nothing counts them as two.

It does not know splits, folds or statistics; those take the items with their joined clusters.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace

from rag_adapt.core.types import Item
from rag_adapt.skills.near_duplicates import THRESHOLD, normal_form
from rag_adapt.skills.nearest import Groups, NearIndex


@dataclass(frozen=True, kw_only=True)
class Joined:
    """Items under the clusters that they share."""

    items: tuple[Item, ...]
    """In the order given; a joined cluster has the name of its first item's."""
    clusters: frozenset[str]
    """Those that were joined with another, by their old names."""


def join_clusters(
    items: Sequence[Item],
    *,
    threshold: float = THRESHOLD,
    alike: Iterable[tuple[str, str]] = (),
) -> Joined:
    """Make one cluster of all clusters that near-duplicate inputs connect, transitively.

    Args:
        items: With different ids.
        threshold: Jaccard similarity of word pairs from which inputs are near-duplicates.
        alike: Further pairs of item ids that belong together.
    """
    numbers = {name: n for n, name in enumerate(dict.fromkeys(i.cluster for i in items))}
    cluster_of = {item.id: numbers[item.cluster] for item in items}
    groups = Groups(len(numbers))
    forms: dict[str, str] = {}
    for item in items:
        first = forms.setdefault(normal_form(item.input), item.id)
        groups.join(cluster_of[first], cluster_of[item.id])
    inputs = {first: form for form, first in forms.items()}
    for pair in NearIndex(inputs, threshold=threshold).links():
        groups.join(cluster_of[pair.left], cluster_of[pair.right])
    for one, other in alike:
        groups.join(cluster_of[one], cluster_of[other])
    names = list(numbers)
    return Joined(
        items=tuple(
            replace(item, cluster=names[groups.root(numbers[item.cluster])]) for item in items
        ),
        clusters=_joined(names, groups),
    )


def _joined(names: Sequence[str], groups: Groups) -> frozenset[str]:
    sizes: dict[int, int] = {}
    for number in range(len(names)):
        root = groups.root(number)
        sizes[root] = sizes.get(root, 0) + 1
    return frozenset(name for number, name in enumerate(names) if sizes[groups.root(number)] > 1)
