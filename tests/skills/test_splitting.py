"""Splits and samples: whole clusters, kept proportions, the same for the same seed."""

from collections import Counter, defaultdict

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from rag_adapt.core.errors import SkillError
from rag_adapt.core.types import Split
from rag_adapt.skills.splitting import (
    Ratio,
    cluster_names,
    named_splits,
    ratio_for,
    sample,
    split_by_column,
    split_by_ratio,
)
from rag_adapt.skills.tables import Row


def rows_of(texts: list[str], splits: list[str] | None = None) -> list[Row]:
    return [
        Row(number=n, input=text, targets=("x",), split=splits[n - 1] if splits else None)
        for n, text in enumerate(texts, start=1)
    ]


def apart(count: int) -> list[Row]:
    return rows_of([f"text {number}" for number in range(count)])


LABELS = st.lists(st.sampled_from("abcd"), min_size=1, max_size=80)
TEXTS = st.lists(st.sampled_from([f"t{number}" for number in range(12)]), min_size=1, max_size=60)


@settings(deadline=None)
@given(labels=LABELS, seed=st.integers(0, 5))
def test_every_stratum_and_the_whole_keep_to_the_ratio(labels: list[str], seed: int) -> None:
    rows = apart(len(labels))
    ratio = Ratio(train=0.6, dev=0.2, test=0.2)

    places = split_by_ratio(rows, cluster_names(rows), labels, ratio, seed)

    whole = Counter(place.split for place in places)
    assert abs(whole["test"] - 0.2 * len(rows)) <= 2
    per_label: dict[str, Counter[Split]] = defaultdict(Counter)
    for label, place in zip(labels, places, strict=True):
        per_label[label][place.split] += 1
    for counts in per_label.values():
        assert abs(counts["train"] - 0.6 * counts.total()) <= 3


@settings(deadline=None)
@given(texts=TEXTS, seed=st.integers(0, 5))
def test_a_cluster_is_never_split(texts: list[str], seed: int) -> None:
    rows = rows_of(texts)

    places = split_by_ratio(rows, cluster_names(rows), ["x"] * len(rows), Ratio(), seed)

    homes: dict[str, set[Split]] = defaultdict(set)
    for place in places:
        homes[place.row.input].add(place.split)
    assert all(len(splits) == 1 for splits in homes.values())
    assert [place.row for place in places] == rows


def test_the_same_seed_gives_the_same_splits_and_another_seed_others() -> None:
    rows = apart(60)

    def drawn(seed: int) -> list[Split]:
        places = split_by_ratio(rows, cluster_names(rows), ["x"] * 60, Ratio(), seed)
        return [place.split for place in places]

    assert drawn(1) == drawn(1)
    assert drawn(1) != drawn(2)


def test_a_share_of_nothing_gets_nothing() -> None:
    rows = apart(30)

    ratio = Ratio(train=0.0, dev=0.0, test=1.0)

    places = split_by_ratio(rows, cluster_names(rows), ["x"] * 30, ratio, 0)
    assert {place.split for place in places} == {"test"}


def test_near_identical_inputs_and_rows_of_one_group_share_a_cluster() -> None:
    rows = [
        Row(number=1, input="Is it on?", targets=("x",), group="p1"),
        Row(number=2, input="is it ON", targets=("x",), group="p2"),
        Row(number=3, input="Is it off?", targets=("x",), group="p2"),
        Row(number=4, input="Is it off?", targets=("x",)),
        Row(number=5, input="Else", targets=("x",)),
    ]

    assert cluster_names(rows) == ["row-00001"] * 4 + ["row-00005"]


@settings(deadline=None)
@given(labels=LABELS, limit=st.integers(1, 90), seed=st.integers(0, 3))
def test_a_sample_has_the_size_and_the_proportions(
    labels: list[str], limit: int, seed: int
) -> None:
    rows = apart(len(labels))

    kept = sample(rows, limit, labels, seed)

    assert len(kept) == min(limit, len(rows))
    assert [row.number for row in kept] == sorted({row.number for row in kept})
    counts, found = Counter(labels), Counter(labels[row.number - 1] for row in kept)
    for label, count in counts.items():
        assert abs(found[label] - len(kept) * count / len(rows)) < 1


@pytest.mark.parametrize(
    "text", ["0.6/0.2", "a/b/c", "0.6/0.3/0.2", "1/0/0", "-0.2/0.6/0.6", "", "nan/0/1"]
)
def test_a_ratio_that_is_none_is_refused(text: str) -> None:
    with pytest.raises(SkillError, match="is not three shares"):
        ratio_for(text, column=None)


def test_a_ratio_is_read_and_has_a_default() -> None:
    assert ratio_for("0.5/0.25/0.25", column=None) == Ratio(train=0.5, dev=0.25, test=0.25)
    assert ratio_for(None, column=None) == Ratio(train=0.6, dev=0.2, test=0.2)
    assert ratio_for(None, column="part") == Ratio()


def test_a_ratio_beside_a_split_column_is_refused() -> None:
    with pytest.raises(SkillError, match="contradict"):
        ratio_for("0.6/0.2/0.2", column="part")


def test_splits_are_read_by_their_usual_names_and_others_told_by_line() -> None:
    rows = rows_of(["a", "b", "c", "d"], ["Train", " validation", "TEST", "holdout"])

    splits, faults = named_splits(rows, "part", "f.csv")

    assert splits == {1: "train", 2: "dev", 3: "test"}
    assert [str(fault).partition(" (")[0] for fault in faults] == [
        "f.csv:4: part: 'holdout' names no split"
    ]


def test_a_twin_of_a_test_item_is_moved_to_test() -> None:
    rows = rows_of(["Same.", "same", "other"], ["train", "test", "train"])
    splits: dict[int, Split] = {1: "train", 2: "test", 3: "train"}

    places, moved = split_by_column(rows, cluster_names(rows), splits)

    assert [place.split for place in places] == ["test", "test", "train"]
    assert moved == 1
