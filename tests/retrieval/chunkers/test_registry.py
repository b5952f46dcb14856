"""Every way of cutting, by name: spans are exact whatever the text, and specs tell them apart."""

import json

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from rag_adapt.core.errors import CollectionError
from rag_adapt.retrieval.chunk import token_starts
from rag_adapt.retrieval.chunkers.registry import CHUNKERS, chunker_named
from rag_adapt.retrieval.embed import HashingEmbedder
from tests.retrieval.test_chunk import TEXTS

HASHING = HashingEmbedder(dimensions=32)


@pytest.mark.parametrize("name", [name for name in CHUNKERS if name != "recursive"])
@settings(max_examples=60, deadline=None)
@given(text=TEXTS, tokens=st.integers(1, 30))
def test_spans_are_ordered_apart_within_the_limit_and_cover_all_but_blanks(
    name: str, text: str, tokens: int
) -> None:
    rest = list(text)
    end = 0
    for span in chunker_named(name, tokens=tokens, embedder=HASHING).chunk(text):
        assert end <= span.start < span.end <= len(text)
        end = span.end
        piece = text[span.start : span.end]
        assert piece == piece.strip()
        assert len(token_starts(piece)) <= tokens
        rest[span.start : span.end] = " " * len(piece)
    assert "".join(rest).strip() == ""


def test_specs_tell_all_of_them_apart_and_name_what_decides() -> None:
    specs = [
        json.dumps(chunker_named(name, tokens=tokens, embedder=HASHING).spec(), sort_keys=True)
        for name in CHUNKERS
        for tokens in (50, 60)
    ]
    assert len(set(specs)) == len(specs)
    assert HASHING.identity.weights in "".join(specs)


@pytest.mark.parametrize("name", CHUNKERS)
def test_a_length_out_of_range_is_refused(name: str) -> None:
    with pytest.raises(CollectionError, match="chunks of 0 tokens"):
        chunker_named(name, tokens=0, embedder=HASHING)


def test_an_unknown_name_is_refused_with_those_that_there_are() -> None:
    with pytest.raises(CollectionError, match="no chunker 'semantic'") as caught:
        chunker_named("semantic", tokens=50, embedder=HASHING)
    assert "tension-embedded" in str(caught.value.hint)


@pytest.mark.parametrize("name", CHUNKERS)
def test_a_chunk_knows_the_headings_above_it_and_never_crosses_one(name: str) -> None:
    text = "# A\n\nOne.\n\n## B\n\nTwo. Three."
    spans = chunker_named(name, tokens=50, embedder=HASHING).chunk(text)
    assert [(text[span.start : span.end], span.headings) for span in spans] == [
        ("# A\n\nOne.", ("A",)),
        ("## B\n\nTwo. Three.", ("A", "B")),
    ]
