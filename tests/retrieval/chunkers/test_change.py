"""How much changes between sentences."""

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np
import pytest

from rag_adapt.retrieval.chunkers.change import WINDOW, by_meaning, by_words
from rag_adapt.retrieval.embed import HashingEmbedder
from rag_adapt.retrieval.protocols import EmbedderIdentity

if TYPE_CHECKING:
    from rag_adapt.retrieval.protocols import Vectors

TOPICS = ["the cat sleeps", "a cat eats", "the cat purrs", "stocks fell", "bonds and stocks rose"]


def test_words_change_most_between_topics() -> None:
    change = by_words(TOPICS)
    assert change.shape == (4,)
    assert int(np.argmax(change)) == 2
    assert change[2] == 1.0 > change[0] > 0.0


def test_meaning_changes_most_between_topics() -> None:
    assert int(np.argmax(by_meaning(TOPICS, HashingEmbedder()))) == 2


@pytest.mark.parametrize("sentences", [["one"], []], ids=["one", "none"])
def test_there_is_no_change_without_a_second_sentence(sentences: list[str]) -> None:
    assert by_words(sentences).shape == (0,)


def test_only_the_sentences_near_a_gap_are_compared() -> None:
    near = ["cat"] * WINDOW + ["dog"] * WINDOW
    assert by_words(["dog", *near])[WINDOW] == pytest.approx(by_words(near)[WINDOW - 1])


def test_sentences_without_words_share_nothing() -> None:
    assert by_words(["...", "!"]).tolist() == [1.0]


class Nowhere:
    """Gives vectors of no length."""

    identity = EmbedderIdentity(name="nowhere", weights="nowhere")

    def embed(self, texts: Sequence[str]) -> "Vectors":
        return np.zeros((len(texts), 2), dtype=np.float32)


def test_vectors_without_length_share_nothing() -> None:
    assert by_meaning(["a", "b"], Nowhere()).tolist() == [1.0]
