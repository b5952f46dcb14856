"""Packing sentences, and cutting without looking at them."""

from rag_adapt.retrieval.chunkers.fixed import FixedChunker
from rag_adapt.retrieval.chunkers.packing import PackingChunker

TEXT = "One two. Three.\n\nFour five six. Seven."


def test_sentences_are_packed_across_paragraphs_until_the_next_does_not_fit() -> None:
    spans = PackingChunker(tokens=5).chunk(TEXT)
    assert [TEXT[span.start : span.end] for span in spans] == [
        "One two. Three.",
        "Four five six.",
        "Seven.",
    ]


def test_fixed_chunks_end_wherever_a_word_does() -> None:
    spans = FixedChunker(tokens=4).chunk(TEXT)
    assert [TEXT[span.start : span.end] for span in spans] == [
        "One two.",
        "Three.\n\nFour five",
        "six. Seven.",
    ]
