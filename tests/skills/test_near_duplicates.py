"""Near-duplicates: the fast search finds exactly what comparing all with all would find."""

from hypothesis import given, settings
from hypothesis import strategies as st

from rag_adapt.core.types import Item, Split
from rag_adapt.skills.near_duplicates import across_splits, near_duplicates, normal_form, shingles

WORDS = st.lists(st.sampled_from("abcdef"), min_size=1, max_size=12).map(" ".join)
TEXTS = st.dictionaries(st.text("xyz", min_size=1, max_size=3), WORDS, max_size=8)
THRESHOLDS = st.sampled_from([0.3, 0.5, 0.8, 1.0])


@settings(deadline=None)
@given(left=TEXTS, right=TEXTS, threshold=THRESHOLDS)
def test_the_index_finds_what_comparing_all_with_all_finds(
    left: dict[str, str], right: dict[str, str], threshold: float
) -> None:
    found = {(p.left, p.right) for p in near_duplicates(left, right, threshold=threshold)}

    expected = set()
    for one, text in left.items():
        for other, candidate in right.items():
            a, b = shingles(text), shingles(candidate)
            if len(a & b) / len(a | b) >= threshold:
                expected.add((one, other))
    assert found == expected


def test_case_punctuation_and_width_do_not_hide_a_duplicate() -> None:
    left = {"a": "How do I get my card?"}
    right = {"b": "how do i get my CARD", "c": "How do I lose my card?"}

    pairs = list(near_duplicates(left, right))

    assert [(p.right, p.similarity) for p in pairs] == [("b", 1.0)]


def test_symbols_keep_texts_apart_and_pure_punctuation_keeps_itself() -> None:
    assert normal_form("3 + 4") != normal_form("3 = 4")
    assert normal_form("?!") == "?!"
    assert normal_form("(a), b.") == "a b"


def test_only_pairs_of_different_splits_are_told_with_the_test_item_first() -> None:
    def item(name: str, split: Split, text: str) -> Item:
        return Item(id=name, input=text, targets=("x",), split=split, cluster=name)

    items = [
        item("one", "train", "the same words here"),
        item("two", "train", "The same words here."),
        item("three", "test", "the same, words here"),
        item("four", "dev", "something else entirely"),
    ]

    pairs = {(pair.left, pair.right) for pair in across_splits(items)}

    assert pairs == {("three", "one"), ("three", "two")}
