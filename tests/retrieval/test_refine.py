"""What may be done with ranked passages."""

from collections.abc import Iterator, Sequence
from functools import partial
from pathlib import Path

import numpy as np
import pytest

from rag_adapt.core.errors import CollectionError
from rag_adapt.retrieval.build import build_collection
from rag_adapt.retrieval.collection import Collection
from rag_adapt.retrieval.fuse import FusionWeights
from rag_adapt.retrieval.protocols import SearchMode
from rag_adapt.retrieval.refine import CrossEncoderReranker, Refinement, marginal_relevance
from tests.retrieval.fakes import MANUAL, CountingEmbedder, write_corpus


@pytest.fixture
def manual(tmp_path: Path) -> Iterator[Collection]:
    source = write_corpus(tmp_path / "source", {**MANUAL, "copy.md": MANUAL["filling.md"]})
    build_collection(tmp_path / "manual", source, CountingEmbedder())
    with Collection.open(tmp_path / "manual", CountingEmbedder()) as collection:
        yield collection


class Shortest:
    """Prefers short texts, and remembers what it was asked."""

    def __init__(self) -> None:
        self.asked: list[tuple[str, int]] = []

    def scores(self, query: str, texts: Sequence[str]) -> Sequence[float]:
        self.asked.append((query, len(texts)))
        return [-float(len(text)) for text in texts]


def test_a_reranker_orders_the_candidates_and_gives_its_scores(manual: Collection) -> None:
    judge = Shortest()
    hits = manual.search("kettle water", 2, refinement=Refinement(reranker=judge))
    assert judge.asked == [("kettle water", 5)]
    assert [len(hit.text) for hit in hits] == [19, 31]
    assert [hit.score for hit in hits] == [-19.0, -31.0]


def test_a_reranker_is_not_asked_about_nothing(manual: Collection) -> None:
    judge = Shortest()
    assert manual.search("?", 2, "lexical", refinement=Refinement(reranker=judge)) == ()
    assert judge.asked == []


@pytest.mark.parametrize("mode", ["dense", "lexical", "fused"])
def test_only_documents_that_match_a_pattern_are_kept(manual: Collection, mode: SearchMode) -> None:
    kept = Refinement(only=("care/*", "warr*"))
    hits = manual.search("kettle filter warranty", 9, mode, refinement=kept)
    assert {hit.document for hit in hits} == {"care/cleaning.md", "warranty.txt"}
    assert manual.search("kettle", 9, mode, refinement=Refinement(only=("none*",))) == ()


@pytest.mark.parametrize("mode", ["dense", "lexical", "fused"])
def test_diversity_leaves_out_what_says_the_same(manual: Collection, mode: SearchMode) -> None:
    asked = "the kettle holds litres of water"
    same = {"filling.md", "copy.md"}
    search = partial(manual.search, asked, 2, mode, weights=FusionWeights(neighbours=0.0))
    assert {hit.document for hit in search()} == same
    first, second = search(refinement=Refinement(diversity=0.6))
    assert first.document in same
    assert second.document not in same


@pytest.mark.parametrize(
    ("diversity", "expected"),
    [
        pytest.param(0.0, [0, 1, 2], id="the best"),
        pytest.param(0.5, [0, 2, 1], id="both"),
        pytest.param(1.0, [0, 2, 1], id="the most different"),
    ],
)
def test_each_pick_weighs_relevance_against_likeness(diversity: float, expected: list[int]) -> None:
    vectors = np.array([[1.0, 0.0], [1.0, 0.0], [0.0, 1.0]], dtype=np.float32)
    relevance = np.array([9.0, 8.0, 5.0])
    assert marginal_relevance(relevance, vectors, 5, diversity) == expected


def test_equal_relevance_leaves_the_order() -> None:
    vectors = np.eye(3, dtype=np.float32)
    assert marginal_relevance(np.ones(3), vectors, 2, 0.5) == [0, 1]


@pytest.mark.parametrize("diversity", [-0.1, 1.1, float("nan")])
def test_a_diversity_out_of_range_is_refused(diversity: float) -> None:
    with pytest.raises(CollectionError, match="cannot be made different"):
        Refinement(diversity=diversity)


def test_a_cross_encoder_judges_every_text(tmp_path: Path) -> None:
    import torch
    from transformers import BertConfig, BertForSequenceClassification, BertTokenizerFast

    torch.manual_seed(0)
    words = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", "tea", "kettle"]
    config = BertConfig(
        vocab_size=len(words),
        hidden_size=16,
        num_hidden_layers=1,
        num_attention_heads=2,
        intermediate_size=16,
        max_position_embeddings=32,
        num_labels=1,
        initializer_range=0.5,
    )
    BertForSequenceClassification(config).save_pretrained(tmp_path)
    BertTokenizerFast(vocab={word: n for n, word in enumerate(words)}).save_pretrained(tmp_path)
    found = CrossEncoderReranker(tmp_path, device="cpu").scores("tea", ["kettle", "tea", "kettle"])
    assert found[0] == pytest.approx(found[2], abs=1e-5)
    assert found[0] != found[1]


def test_a_folder_without_a_cross_encoder_is_refused(tmp_path: Path) -> None:
    with pytest.raises(CollectionError, match="cannot be loaded as a cross-encoder"):
        CrossEncoderReranker(tmp_path).scores("tea", ["kettle"])
