"""Metrics of search, by hand."""

import pytest

from rag_adapt.bench.search_scores import Places, Ruler, score
from rag_adapt.core.types import Span


def places(*numbers: int) -> Places:
    return frozenset(("a.md", number) for number in numbers)


def test_metrics_of_two_references_and_three_passages() -> None:
    found = score(
        [places(0, 1, 2, 3), places(8, 9)],
        [places(20, 21), places(2, 3, 4, 5), places(0, 6)],
        ideal=[0.5, 1 / 3, 1 / 6],
    )
    assert vars(found) == pytest.approx(
        {
            "recall": 0.5,
            "precision": 2 / 3,
            "mrr": 0.5,
            "ndcg": (2 / 6 * 0.63093 + 1 / 6 * 0.5) / (0.5 + 0.63093 / 3 + 0.5 / 6),
            "token_recall": 0.5,
            "token_precision": 3 / 8,
            "iou": 3 / 11,
        },
        rel=1e-4,
    )


def test_all_is_one_where_the_passage_is_the_reference() -> None:
    found = score([places(1, 2)], [places(1, 2)], ideal=[1.0])
    assert set(vars(found).values()) == {1.0}


def test_all_is_zero_where_nothing_was_found() -> None:
    assert set(vars(score([places(1)], [], ideal=[1.0])).values()) == {0.0}


def test_a_reference_is_found_with_half_of_its_tokens() -> None:
    assert score([places(1, 2)], [places(2, 3)], ideal=[0.5]).recall == 1.0
    assert score([places(1, 2, 3)], [places(3)], ideal=[0.5]).recall == 0.0


def test_tokens_counted_twice_count_once() -> None:
    twice = score([places(1, 2)], [places(1, 3), places(1, 3)], ideal=[0.5])
    assert (twice.token_recall, twice.token_precision) == (0.5, 0.5)


def test_a_ruler_counts_the_tokens_that_begin_inside() -> None:
    ruler = Ruler({"a.md": "One two incomprehensible."})
    span = Span(document="a.md", start=4, end=24)
    assert ruler.places(span) == places(1, 2, 3, 4)
    assert ruler.places(Span(document="a.md", start=5, end=6)) == places(1)
