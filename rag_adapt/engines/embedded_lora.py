"""LoRA for rows with different adapters: two matrix products per layer, however many there are.

It does not know files or requests. All adapters of a batch are laid side by side as one wide
adapter; what a row's own adapter did not produce is multiplied by zero. (PEFT's own way computes
every adapter's rows apart, in every layer.)
"""

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import torch

Parts = tuple[tuple[str, int, float], ...]
"""Of the adapters that a layer has: name, rank, scaling."""


class Mix:
    """Which adapter each row of the present batch uses.

    Args:
        base: The name of rows without adapter.
    """

    def __init__(self, base: str) -> None:
        self._base = base
        self._rows: list[str] = []
        self._gates: dict[Parts, torch.Tensor | None] = {}
        self.names: tuple[str, ...] = ()
        """Adapters laid side by side: those of the rows, and maybe some more."""

    def use(self, rows: Sequence[str]) -> None:
        """Say what the next pass computes.

        Adapters that are side by side stay so while at least half of them are needed: putting
        them together takes longer than a few columns more.
        """
        if list(rows) == self._rows:
            return
        self._rows = list(rows)
        self._gates = {}
        wanted = set(rows) - {self._base}
        if not wanted <= set(self.names) or len(self.names) > 2 * len(wanted):
            self.names = tuple(sorted(wanted))

    def forget(self, name: str) -> None:
        """An adapter is gone: what was put together with it must not be used again."""
        if name in self.names:
            self.names, self._rows, self._gates = (), [], {}

    def gate(self, parts: Parts, like: "torch.Tensor") -> "torch.Tensor | None":
        """Scaling where a row's adapter has its columns and 0 elsewhere, shape (rows, columns).

        None where every row uses the only adapter.
        """
        if parts not in self._gates:
            self._gates[parts] = self._gate(parts, like)
        return self._gates[parts]

    def _gate(self, parts: Parts, like: "torch.Tensor") -> "torch.Tensor | None":
        if len(parts) == 1 and all(row == parts[0][0] for row in self._rows):
            return None
        table = {
            row: [
                value
                for name, rank, scaling in parts
                for value in [scaling if name == row else 0.0] * rank
            ]
            for row in set(self._rows)
        }
        return like.new_tensor([table[row] for row in self._rows])


class RowLora:
    """Takes the place of a PEFT LoRA layer's `forward`.

    Args:
        layer: The PEFT layer: a linear one with plain LoRA.
        mix: Shared by all layers.
    """

    def __init__(self, layer: Any, mix: Mix) -> None:
        self._layer = layer
        self._mix = mix
        self._names: tuple[str, ...] = ()
        self._parts: Parts = ()
        self._down: torch.Tensor | None = None
        self._up: torch.Tensor | None = None

    def __call__(self, x: "torch.Tensor", *_: Any, **__: Any) -> "torch.Tensor":
        """Apply the base layer and every row's own adapter.

        Args:
            x: Shape (rows, tokens, width).

        Returns:
            Shape (rows, tokens, width of the output).
        """
        import torch

        result: torch.Tensor = self._layer.base_layer(x)
        if self.active:
            own = torch.arange(len(x), device=x.device)
            rows = own.repeat_interleave(x.shape[1]) if x.shape[1] > 1 else None
            self.add(x.flatten(0, 1), result.view(-1, result.shape[-1]), rows)
        return result

    @property
    def active(self) -> bool:
        """Whether an adapter of the present rows changes this layer."""
        if self._names != self._mix.names:
            self._assemble()
        return self._down is not None

    def add(
        self, states: "torch.Tensor", result: "torch.Tensor", rows: "torch.Tensor | None"
    ) -> None:
        """See `rag_adapt.models.packed_llama.Delta`; the layer is `active`."""
        import torch

        assert self._down is not None
        assert self._up is not None
        inner = torch.nn.functional.linear(states, self._down)
        gate = self._mix.gate(self._parts, inner)
        if gate is None:
            inner *= self._parts[0][2]
        else:
            inner *= gate if rows is None else gate[rows]
        result.addmm_(inner, self._up.t())

    def _assemble(self) -> None:
        """Lay the adapters that are needed and that this layer has side by side."""
        import torch

        layer, self._names = self._layer, self._mix.names
        here = [name for name in self._names if name in layer.lora_A]
        self._parts = tuple((name, layer.r[name], layer.scaling[name]) for name in here)
        if not here:
            self._down = self._up = None
            return
        downs = [layer.lora_A[name].weight for name in here]
        ups = [layer.lora_B[name].weight for name in here]
        self._down = downs[0] if len(here) == 1 else torch.cat(downs, dim=0)
        self._up = ups[0] if len(here) == 1 else torch.cat(ups, dim=1)


def plain_linear(layer: Any) -> bool:
    """Whether a PEFT layer is a linear one with plain LoRA, which `RowLora` computes."""
    from torch.nn import Linear

    return isinstance(layer.base_layer, Linear) and not (
        layer.lora_variant or any(getattr(layer, "lora_bias", {}).values())
    )
