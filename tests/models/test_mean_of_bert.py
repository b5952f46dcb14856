"""The short way through a sentence-transformers model gives what the long way gives."""

import threading
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from rag_adapt.models.mean_of_bert import TOKENS, MeanOfBert
from tests.models.tiny_bert import write_tiny_bert

TEXTS = [
    "tea",
    "",
    "a kettle of water " * 40,
    "\x00\u200b \n",
    "\N{TEACUP WITHOUT HANDLE} 茶 tea",
    "teas",
]


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_tiny_bert(tmp_path_factory.mktemp("models") / "bert")


def sentence_model(folder: Path, pooling: str = "mean", *after: Any) -> Any:
    from sentence_transformers import SentenceTransformer
    from sentence_transformers.sentence_transformer.modules import Pooling, Transformer

    body = Transformer(str(folder))
    return SentenceTransformer(
        modules=[body, Pooling(body.get_embedding_dimension(), pooling), *after], device="cpu"
    )


def cosines(one: Any, other: Any) -> Any:
    lengths = np.linalg.norm(one, axis=1) * np.linalg.norm(other, axis=1)
    return np.sum(one * other, axis=1) / lengths


def test_long_empty_and_strange_texts_get_the_vectors_of_the_library(folder: Path) -> None:
    model = sentence_model(folder)
    if not MeanOfBert.fits(model):
        pytest.skip("torch does not use bfloat16 on this processor")
    found = MeanOfBert(model)(TEXTS)
    assert (cosines(found, model.encode(TEXTS)) > 0.999).all()


def test_the_order_of_the_texts_is_kept_over_several_batches(folder: Path) -> None:
    model = sentence_model(folder)
    if not MeanOfBert.fits(model):
        pytest.skip("torch does not use bfloat16 on this processor")
    embed = MeanOfBert(model)
    many = TEXTS * (TOKENS // 40)
    assert (cosines(embed(many), np.tile(embed(TEXTS), (TOKENS // 40, 1))) > 0.9999).all()


def test_threads_of_others_compute_with_all_cores_as_before(folder: Path) -> None:
    import torch

    model = sentence_model(folder)
    if not MeanOfBert.fits(model):
        pytest.skip("torch does not use bfloat16 on this processor")
    before = torch.get_num_threads()
    MeanOfBert(model)(TEXTS)
    found: list[int] = []
    later = threading.Thread(target=lambda: found.append(torch.get_num_threads()))
    later.start()
    later.join()
    assert (torch.get_num_threads(), found) == (before, [before])


def test_a_model_that_does_more_does_not_fit(folder: Path) -> None:
    from sentence_transformers.sentence_transformer.modules import Dense

    more = Dense(16, 8)
    assert not MeanOfBert.fits(sentence_model(folder, "cls"))
    assert not MeanOfBert.fits(sentence_model(folder, "mean", more))
