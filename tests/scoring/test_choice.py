"""The label scorer: the declared labels, as they are or in quotes, and nothing else."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from rag_adapt.core.types import Item
from rag_adapt.scoring.choice import Label, label_scorer

LABELS = ("card_arrival", "lost or stolen card", "(A)", "(B)", "+", "-")


def item(*targets: str) -> Item:
    return Item(id="i", input="?", targets=targets, split="test", cluster="i")


@pytest.mark.parametrize(
    ("output", "label"),
    [
        ("card_arrival", "card_arrival"),
        (' "Card_Arrival". ', "card_arrival"),
        ("**lost or  stolen card**", "lost or stolen card"),
        ("(A)", "(A)"),
        ("A", "(A)"),
        ("b.", "(B)"),
        ("+", "+"),
        ("-", "-"),
        ("card arrival", None),
        ("card_arrivals", None),
        ("The label is card_arrival", None),
        ("(A) or (B)", None),
        ("card_arrival\n(A)", None),
        ("", None),
        ("...", None),
    ],
)
def test_an_output_is_a_label_only_if_it_is_nothing_else(output: str, label: str | None) -> None:
    assert label_scorer(LABELS).extract(output) == label


def test_labels_that_differ_in_case_alone_must_be_given_to_the_letter() -> None:
    scorer = Label(labels=("us", "US"))

    assert scorer.extract("US") == "US"
    assert scorer.extract("us") == "us"
    assert scorer.extract("Us") is None


def test_the_right_label_scores_one_another_zero_and_none_zero() -> None:
    scorer = label_scorer(LABELS)

    right = scorer.score("(a)", item("(A)"))
    wrong = scorer.score("(B)", item("(A)"))
    neither = scorer.score("perhaps", item("(A)"))

    assert (right.value, right.extracted) == (1.0, "(A)")
    assert (wrong.value, wrong.extracted) == (0.0, "(B)")
    assert (neither.value, neither.extracted) == (0.0, None)
    assert "not exactly one of the 6 labels" in neither.explanation


def test_any_of_several_targets_is_right() -> None:
    assert label_scorer(LABELS).score("B", item("(A)", "(B)")).value == 1.0


def test_one_label_is_no_choice() -> None:
    with pytest.raises(ValueError, match="at least two"):
        label_scorer(["only"])


@settings(deadline=None)
@given(labels=st.lists(st.text(min_size=1, max_size=6).map(str.strip).filter(bool), min_size=2))
def test_every_declared_label_is_found_when_given_to_the_letter(labels: list[str]) -> None:
    scorer = label_scorer(labels)

    assert [scorer.extract(label) for label in labels] == labels
