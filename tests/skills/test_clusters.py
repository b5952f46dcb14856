"""Joined clusters: transitive, by the first one's name, and only where inputs are alike."""

from rag_adapt.core.types import Item
from rag_adapt.skills.clusters import join_clusters


def item(name: str, cluster: str, text: str) -> Item:
    return Item(id=name, input=text, targets=("x",), split="test", cluster=cluster)


def test_clusters_of_near_duplicates_become_one_and_others_stay() -> None:
    items = [
        item("1", "a", "Where is my new card, please?"),
        item("2", "b", "something else"),
        item("3", "c", "where is my new card please"),
        item("4", "c", "and a third thing"),
        item("5", "d", "And a third thing!"),
    ]

    joined = join_clusters(items)

    assert [each.cluster for each in joined.items] == ["a", "b", "a", "a", "a"]
    assert joined.clusters == {"a", "c", "d"}
    assert [each.id for each in joined.items] == ["1", "2", "3", "4", "5"]


def test_inputs_that_are_alike_but_not_equal_join_too() -> None:
    long = "one two three four five six seven eight nine ten"
    items = [item("1", "a", long), item("2", "b", f"{long} eleven"), item("3", "c", "one two")]

    assert [each.cluster for each in join_clusters(items).items] == ["a", "a", "c"]


def test_further_pairs_join_items_that_are_nothing_alike() -> None:
    items = [item("1", "a", "red"), item("2", "b", "green"), item("3", "c", "blue")]

    joined = join_clusters(items, alike=[("3", "1")])

    assert [each.cluster for each in joined.items] == ["a", "b", "a"]


def test_without_near_duplicates_nothing_changes() -> None:
    items = (item("1", "a", "red"), item("2", "b", "green"))

    joined = join_clusters(items)

    assert joined.items == items
    assert joined.clusters == frozenset()
