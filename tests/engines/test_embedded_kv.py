"""Buffers of keys and values, and attention without copies."""

from types import SimpleNamespace
from typing import Any

import pytest
import torch

from rag_adapt.core.errors import SettingsError
from rag_adapt.engines.embedded_kv import HEADROOM, LayerKeys, Prefix, attention, prepare


def tokens(rows: int, count: int, mark: float) -> torch.Tensor:
    """Keys of shape (rows, 1 head, count, 1): row number plus a mark plus the place."""
    places = torch.arange(count, dtype=torch.float32) / 1000
    return (torch.arange(rows)[:, None] * 10.0 + mark + places)[:, None, :, None]


def test_tokens_are_appended_in_place_and_buffers_grow() -> None:
    layer = LayerKeys()
    expected = tokens(2, 5, 1.0)
    layer.update(expected, expected)
    for step in range(HEADROOM + 3):
        more = tokens(2, 1, 100.0 + step)
        expected = torch.cat([expected, more], dim=2)
        keys, values = layer.update(more, more)
        assert torch.equal(keys, expected)
        assert torch.equal(values, expected)
    assert layer.get_seq_length() == 5 + HEADROOM + 3
    assert layer.get_mask_sizes(1) == (layer.length + 1, 0)
    assert layer.get_max_length() == -1


@pytest.mark.parametrize(("mine", "theirs"), [(4, 7), (7, 4), (4, 4)])
def test_adopted_rows_end_at_the_same_token(mine: int, theirs: int) -> None:
    one, two = LayerKeys(), LayerKeys()
    first, second = tokens(2, mine, 1.0), tokens(3, theirs, 5.0)
    one.update(first, first)
    two.update(second, second)
    one.adopt(two, rows=8)
    keys, _ = one.update(tokens(5, 1, 9.0), tokens(5, 1, 9.0))
    length = max(mine, theirs)
    assert torch.equal(keys[:2, :, length - mine : length], first)
    assert torch.equal(keys[2:, :, length - theirs : length], second)
    assert not keys[:2, :, : length - mine].any()
    assert not keys[2:, :, : length - theirs].any()


def test_the_last_row_takes_the_place_of_a_dropped_one() -> None:
    layer = LayerKeys()
    keys = tokens(3, 4, 1.0)
    layer.update(keys, keys)
    layer.drop(0)
    left, _ = layer.update(tokens(2, 1, 9.0), tokens(2, 1, 9.0))
    assert torch.equal(left[:, :, :4], keys[[2, 1]])
    layer.drop(1)
    assert layer.rows == 1


def test_attention_of_one_token_equals_the_librarys() -> None:
    from transformers.integrations.sdpa_attention import sdpa_attention_forward

    torch.manual_seed(0)
    query, keys, values = (
        torch.randn(3, 6, 1, 8),
        torch.randn(3, 2, 11, 8),
        torch.randn(3, 2, 11, 8),
    )
    mask = torch.ones(3, 1, 1, 11, dtype=torch.bool)
    mask[0, :, :, :4] = False
    layer: Any = SimpleNamespace(num_key_value_groups=3, is_causal=True)
    for shown in (mask, None):
        found, _ = attention(layer, query, keys, values, shown, scaling=0.3)
        expected, _ = sdpa_attention_forward(layer, query, keys, values, shown, scaling=0.3)
        assert torch.allclose(found, expected, atol=1e-6)


def test_prefixes_follow_one_another() -> None:
    one = Prefix([(torch.zeros(1, 2, 1), torch.ones(1, 2, 1))])
    both = one.then(Prefix([(torch.full((1, 3, 1), 5.0), torch.full((1, 3, 1), 6.0))]))
    assert both.length == 5
    assert both.layers[0][0].flatten().tolist() == [0, 0, 5, 5, 5]
    assert both.bytes == 5 * 2 * 4


def test_a_model_with_other_state_than_keys_is_refused() -> None:
    config = SimpleNamespace(model_type="mamba", layer_types=["full_attention", "mamba"])
    config.get_text_config = lambda: config
    with pytest.raises(SettingsError, match="cannot batch: mamba"):
        prepare(SimpleNamespace(config=config))
