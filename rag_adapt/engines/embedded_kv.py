"""Keys and values of running rows: buffers written in place, and attention that reads them as is.

It does not know requests. transformers' own cache copies everything at every token, and its
attention copies keys once per query head: together they cost more than the model itself on a CPU.
"""

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, Final

from rag_adapt.core.errors import SettingsError

if TYPE_CHECKING:
    import torch

ATTENTION: Final = "rag_adapt_grouped"
HEADROOM: Final = 64
"""Tokens that a buffer has free when it is made or grows."""
ATTENDING: Final = frozenset({"full_attention", "sliding_attention", "chunked_attention"})
"""Layer types whose whole past is keys and values, one per token."""


class LayerKeys:
    """Keys and values of one layer, shape (rows, heads, tokens, head size); see `Buffers`.

    It has the methods that a transformers cache asks of its layers.
    """

    is_sliding = False
    is_compileable = False
    is_initialized = True

    def __init__(self) -> None:
        self.keys: torch.Tensor | None = None
        self.values: torch.Tensor | None = None
        self.rows = 0
        self.length = 0

    def update(
        self, keys: "torch.Tensor", values: "torch.Tensor", *_: Any, **__: Any
    ) -> tuple["torch.Tensor", "torch.Tensor"]:
        """Append tokens to every row; return views of all of them."""
        end = self.length + keys.shape[2]
        own_keys, own_values = self._room(keys, end)
        own_keys[: self.rows, :, self.length : end] = keys
        own_values[: self.rows, :, self.length : end] = values
        self.length = end
        return own_keys[: self.rows, :, :end], own_values[: self.rows, :, :end]

    def get_seq_length(self) -> int:
        """Tokens per row."""
        return self.length

    def get_mask_sizes(self, query_length: int) -> tuple[int, int]:
        """Tokens after the next ones are appended, and the first one's offset."""
        return self.length + query_length, 0

    def get_max_length(self) -> int:
        """No bound."""
        return -1

    def _room(self, like: "torch.Tensor", end: int) -> tuple["torch.Tensor", "torch.Tensor"]:
        if self.keys is None or self.values is None:
            self.rows = like.shape[0]
            shape = (like.shape[0], like.shape[1], end + HEADROOM, like.shape[3])
            self.keys, self.values = like.new_zeros(shape), like.new_zeros(shape)
        elif end > self.keys.shape[2]:
            self.resize(self.keys.shape[0], end + max(HEADROOM, end // 4), shift=0)
        return self.keys, self.values

    def resize(self, rows: int, capacity: int, *, shift: int) -> None:
        """Copy into buffers of another size, the tokens `shift` places to the right."""
        assert self.keys is not None
        assert self.values is not None
        grown = []
        for old in (self.keys, self.values):
            new = old.new_zeros((rows, old.shape[1], capacity, old.shape[3]))
            kept = old[: self.rows, :, : self.length]
            new[: self.rows, :, shift : shift + self.length] = kept
            grown.append(new)
        self.keys, self.values = grown
        self.length += shift

    def adopt(self, other: "LayerKeys", rows: int) -> None:
        """Put another buffer's rows behind these, ending at the same token."""
        assert self.keys is not None
        assert self.values is not None
        assert other.keys is not None
        assert other.values is not None
        shift = max(0, other.length - self.length)
        end = self.length + shift
        if shift or self.rows + other.rows > self.keys.shape[0] or end > self.keys.shape[2]:
            self.resize(max(rows, self.rows + other.rows), end + HEADROOM, shift=shift)
        place = slice(self.rows, self.rows + other.rows)
        start = self.length - other.length
        for mine, theirs in ((self.keys, other.keys), (self.values, other.values)):
            mine[place, :, :start] = 0
            mine[place, :, start : self.length] = theirs[: other.rows, :, : other.length]
        self.rows += other.rows

    def drop(self, row: int) -> None:
        """Remove a row; the last one takes its place."""
        assert self.keys is not None
        assert self.values is not None
        last = self.rows - 1
        if row != last:
            self.keys[row, :, : self.length] = self.keys[last, :, : self.length]
            self.values[row, :, : self.length] = self.values[last, :, : self.length]
        self.rows = last


class Buffers:
    """Keys and values of all layers for a set of rows that end at the same token.

    Rows are aligned at their ends: shorter ones have unused tokens at the start, which the mask
    hides.
    """

    def __init__(self, layers: int) -> None:
        from transformers.cache_utils import Cache, CacheLayerMixin

        CacheLayerMixin.register(LayerKeys)
        self.layers = [LayerKeys() for _ in range(layers)]
        self.cache: Any = Cache(layers=self.layers)

    @property
    def length(self) -> int:
        return self.layers[0].length

    def adopt(self, other: "Buffers", rows: int) -> None:
        """Take over another set's rows; `rows` is how many to make room for."""
        for mine, theirs in zip(self.layers, other.layers, strict=True):
            mine.adopt(theirs, rows)

    def drop(self, row: int) -> None:
        """Remove a row; the last one takes its place."""
        for layer in self.layers:
            layer.drop(row)

    def start(self, prefixes: Sequence["Prefix | None"], width: int, room: int) -> None:
        """Begin with every row's prefix, ending at token `width`, with room for more tokens."""
        like = next(prefix for prefix in prefixes if prefix is not None)
        for number, layer in enumerate(self.layers):
            keys, _ = like.layers[number]
            shape = (len(prefixes), keys.shape[0], width + room, keys.shape[2])
            layer.keys, layer.values = keys.new_zeros(shape), keys.new_zeros(shape)
            layer.rows, layer.length = len(prefixes), width
            for row, prefix in enumerate(prefixes):
                if prefix is None:
                    continue
                own_keys, own_values = prefix.layers[number]
                layer.keys[row, :, width - prefix.length : width] = own_keys
                layer.values[row, :, width - prefix.length : width] = own_values

    def prefix(self, row: int, tokens: int) -> "Prefix":
        """A copy of a row's last keys and values."""
        layers = []
        for layer in self.layers:
            assert layer.keys is not None
            assert layer.values is not None
            span = slice(layer.length - tokens, layer.length)
            layers.append((layer.keys[row, :, span].clone(), layer.values[row, :, span].clone()))
        return Prefix(layers)


class Prefix:
    """Keys and values of a token sequence, per layer, shape (heads, tokens, head size)."""

    def __init__(self, layers: Sequence[tuple["torch.Tensor", "torch.Tensor"]]) -> None:
        self.layers = tuple(layers)
        self.length = int(self.layers[0][0].shape[1])
        self.bytes = sum(keys.nbytes + values.nbytes for keys, values in self.layers)

    def then(self, more: "Prefix") -> "Prefix":
        """These tokens followed by others that were computed after them."""
        import torch

        pairs = zip(self.layers, more.layers, strict=True)
        return Prefix(
            [
                (torch.cat([keys, next_keys], dim=1), torch.cat([values, next_values], dim=1))
                for (keys, values), (next_keys, next_values) in pairs
            ]
        )


def attention(
    module: Any,
    query: "torch.Tensor",
    key: "torch.Tensor",
    value: "torch.Tensor",
    attention_mask: "torch.Tensor | None",
    scaling: float | None = None,
    **others: Any,
) -> tuple["torch.Tensor", None]:
    """Attention of one new token per row, without copying keys once per query head.

    Query heads that share a key head are treated as several queries of that head. Longer queries
    go to the library's own function.

    Args:
        module: The attention layer; not used but by the library's own function.
        query: Shape (rows, query heads, new tokens, head size).
        key: Shape (rows, key heads, tokens, head size).
        value: As `key`.
        attention_mask: Shape (rows, 1, new tokens, tokens), or None.
        scaling: Of the products.
        others: Passed on.

    Returns:
        Shape (rows, new tokens, query heads, head size), and None.
    """
    import torch
    from transformers.integrations.sdpa_attention import sdpa_attention_forward

    rows, heads, tokens, size = query.shape
    if tokens != 1:
        result, _ = sdpa_attention_forward(
            module, query, key, value, attention_mask, scaling=scaling, **others
        )
        return result, None
    groups = query.view(rows, key.shape[1], heads // key.shape[1], size)
    found = torch.nn.functional.scaled_dot_product_attention(
        groups, key, value, attn_mask=attention_mask, scale=scaling
    )
    return found.reshape(rows, 1, heads, size), None


def prepare(model: Any) -> None:
    """Make a model use `attention`, and compute logits of a slice without copying its head.

    A linear layer given every row's last position, a slice that is not contiguous, copies its
    weights once per row: for a large vocabulary that takes longer than the whole prompt.

    Raises:
        SettingsError: some of its layers keep another kind of state than keys and values.
    """
    from transformers import AttentionInterface
    from transformers.masking_utils import AttentionMaskInterface, sdpa_mask

    config = model.config.get_text_config()
    if other := set(getattr(config, "layer_types", None) or ()) - ATTENDING:
        raise SettingsError(
            f"model type {config.model_type!r} has layers that this engine cannot batch: "
            f"{', '.join(sorted(other))}",
            hint="Name a model with attention layers only, or serve it with --engine remote.",
        )
    AttentionInterface.register(ATTENTION, attention)
    AttentionMaskInterface.register(ATTENTION, sdpa_mask)
    model.set_attn_implementation(ATTENTION)
    model.get_output_embeddings().register_forward_pre_hook(_contiguous)


def _contiguous(_: Any, inputs: tuple["torch.Tensor"]) -> tuple["torch.Tensor"]:
    return (inputs[0].contiguous(),)
