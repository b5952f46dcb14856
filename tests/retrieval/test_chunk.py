"""Cutting texts: spans are exact whatever the text."""

from dataclasses import replace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from rag_adapt.core.errors import CollectionError
from rag_adapt.retrieval.chunk import RecursiveChunker, embedded_text, token_starts
from rag_adapt.retrieval.protocols import ChunkSpan

PIECES = st.sampled_from(
    [
        *("# Title\n", "## Sub\n", "\n\n", "\n", " ", "   ", "\t", " " * 40, "-----"),
        *("word", "longerword" * 3, ". ", "; ", "! ", "```\n# no title\n```\n"),
        *("日本語の文章。", "naïve", "🙂", "e\u0301"),
    ]
)
TEXTS = st.one_of(st.text(), st.lists(PIECES, max_size=60).map("".join))


@settings(max_examples=300, deadline=None)
@given(text=TEXTS, tokens=st.integers(1, 30))
def test_spans_are_ordered_apart_within_the_limit_and_cover_all_but_blanks(
    text: str, tokens: int
) -> None:
    spans = RecursiveChunker(tokens=tokens).chunk(text)
    rest = list(text)
    end = 0
    for span in spans:
        assert end <= span.start < span.end <= len(text)
        end = span.end
        piece = text[span.start : span.end]
        assert piece == piece.strip()
        assert len(token_starts(piece)) <= tokens
        rest[span.start : span.end] = " " * len(piece)
    assert "".join(rest).strip() == ""


def shown(text: str, tokens: int) -> list[tuple[str, tuple[str, ...]]]:
    spans = RecursiveChunker(tokens=tokens).chunk(text)
    return [(text[span.start : span.end], span.headings) for span in spans]


def test_a_chunk_knows_the_headings_above_it() -> None:
    text = "Intro.\n# A\n\nOne.\n\n## B ##\n\nTwo.\n\n# C\n\nThree."
    assert shown(text, 50) == [
        ("Intro.", ()),
        ("# A\n\nOne.", ("A",)),
        ("## B ##\n\nTwo.", ("A", "B")),
        ("# C\n\nThree.", ("C",)),
    ]


def test_a_heading_without_text_joins_the_next_section() -> None:
    assert shown("# A\n\n## B\n\nText.", 50) == [("# A\n\n## B\n\nText.", ("A", "B"))]


def test_a_heading_at_the_end_is_kept() -> None:
    assert shown("Text.\n\n# End", 50) == [("Text.", ()), ("# End", ("End",))]


def test_a_hash_in_fenced_code_is_no_heading() -> None:
    text = "# A\n\n```sh\n# comment\n```\nText."
    assert shown(text, 50) == [(text, ("A",))]


def test_a_long_section_is_cut_at_paragraphs_first() -> None:
    assert [text for text, _ in shown("One two.\n\nThree four.\n\nFive six.", 6)] == [
        "One two.\n\nThree four.",
        "Five six.",
    ]


def test_a_long_paragraph_is_cut_at_sentences() -> None:
    assert [text for text, _ in shown("One two three. Four five six. Seven.", 4)] == [
        "One two three.",
        "Four five six.",
        "Seven.",
    ]


def test_a_heading_stays_with_the_beginning_of_a_long_paragraph() -> None:
    first, *_ = shown("# Title\n\nOne two three. Four five six.", 6)
    assert first[0] == "# Title\n\nOne two three."


def test_a_word_longer_than_a_chunk_is_cut_inside() -> None:
    assert [text for text, _ in shown("a" * 18, 2)] == ["a" * 12, "a" * 6]


def test_a_very_long_title_is_shortened_in_the_path() -> None:
    [(_, (title,))] = shown(f"# {'x' * 500}\n\nText.", 500)
    assert title == "x" * 120


def test_offsets_count_characters_not_bytes() -> None:
    text = "🙂 naïve.\n\nZwölf Boxkämpfer."
    spans = RecursiveChunker(tokens=3).chunk(text)
    assert text[spans[1].start : spans[1].end].startswith("Zwölf")


@pytest.mark.parametrize("tokens", [0, -1, 5000])
def test_a_length_out_of_range_is_refused(tokens: int) -> None:
    with pytest.raises(CollectionError, match=f"chunks of {tokens} tokens"):
        RecursiveChunker(tokens=tokens)


def test_the_estimate_counts_words_in_pieces_of_six() -> None:
    assert token_starts("Kettles, 日本") == [0, 6, 7, 9, 10]


def test_only_headings_that_the_text_does_not_show_are_added() -> None:
    text = "Before. ## B\n\nText."
    whole = ChunkSpan(start=8, end=19, headings=("A", "B"))
    assert embedded_text(text, whole) == "A\n## B\n\nText."
    assert embedded_text(text, replace(whole, start=14)) == "A > B\nText."
    assert embedded_text(text, replace(whole, start=14, headings=())) == "Text."
    assert embedded_text(text, replace(whole, start=14, before=6)) == "A\n## B\n\nText."
