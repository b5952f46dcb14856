"""Runs a Llama model on a processor: rows of any length without padding, few and joined operations.

It does not know requests, tokenizers or adapters' files. The numbers are those of the model that it
was made from, in another format and order: nothing is approximated but by rounding. transformers'
own forward pass does in fifty operations per layer what takes fifteen here, and computes padding.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any, Final, Protocol

from rag_adapt.models.packed_linear import STEP, PackedLinear, packs, rounded

if TYPE_CHECKING:
    from torch import Tensor

HEAD: Final = "lm_head"
"""The name of the product that makes logits."""


class Delta(Protocol):
    """What an adapter adds to one product."""

    @property
    def active(self) -> bool:
        """Whether it adds anything for the present rows."""
        ...

    def add(self, states: "Tensor", result: "Tensor", rows: "Tensor | None") -> None:
        """Add in place.

        Args:
            states: What is multiplied, shape (n, width of the input).
            result: The product, shape (n, width of the output).
            rows: Each token's row in the batch, shape (n,); None where there is one token per row.
        """
        ...


class PackedLlama:
    """The weights of a `LlamaForCausalLM`, arranged for products in bfloat16 on a processor.

    Called as the model itself is, with a cache whose layers append keys and values by `update`.

    Args:
        model: A transformers model that `fits`.
        instead: Whether it takes the model's place: the weights of each product are given up once
            they are packed, so that memory does not hold them twice, and the model can still be
            looked at, but no longer called.
    """

    def __init__(self, model: Any, *, instead: bool = False) -> None:
        inner, config = model.model, model.config
        self._words = inner.embed_tokens
        self._rotation = inner.rotary_emb
        self._layers = []
        for number, each in enumerate(inner.layers):
            self._layers.append(_Layer(each, number))
            if instead:
                _give_up(each)
        self._norm = _Norm(inner.norm)
        self._head = PackedLinear(model.lm_head.weight)
        if instead:
            _give_up(model.lm_head)
            _let_go(model)
        self._shape = _Shape(config)
        self._deltas: dict[str, Delta] = {}

    @staticmethod
    def fits(model: Any) -> bool:
        """Whether it is a plain Llama in bfloat16, on a processor that torch knows to use."""
        import torch

        config = model.config
        return (
            type(model).__name__ == "LlamaForCausalLM"
            and model.dtype == torch.bfloat16
            and model.device.type == "cpu"
            and config.hidden_act == "silu"
            and set(getattr(config, "layer_types", None) or ()) <= {"full_attention"}
            and model.lm_head.bias is None
            and packs()
        )

    def adapt(self, deltas: Mapping[str, Delta]) -> None:
        """Say what adapters add, by the product's name inside the model."""
        self._deltas = dict(deltas)

    def __call__(
        self,
        *,
        input_ids: "Tensor",
        attention_mask: "Tensor",
        position_ids: "Tensor",
        past_key_values: Any,
        logits_to_keep: int = 1,
        **_: Any,
    ) -> Any:
        """Compute rows that are aligned at their ends.

        Args:
            input_ids: Shape (rows, tokens).
            attention_mask: Shape (rows, past + tokens): 1 where a row has a token.
            position_ids: As `input_ids`.
            past_key_values: `layers`, each with the keys and values of `past` tokens.
            logits_to_keep: Last tokens whose logits are wanted; each row has so many.

        Returns:
            `logits`, shape (rows, logits_to_keep, vocabulary).
        """
        deltas = {name: delta for name, delta in self._deltas.items() if delta.active}
        batch = _Batch.of(input_ids, attention_mask)
        states = self._words(batch.packed(input_ids))
        batch.rotate(*self._rotation(states, batch.packed(position_ids).unsqueeze(0)))
        for layer, past in zip(self._layers, past_key_values.layers, strict=True):
            states = layer(states, batch, self._shape, past, deltas)
        ends = self._norm(states[batch.last(logits_to_keep)])
        logits = self._head(ends)
        if HEAD in deltas:
            rows = None if batch.rows is None else batch.rows[batch.last(logits_to_keep)]
            deltas[HEAD].add(ends, logits, rows)
        return SimpleNamespace(logits=logits.view(len(input_ids), logits_to_keep, -1))


class _Shape:
    """Of queries, keys and values."""

    def __init__(self, config: Any) -> None:
        self.heads = int(config.num_attention_heads)
        self.key_heads = int(config.num_key_value_heads)
        self.size = int(getattr(config, "head_dim", None) or config.hidden_size // self.heads)
        self.scaling = self.size**-0.5
        self.queries = self.heads * self.size
        """Width of all queries of a token."""
        self.keys = self.key_heads * self.size
        """Width of all keys of a token, and of all values."""

    def parted(self, asked: "Tensor") -> "tuple[Tensor, ...]":
        """Queries, keys and values, which lie side by side in the last dimension."""
        import torch

        return torch.split(asked, [self.queries, self.keys, self.keys], dim=-1)


@dataclass(kw_only=True)
class _Batch:
    """Where the tokens of a pass lie: side by side for what is done to each of them alone."""

    count: int
    """Rows."""
    width: int
    """Tokens of the longest row."""
    index: "Tensor | None"
    """Places of tokens among rows * width; None where every place has one."""
    rows: "Tensor | None"
    """Row of each token, with those that fill up; None where there is one token per row."""
    ends: "Tensor"
    """Place of each row's last token among tokens side by side."""
    spare: int
    """Tokens that fill up to a size that was compiled before."""
    hidden: "Tensor | None"
    """To add to products of queries and keys, shape (rows, 1, tokens, past + tokens)."""
    cosine: Any = None
    sine: Any = None

    @classmethod
    def of(cls, ids: "Tensor", mask: "Tensor") -> "_Batch":
        import torch

        count, width = ids.shape
        seen = mask.bool()
        here = seen[:, -width:]
        sizes = here.sum(1)
        total = int(sizes.sum())
        whole = total == count * width
        index = None if whole else here.reshape(-1).nonzero().squeeze(1)
        spare = 0 if width == 1 else -total % STEP
        rows = None
        if width > 1:
            rows = torch.repeat_interleave(torch.arange(count), sizes)
            rows = torch.nn.functional.pad(rows, (0, spare))
        return cls(
            count=count,
            width=width,
            index=index,
            rows=rows,
            ends=sizes.cumsum(0) - 1,
            spare=spare,
            hidden=_hidden(seen, width),
        )

    def packed(self, table: "Tensor") -> "Tensor":
        """Entries of the tokens, side by side; `table` has shape (rows, tokens)."""
        import torch

        flat = table.reshape(-1)
        if self.index is not None:
            flat = flat[self.index]
        return torch.nn.functional.pad(flat, (0, self.spare))

    def spread(self, states: "Tensor") -> "Tensor":
        """Of tokens side by side: rows beside one another, shape (rows, tokens, ...)."""
        real = states[: len(states) - self.spare]
        if self.index is not None:
            places = real.new_zeros(self.count * self.width, real.shape[1])
            real = places.index_copy_(0, self.index, real)
        return real.view(self.count, self.width, -1)

    def gathered(self, states: "Tensor") -> "Tensor":
        """The other way: of shape (rows, tokens, width), tokens side by side."""
        import torch

        flat = states.reshape(self.count * self.width, -1)
        if self.index is not None:
            flat = flat[self.index]
        return torch.nn.functional.pad(flat, (0, 0, 0, self.spare)) if self.spare else flat

    def last(self, keep: int) -> "Tensor":
        """Places of each row's last tokens among tokens side by side."""
        import torch

        back = torch.arange(keep - 1, -1, -1)
        return (self.ends.unsqueeze(1) - back).clamp_(min=0).view(-1)

    def rotate(self, cosine: "Tensor", sine: "Tensor") -> None:
        """Take over the rotation of each token's place, shapes (1, tokens, size of a head)."""
        import torch

        half = sine.shape[-1] // 2
        self.cosine = cosine[0].unsqueeze(1)
        self.sine = torch.cat([-sine[0, :, :half], sine[0, :, half:]], dim=1).unsqueeze(1)


def _hidden(seen: "Tensor", width: int) -> "Tensor | None":
    """Minus infinity where a token may not look: at later ones, and where there is nothing."""
    import torch

    if width == 1 and bool(seen.all()):
        return None
    places = seen.shape[1]
    may = seen.unsqueeze(1)
    if width > 1:
        own = torch.arange(places - width, places).unsqueeze(1)
        may = may & (torch.arange(places).unsqueeze(0) <= own)
    nothing = torch.zeros(may.shape, dtype=torch.bfloat16)
    return nothing.masked_fill_(~may, float("-inf")).unsqueeze(1)


class _Layer:
    """Attention, then what is done to each token alone."""

    def __init__(self, layer: Any, number: int) -> None:
        import torch

        attention, wide = layer.self_attn, layer.mlp
        three = (attention.q_proj, attention.k_proj, attention.v_proj)
        biased = three[0].bias is not None
        self._path = f"model.layers.{number}"
        self._first, self._second = (
            _Norm(layer.input_layernorm),
            _Norm(layer.post_attention_layernorm),
        )
        self._asked = PackedLinear(
            torch.cat([each.weight for each in three]),
            torch.cat([each.bias for each in three]) if biased else None,
        )
        self._joined = PackedLinear(attention.o_proj.weight, attention.o_proj.bias)
        self._gate = PackedLinear(wide.gate_proj.weight, wide.gate_proj.bias)
        self._up = PackedLinear(wide.up_proj.weight, wide.up_proj.bias)
        self._down = PackedLinear(wide.down_proj.weight, wide.down_proj.bias)

    def __call__(
        self,
        states: "Tensor",
        batch: _Batch,
        shape: _Shape,
        past: Any,
        deltas: Mapping[str, Delta],
    ) -> "Tensor":
        normal = self._first(states)
        asked = self._asked(normal)
        if deltas:
            names = ("q_proj", "k_proj", "v_proj")
            for name, part in zip(names, shape.parted(asked), strict=True):
                self._add(f"self_attn.{name}", deltas, normal, part, batch)
        seen = self._attend(asked, batch, shape, past)
        states = self._joined.onto(states, seen)
        self._add("self_attn.o_proj", deltas, seen, states, batch)
        normal = self._second(states)
        wide = self._widened(normal, batch, deltas)
        states = self._down.onto(states, wide)
        self._add("mlp.down_proj", deltas, wide, states, batch)
        return states

    def _widened(self, normal: "Tensor", batch: _Batch, deltas: Mapping[str, Delta]) -> "Tensor":
        names = ("mlp.gate_proj", "mlp.up_proj")
        if not any(f"{self._path}.{name}" in deltas for name in names):
            return self._up.times(self._gate.silu(normal), normal)
        from torch.nn.functional import silu

        gate, up = self._gate(normal), self._up(normal)
        for name, found in zip(names, (gate, up), strict=True):
            self._add(name, deltas, normal, found, batch)
        return silu(gate, inplace=True).mul_(up)

    def _add(
        self,
        name: str,
        deltas: Mapping[str, Delta],
        states: "Tensor",
        result: "Tensor",
        batch: _Batch,
    ) -> None:
        delta = deltas.get(f"{self._path}.{name}") if deltas else None
        if delta is not None:
            delta.add(states, result, batch.rows)

    def _attend(self, asked: "Tensor", batch: _Batch, shape: _Shape, past: Any) -> "Tensor":
        """Each token's look at its own row; `asked` has queries, keys and values side by side."""
        import torch
        from torch.nn.functional import scaled_dot_product_attention

        both = asked[:, : shape.queries + shape.keys].view(len(asked), -1, shape.size)
        turned = both * batch.cosine
        both.copy_(turned.addcmul_(torch.roll(both, shape.size // 2, -1), batch.sine))
        query, key, value = (
            torch.unflatten(part, -1, (-1, shape.size)).transpose(1, 2)
            for part in shape.parted(batch.spread(asked))
        )
        key, value = past.update(key, value)
        if batch.width == 1:  # query heads that share a key head are several queries of that head
            groups = query.reshape(batch.count, shape.key_heads, -1, shape.size)
            seen = scaled_dot_product_attention(
                groups, key, value, attn_mask=batch.hidden, scale=shape.scaling
            )
            return seen.reshape(batch.count, -1)
        seen = scaled_dot_product_attention(
            query, key, value, attn_mask=batch.hidden, scale=shape.scaling, enable_gqa=True
        )
        return batch.gathered(seen.transpose(1, 2))


def _give_up(part: Any) -> None:
    """Leave products their shape and format, which adapters ask for, and no weights."""
    import torch

    products: list[Any] = [each for each in part.modules() if isinstance(each, torch.nn.Linear)]
    for module in products:
        nothing = module.weight.new_zeros(1, 1).expand(module.weight.shape)
        module.weight = torch.nn.Parameter(nothing, requires_grad=False)
        module.forward = _given_up


def _let_go(model: Any) -> None:
    """Copy what is kept, so that the file that it was read from is no longer mapped as a whole."""
    for weight in model.parameters():
        if weight.untyped_storage().nbytes() > weight.nbytes:
            weight.data = weight.data.clone()


def _given_up(*_: Any, **__: Any) -> None:
    raise RuntimeError("the weights of this model were given up for the packed ones")


class _Norm:
    """Root mean square normalisation (Zhang and Sennrich 2019)."""

    def __init__(self, norm: Any) -> None:
        self._weight = rounded(norm.weight).clone()  # not a view of the file: see `_let_go`
        self._epsilon = norm.variance_epsilon

    def __call__(self, states: "Tensor") -> "Tensor":
        from torch.nn.functional import rms_norm

        return rms_norm(states, self._weight.shape, self._weight, self._epsilon)
