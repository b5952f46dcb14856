"""Cutting where most changes, and the control that does not look."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from rag_adapt.retrieval.chunkers.sentences import Sentences, sentences
from rag_adapt.retrieval.chunkers.shuffled import RandomChunker
from rag_adapt.retrieval.chunkers.tension import TensionChunker, recursive_cuts
from rag_adapt.retrieval.embed import HashingEmbedder
from rag_adapt.retrieval.protocols import ChunkSpan
from tests.retrieval.test_chunk import TEXTS

CATS = "The cat sleeps. A cat eats fish. The cat purrs. "
MARKETS = "Stocks fell today. Bonds and stocks rose. Stocks may fall."
LONG = " ".join(
    f"Sentence {n} is about {'cats dogs mice cows'.split()[n // 7 % 4]}." for n in range(80)
)


def only(text: str, limit: int = 50) -> Sentences:
    [section] = sentences(text, limit)
    return section


@pytest.mark.parametrize("embedder", [None, HashingEmbedder()], ids=["words", "meaning"])
def test_a_text_over_budget_is_cut_between_its_topics(embedder: HashingEmbedder | None) -> None:
    first, second = TensionChunker(tokens=16, embedder=embedder).chunk(CATS + MARKETS)
    assert (CATS + MARKETS)[first.start : first.end] == CATS.strip()
    assert (CATS + MARKETS)[second.start : second.end] == MARKETS


def test_a_text_within_budget_is_not_cut() -> None:
    assert len(TensionChunker(tokens=100).chunk(CATS + MARKETS)) == 1


@pytest.mark.parametrize(
    ("change", "tokens", "expected"),
    [
        pytest.param([0.1, 0.9, 0.1], 4, [2], id="highest"),
        pytest.param([0.1, 0.9, 0.1], 2, [1, 2, 3], id="again inside"),
        pytest.param([0.5, 0.5, 0.5], 6, [1], id="first of equals"),
        pytest.param([0.9, 0.2, 0.3], 6, [1], id="a border may be a maximum"),
    ],
)
def test_cuts_are_maxima(change: list[float], tokens: int, expected: list[int]) -> None:
    assert recursive_cuts(only("A. B. C. D."), np.array(change), tokens) == expected


def test_a_cut_leaves_no_scrap_where_another_is_possible() -> None:
    change = np.array([0.9, 0.1, 0.2, 0.1, 0.1, 0.1, 0.1])
    assert recursive_cuts(only("A. B. C. D. E. F. G. H."), change, 14)[0] == 3


def counts(spans: tuple[ChunkSpan, ...], text: str) -> list[int]:
    return sorted(text[span.start : span.end].count(".") for span in spans)


def test_random_cuts_have_the_sizes_of_tension_at_other_places() -> None:
    like = TensionChunker(tokens=40)
    ours, control = like.chunk(LONG), RandomChunker(like=like).chunk(LONG)
    assert counts(ours, LONG) == counts(control, LONG)
    starts = {span.start for span in ours[1:]}
    assert len(starts & {span.start for span in control[1:]}) < len(starts) / 2


def test_random_cuts_are_the_same_for_a_seed() -> None:
    like = TensionChunker(tokens=40)
    assert RandomChunker(like=like).chunk(LONG) == RandomChunker(like=like).chunk(LONG)
    assert RandomChunker(like=like).chunk(LONG) != RandomChunker(like=like, seed=1).chunk(LONG)


@settings(max_examples=60, deadline=None)
@given(text=TEXTS, tokens=st.integers(1, 30), seed=st.integers(0, 3))
def test_sizes_match_whatever_the_text(text: str, tokens: int, seed: int) -> None:
    like = TensionChunker(tokens=tokens)
    known = {start: n for s in sentences(text, tokens) for n, start in enumerate(s.starts)}
    ends = {end: n for s in sentences(text, tokens) for n, end in enumerate(s.ends)}

    def sizes(spans: tuple[ChunkSpan, ...]) -> list[int]:
        return sorted(ends[span.end] - known[span.start] for span in spans)

    assert sizes(RandomChunker(like=like, seed=seed).chunk(text)) == sizes(like.chunk(text))
