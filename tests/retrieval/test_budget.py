"""Keeping passages within a budget of tokens."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from rag_adapt.core.types import Passage
from rag_adapt.retrieval.budget import within_budget
from rag_adapt.retrieval.chunk import token_starts


def passage(text: str, start: int = 0) -> Passage:
    return Passage(document="a.md", start=start, end=start + len(text), text=text, score=1.0)


def test_passages_that_fit_are_kept_as_they_are() -> None:
    found = (passage("One two."), passage("Three."))
    assert within_budget(found, 5) == found


def test_the_first_that_does_not_fit_is_cut_after_a_word_and_the_rest_left_out() -> None:
    kept = within_budget([passage("One two."), passage("Three four.", 10), passage("Five.")], 4)
    assert [(each.start, each.end, each.text) for each in kept] == [
        (0, 8, "One two."),
        (10, 15, "Three"),
    ]


def test_nothing_is_kept_of_a_passage_without_a_whole_word_that_fits() -> None:
    assert within_budget([passage("incomprehensible")], 2) == ()


def test_a_script_without_blanks_is_cut_after_any_character() -> None:
    assert within_budget([passage("日本語")], 2)[0].text == "日本"


def test_a_budget_below_one_is_refused() -> None:
    with pytest.raises(ValueError, match="the budget is 0 tokens"):
        within_budget([], 0)


@given(texts=st.lists(st.text(min_size=1), max_size=5), tokens=st.integers(1, 20))
def test_no_budget_is_ever_exceeded_and_spans_stay_exact(texts: list[str], tokens: int) -> None:
    kept = within_budget([passage(text, 7) for text in texts], tokens)
    assert sum(len(token_starts(each.text)) for each in kept) <= tokens
    for each, text in zip(kept, texts, strict=False):
        assert text[: each.end - 7] == each.text
