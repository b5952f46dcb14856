"""Products in bfloat16 on a processor: weights laid out beforehand, what follows done in one go.

It does not know models. Nothing is approximated but by rounding.
"""

from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    import torch
    from torch import Tensor

OPERATIONS: Final = ("_is_mkldnn_bf16_supported", "_linear_pointwise", "_reorder_linear_weight")
"""Of torch, which does not promise to keep them: where one is missing, nothing is packed."""
STEP: Final = 64
"""Tokens computed together are rounded up to a multiple of it: each new size costs compiling."""


def packs() -> bool:
    """Whether torch has these operations, and this processor is one that they are made for."""
    import torch

    return all(hasattr(torch.ops.mkldnn, name) for name in OPERATIONS) and bool(
        torch.ops.mkldnn._is_mkldnn_bf16_supported()
    )


def rounded(numbers: "torch.Tensor") -> "Tensor":
    """In bfloat16, side by side."""
    import torch

    return numbers.detach().to(torch.bfloat16).contiguous()


class PackedLinear:
    """A product whose weights lie as the processor wants them; see `packs`.

    Args:
        weight: Shape (width of the output, width of the input).
        bias: Shape (width of the output,), or None.
    """

    def __init__(self, weight: "Tensor", bias: "Tensor | None" = None) -> None:
        import torch

        self._do = torch.ops.mkldnn._linear_pointwise
        self._weight = torch.ops.mkldnn._reorder_linear_weight(rounded(weight), None)
        self._bias = None if bias is None else rounded(bias)

    def __call__(self, states: "Tensor") -> "Tensor":
        """Of states, shape (n, width of the input): shape (n, width of the output)."""
        found: Tensor = self._do(states, self._weight, self._bias, "none", [], "")
        return found

    def gelu(self, states: "Tensor") -> "Tensor":
        """And then GELU: the exact form, not the one by tanh."""
        found: Tensor = self._do(states, self._weight, self._bias, "gelu", [], "none")
        return found

    def silu(self, states: "Tensor") -> "Tensor":
        """And then SiLU."""
        found: Tensor = self._do(states, self._weight, self._bias, "swish", [], "")
        return found

    def onto(self, base: "Tensor", states: "Tensor") -> "Tensor":
        """Added to a base."""
        found: Tensor = self._do.binary(states, base, self._weight, self._bias, "add")
        return found

    def times(self, other: "Tensor", states: "Tensor") -> "Tensor":
        """Multiplied by another."""
        found: Tensor = self._do.binary(states, other, self._weight, self._bias, "mul")
        return found
