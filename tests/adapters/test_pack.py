"""Packed rows have the figures that they have alone, and nothing is computed twice."""

from pathlib import Path

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from transformers import AutoModelForCausalLM

from rag_adapt.adapters.pack import TokenRow, answer_losses, attention_mask, packs, shared_length

IDS = st.lists(st.integers(3, 40), min_size=1, max_size=12)
ROWS = st.lists(
    st.builds(lambda p, a: TokenRow(prompt=tuple(p), answer=tuple(a)), IDS, IDS),
    min_size=1,
    max_size=6,
)


def test_a_pack_holds_the_shared_beginning_once() -> None:
    rows = [
        TokenRow(prompt=(1, 2, 3, 4), answer=(7, 8)),
        TokenRow(prompt=(1, 2, 5), answer=(9,)),
    ]
    (pack,) = packs(rows, share=True)
    assert pack.ids == [1, 2, 3, 4, 7, 5]
    assert pack.positions == [0, 1, 2, 3, 4, 2]
    assert pack.rows == [0, 0, 1, 1, 1, 2]
    assert pack.predict == [3, 4, 5]
    assert pack.answers == [7, 8, 9]


@pytest.mark.parametrize(
    ("prompts", "length"),
    [([[1, 2, 3]], 0), ([[1, 2], [1, 2]], 1), ([[1, 2, 3], [1, 2, 4]], 2), ([[5], [5]], 0)],
    ids=["one row", "last token stays", "differs at the end", "one token"],
)
def test_the_shared_beginning_leaves_every_prompt_its_last_token(
    prompts: list[list[int]], length: int
) -> None:
    assert shared_length(prompts) == length


@given(rows=ROWS, limit=st.integers(1, 40), share=st.booleans())
def test_every_answer_token_is_predicted_once_in_order(
    rows: list[TokenRow], limit: int, share: bool
) -> None:
    made = list(packs(rows, share=share, limit=limit))
    assert [token for pack in made for token in pack.answers] == [
        token for row in rows for token in row.answer
    ]
    assert all(len(p.ids) == len(p.positions) == len(p.rows) for p in made)
    assert all(len(p.predict) == len(p.answers) for p in made)
    assert all(len(p.ids) <= limit for p in made if max(p.rows) > 1)


def test_without_sharing_every_row_stands_alone() -> None:
    rows = [TokenRow(prompt=(1, 2), answer=(3,))] * 3
    made = list(packs(rows, share=False))
    assert len(made) == 3
    assert attention_mask(made[0].rows, torch.float32) is None


def test_tokens_see_the_beginning_and_their_own_row_only() -> None:
    mask = attention_mask([0, 0, 1, 1, 2], torch.float32)
    assert mask is not None
    assert (mask[0, 0] == 0).int().tolist() == [
        [1, 0, 0, 0, 0],
        [1, 1, 0, 0, 0],
        [1, 1, 1, 0, 0],
        [1, 1, 1, 1, 0],
        [1, 1, 0, 0, 1],
    ]


def test_packed_losses_equal_those_of_separate_rows(tiny_model: Path) -> None:
    model = AutoModelForCausalLM.from_pretrained(tiny_model, dtype=torch.float32).eval()
    rows = [
        TokenRow(prompt=(1, 9, 9, 40, 41), answer=(50, 51, 2)),
        TokenRow(prompt=(1, 9, 9, 42), answer=(52, 2)),
        TokenRow(prompt=(1, 9, 9, 43, 44, 45), answer=(53, 54, 55, 2)),
    ]
    with torch.no_grad():
        (pack,) = packs(rows, share=True)
        together = answer_losses(model, pack, torch.float32)
        whole = [_plain_losses(model, row) for row in rows]
    assert torch.allclose(together, torch.cat(whole), atol=1e-4)


def _plain_losses(model: torch.nn.Module, row: TokenRow) -> torch.Tensor:
    ids = torch.tensor([[*row.prompt, *row.answer]])
    logits = model(input_ids=ids).logits[0, len(row.prompt) - 1 : -1]
    return torch.nn.functional.cross_entropy(logits, torch.tensor(row.answer), reduction="none")
