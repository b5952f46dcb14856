"""Cross-fitting: every item is tested once, and never near anything that its fold learns from."""

from collections import Counter
from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from rag_adapt.core.errors import PlanError
from rag_adapt.core.template import Template
from rag_adapt.core.types import Item, Split
from rag_adapt.skills.folding import folds
from rag_adapt.skills.load import BUNDLED, load_skill
from rag_adapt.skills.near_duplicates import across_splits, near_duplicates
from rag_adapt.skills.skill import Skill

SPLITS: tuple[Split, ...] = ("train", "dev", "test")


def skill(items: list[Item], labels: tuple[str, ...] = ()) -> Skill:
    return Skill(
        name="codes",
        title="",
        description="",
        task="classification" if labels else "text",
        scorer="exact",
        scorers=(),
        labels=labels,
        max_tokens=8,
        stop=(),
        cluster="",
        unique_targets=False,
        licence="",
        source="",
        folder=Path(),
        items=tuple(items),
        templates={"prompt": Template(system="", user="{input}")},
        data_hash="0" * 12,
        corpus=None,
    )


def items_of(sizes: list[int], labels: list[str]) -> list[Item]:
    """Clusters of these sizes, one label each, their inputs unlike any other's."""
    return [
        Item(
            id=f"{number}-{n}",
            input=f"item {number} {n}",
            targets=(label,),
            split=SPLITS[number % 3],
            cluster=f"c{number}",
        )
        for number, (size, label) in enumerate(zip(sizes, labels, strict=True))
        for n in range(size)
    ]


@st.composite
def problems(draw: st.DrawFn) -> tuple[list[Item], int]:
    count = draw(st.integers(2, 5))
    sizes = draw(st.lists(st.integers(1, 7), min_size=count + 2, max_size=20))
    labels = draw(st.lists(st.sampled_from("xyz"), min_size=len(sizes), max_size=len(sizes)))
    return items_of(sizes, labels), count


@given(problem=problems(), seed=st.integers(0, 99), share=st.sampled_from([0.05, 0.15, 0.9]))
def test_every_item_is_tested_once_and_no_cluster_stands_on_two_sides(
    problem: tuple[list[Item], int], seed: int, share: float
) -> None:
    items, count = problem

    found = folds(skill(items, ("x", "y", "z")), count, seed=seed, dev_share=share)

    assert len(found) == count
    tested = Counter(item.id for fold in found for item in fold.test_items)
    assert tested == Counter(item.id for item in items)
    for fold in found:
        assert [item.id for item in fold.items] == [item.id for item in items]
        sides = {(item.cluster, item.split) for item in fold.items}
        assert len(sides) == len({item.cluster for item in items})
        assert fold.training_items
        assert fold.dev_items


@given(problem=problems(), seed=st.integers(0, 99))
def test_folds_differ_by_no_more_than_the_largest_cluster(
    problem: tuple[list[Item], int], seed: int
) -> None:
    items, count = problem
    largest = max(Counter(item.cluster for item in items).values())

    sizes = [len(fold.test_items) for fold in folds(skill(items), count, seed=seed)]

    room = 2 * largest if count == 2 else largest  # of two folds each must hold two clusters
    assert max(sizes) - min(sizes) <= room


@given(
    labels=st.lists(st.sampled_from("xyz"), min_size=7, max_size=40),
    count=st.integers(2, 5),
    seed=st.integers(0, 99),
)
def test_labels_are_dealt_evenly_where_the_skill_declares_them(
    labels: list[str], count: int, seed: int
) -> None:
    items = items_of([1] * len(labels), labels)

    found = folds(skill(items, ("x", "y", "z")), count, seed=seed)

    sizes = [len(fold.test_items) for fold in found]
    assert max(sizes) - min(sizes) <= 1
    for label in "xyz":
        shares = [sum(i.targets[0] == label for i in fold.test_items) for fold in found]
        assert max(shares) - min(shares) <= 1


def test_near_duplicate_inputs_share_a_fold_and_a_cluster() -> None:
    items = items_of([1] * 30, ["x"] * 30)
    items[3] = replace(items[3], input="Where is my card, please?")
    items[20] = replace(items[20], input="where is my card please")

    for fold in folds(skill(items), 5, seed=1):
        assert fold.items[3].split == fold.items[20].split
        assert fold.items[3].cluster == fold.items[20].cluster == "c3"


@settings(suppress_health_check=[HealthCheck.too_slow], max_examples=5)
@given(seed=st.integers(0, 9))
def test_a_bundled_skill_folds_evenly_without_near_duplicates_across_splits(seed: int) -> None:
    for fold in folds(load_skill(BUNDLED / "past-tense"), 5, seed=seed):
        assert 80 <= len(fold.test_items) <= 82
        assert len(fold.dev_items) == 48
        assert not list(across_splits(fold.items))


def test_the_same_seed_gives_the_same_folds_and_another_seed_others() -> None:
    problem = skill(items_of([2] * 20, ["x"] * 20))

    assert folds(problem, 4, seed=3) == folds(problem, 4, seed=3)
    assert folds(problem, 4, seed=3)[0].test_items != folds(problem, 4, seed=4)[0].test_items


def test_every_fold_has_a_data_hash_of_its_own() -> None:
    problem = skill(items_of([2] * 20, ["x"] * 20))
    changed = replace(problem, data_hash="1" * 12)

    hashes = [
        fold.data_hash
        for every in (
            folds(problem, 4, seed=3),
            folds(problem, 4, seed=4),
            folds(problem, 3, seed=3),
            folds(problem, 4, seed=3, dev_share=0.3),
            folds(changed, 4, seed=3),
        )
        for fold in every
    ]

    assert len(set(hashes)) == len(hashes) == 4 + 4 + 3 + 4 + 4
    assert problem.data_hash not in hashes


def test_dev_is_a_share_of_what_is_not_tested() -> None:
    found = folds(skill(items_of([1] * 100, ["x"] * 100)), 5, seed=0, dev_share=0.25)

    assert [len(fold.dev_items) for fold in found] == [20] * 5


def test_where_every_cluster_is_larger_than_the_share_the_smallest_is_dev() -> None:
    found = folds(skill(items_of([9, 8, 9, 9, 9], ["x"] * 5)), 2, seed=0, dev_share=0.1)

    for fold in found:
        sizes = Counter(item.cluster for item in fold.items if item.split != "test")
        assert len(fold.dev_items) == min(sizes.values())


@pytest.mark.parametrize(
    ("sizes", "count", "share", "said", "remedy"),
    [
        ([1] * 10, 1, 0.15, "--folds 1 leaves nothing", "--folds 2"),
        ([9] * 6, 5, 0.15, "'codes' has 6 clusters", "--folds 4"),
        ([9] * 3, 2, 0.15, "'codes' has 3 clusters", "leave out --folds"),
        ([1] * 10, 2, 1.0, "dev share 1.0", "0.15"),
    ],
    ids=["one fold", "too few clusters", "too few for any fold", "no train"],
)
def test_what_cannot_be_folded_is_refused_with_a_remedy(
    sizes: list[int], count: int, share: float, said: str, remedy: str
) -> None:
    problem = skill(items_of(sizes, ["x"] * len(sizes)))

    with pytest.raises(PlanError) as error:
        folds(problem, count, seed=0, dev_share=share)

    assert said in error.value.fact
    assert remedy in error.value.hint


def test_near_duplicates_do_not_pass_for_clusters_enough() -> None:
    items = [replace(i, input="the very same words") for i in items_of([1] * 8, ["x"] * 8)]
    assert list(near_duplicates({"a": items[0].input}, {"b": items[1].input}))

    with pytest.raises(PlanError, match="has 1 clusters"):
        folds(skill(items), 2, seed=0)
