"""One document that would cost too much is refused with a reason, at little cost."""

import time

import pytest

from rag_adapt.retrieval.means import MOST_HEADINGS, MOST_TOKENS, PIECE, check_means
from rag_adapt.retrieval.parsers.parsed import UnusableError

LAMP = "# Borage light\n\nThe lamp gives 900 lm.\n"


def test_a_long_manual_is_not_refused() -> None:
    check_means(LAMP * 10_000)


@pytest.mark.parametrize(
    ("text", "what"),
    [
        ("word " * 3_000_000, "1000000 tokens"),
        ("x" * 15_000_000, "1000000 tokens"),
        ("字" * (MOST_TOKENS + 1), "1000000 tokens"),
        ("# a\nb\n" * (MOST_HEADINGS + 5), "20000 headings"),
    ],
    ids=["15 MB of words", "one line of 15 MB", "Chinese", "headings"],
)
def test_what_would_take_hours_to_embed_is_refused_within_seconds(text: str, what: str) -> None:
    begun = time.process_time()
    with pytest.raises(UnusableError, match=f"more than {what}; split it"):
        check_means(text)
    assert time.process_time() - begun < 3


def test_both_bounds_count_across_the_whole_text() -> None:
    text = f"{'a' * PIECE}\n# b\n{'c ' * PIECE}# d\n"
    check_means(text, most_headings=2)
    with pytest.raises(UnusableError, match="more than 1 headings"):
        check_means(f"{text}\n# e\n", most_headings=1)
