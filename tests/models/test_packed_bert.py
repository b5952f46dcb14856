"""Texts laid end to end get the states that the model itself would give them."""

import pytest

from rag_adapt.models.packed_bert import PackedBert
from tests.models.tiny_bert import tiny_bert


def test_texts_of_different_lengths_do_not_see_each_other() -> None:
    import torch

    model = tiny_bert()
    if not PackedBert.fits(model):
        pytest.skip("torch does not use bfloat16 on this processor")
    tokens = [[2, 5, 6, 7, 8, 3], [2, 6, 3], [2, 7, 3], [2, 3], [2, 5, 6, 7, 8, 3]]
    found = PackedBert(model).means(tokens)
    with torch.inference_mode():
        alone = torch.stack(
            [model(torch.tensor([each])).last_hidden_state[0].mean(0) for each in tokens]
        )
    assert found.dtype == torch.float32
    assert (torch.cosine_similarity(found, alone) > 0.999).all()
    assert torch.cosine_similarity(found[1], found[2], dim=0) < 0.999


@pytest.mark.parametrize(
    "other",
    [
        pytest.param({"hidden_act": "gelu_new"}, id="another activation"),
        pytest.param({"is_decoder": True}, id="each token sees only those before it"),
    ],
)
def test_what_would_compute_something_else_does_not_fit(other: dict[str, object]) -> None:
    assert not PackedBert.fits(tiny_bert(**other))
