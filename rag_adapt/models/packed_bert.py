"""Runs a BERT encoder on a processor, texts laid end to end: no padding, and no mask for it.

It does not know tokenizers, nor what becomes of the vectors. The numbers are those of the model
that it was made from, in another format and order: nothing is approximated but by rounding.
"""

from collections.abc import Sequence
from itertools import groupby
from typing import TYPE_CHECKING, Any

from rag_adapt.models.packed_linear import STEP, PackedLinear, packs, rounded

if TYPE_CHECKING:
    from torch import Tensor


class PackedBert:
    """The weights of a `BertModel`, arranged for products in bfloat16 on a processor.

    Args:
        model: A transformers `BertModel` that `fits`; it is not needed afterwards.
    """

    def __init__(self, model: Any) -> None:
        places = model.embeddings
        self.size = int(model.config.hidden_size)
        """Of a vector."""
        self._words = rounded(places.word_embeddings.weight)
        self._positions = rounded(
            places.position_embeddings.weight + places.token_type_embeddings.weight[0]
        )
        self._norm = _Norm(places.LayerNorm)
        self._layers = [_Layer(layer, model.config) for layer in model.encoder.layer]

    @staticmethod
    def fits(model: Any) -> bool:
        """Whether it is a plain BERT encoder, and this processor one that torch knows to use."""
        config = model.config
        return (
            type(model).__name__ == "BertModel"
            and config.hidden_act == "gelu"
            and not config.is_decoder
            and getattr(config, "position_embedding_type", "absolute") == "absolute"
            and packs()
        )

    def means(self, tokens: Sequence[Sequence[int]]) -> "Tensor":
        """The mean of each text's last states: float32, shape (n, d), not normalised.

        Args:
            tokens: Of each text, at least one and no more than the model has positions. Texts of
                one length side by side are computed at once.
        """
        import torch

        lengths = [len(each) for each in tokens]
        runs = [(length, len(list(same))) for length, same in groupby(lengths)]
        with torch.inference_mode():
            spare = [0] * (-sum(lengths) % STEP)
            ids = torch.tensor([*(number for each in tokens for number in each), *spare])
            places = torch.tensor([*(n for length in lengths for n in range(length)), *spare])
            states = self._norm(self._words[ids] + self._positions[places])
            for layer in self._layers:
                states = layer(states, runs)
            whole = states[: sum(lengths)].float()
            texts = torch.split(whole, lengths)
            return torch.stack([each.mean(0) for each in texts])


class _Layer:
    """Attention within each text, then what is done to each token alone."""

    def __init__(self, layer: Any, config: Any) -> None:
        import torch

        attention, inner = layer.attention, layer.attention.self
        three = (inner.query, inner.key, inner.value)
        self._heads = config.num_attention_heads
        self._asked = PackedLinear(
            torch.cat([each.weight for each in three]), torch.cat([each.bias for each in three])
        )
        self._joined = PackedLinear(attention.output.dense.weight, attention.output.dense.bias)
        self._attended = _Norm(attention.output.LayerNorm)
        self._widened = PackedLinear(layer.intermediate.dense.weight, layer.intermediate.dense.bias)
        self._narrowed = PackedLinear(layer.output.dense.weight, layer.output.dense.bias)
        self._done = _Norm(layer.output.LayerNorm)

    def __call__(self, states: "Tensor", runs: Sequence[tuple[int, int]]) -> "Tensor":
        found = self._attend(self._asked(states), runs)
        states = self._attended(self._joined.onto(states, found))
        return self._done(self._narrowed.onto(states, self._widened.gelu(states)))

    def _attend(self, asked: "Tensor", runs: Sequence[tuple[int, int]]) -> "Tensor":
        """Each token's look at its own text; `asked` has query, key and value side by side."""
        import torch
        from torch.nn.functional import scaled_dot_product_attention

        found, begin = [], 0
        for length, count in runs:
            end = begin + length * count
            query, key, value = (
                asked[begin:end].view(count, length, 3, self._heads, -1).permute(2, 0, 3, 1, 4)
            )
            seen = scaled_dot_product_attention(query, key, value)
            found.append(seen.transpose(1, 2).reshape(end - begin, -1))
            begin = end
        found.append(asked.new_zeros(len(asked) - begin, found[0].shape[1]))
        return torch.cat(found)


class _Norm:
    def __init__(self, norm: Any) -> None:
        self._weight, self._bias = rounded(norm.weight), rounded(norm.bias)
        self._size, self._epsilon = tuple(norm.normalized_shape), norm.eps

    def __call__(self, states: "Tensor") -> "Tensor":
        from torch.nn.functional import layer_norm

        return layer_norm(states, self._size, self._weight, self._bias, self._epsilon)
