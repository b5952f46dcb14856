"""Runs the model over rows: prompts at once, then one token per row and step.

It does not know requests, adapters' files or the event loop: a row is tokens and an adapter's name.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

from rag_adapt.engines.embedded_kv import Buffers, Prefix, prepare

if TYPE_CHECKING:
    import numpy as np
    import torch

WIDE: Final = 3072
"""Prompt tokens computed in one forward pass; longer prompts take several."""
Forward = Callable[..., Any]


@dataclass(frozen=True, kw_only=True)
class Prompt:
    """A row to compute."""

    tokens: "np.ndarray"
    adapter: str
    """The adapter's name inside PEFT; `__base__` for none."""
    prefix: Prefix | None = None
    """Keys and values of its first tokens, where they are known."""

    @property
    def known(self) -> int:
        return 0 if self.prefix is None else self.prefix.length


@dataclass(kw_only=True)
class Filled:
    """Rows whose prompts are computed."""

    buffers: Any
    """`Buffers`, or in deterministic mode a `DynamicCache`."""
    mask: "torch.Tensor"
    """Shape (rows, tokens): 1 where a row has a token."""
    positions: list[int]
    """Per row, the position of its next token."""
    adapters: list[str]

    def join(self, other: "Filled", rows: int) -> None:
        """Take over other rows, aligned at their ends; `rows` is how many to make room for."""
        import torch

        self.buffers.adopt(other.buffers, rows)
        width = max(self.mask.shape[1], other.mask.shape[1])
        masks = [
            torch.nn.functional.pad(mask, (width - mask.shape[1], 0))
            for mask in (self.mask, other.mask)
        ]
        self.mask = torch.cat(masks)
        self.positions += other.positions
        self.adapters += other.adapters

    def drop(self, row: int) -> None:
        """Remove a row; the last one takes its place."""
        self.buffers.drop(row)
        last = len(self.positions) - 1
        self.mask[row] = self.mask[last]
        self.mask = self.mask[:last]
        self.positions[row], self.adapters[row] = self.positions[last], self.adapters[last]
        del self.positions[last], self.adapters[last]


class Runner:
    """Computes logits.

    Args:
        model: A transformers causal language model; given other attention unless `plain`.
        device: Where it is.
        plain: Deterministic mode: one row at a time, the library's own cache and attention, so
            that tokens equal those of its `generate`.
        wide: Prompt tokens computed in one forward pass.
    """

    def __init__(self, model: Any, *, device: str, plain: bool, wide: int = WIDE) -> None:
        self._model = model
        self._device = device
        self._plain = plain
        self._wide = wide
        config = model.config.get_text_config()
        self._layers = int(config.num_hidden_layers)
        heads = getattr(config, "num_key_value_heads", None) or config.num_attention_heads
        size = getattr(config, "head_dim", None) or config.hidden_size // config.num_attention_heads
        self.token_bytes = 2 * self._layers * heads * size * model.dtype.itemsize
        """Bytes of one token's keys and values."""
        if not plain:
            prepare(model)

    def fill(
        self, prompts: Sequence[Prompt], forward: Forward, keep: int = 1
    ) -> tuple[Filled, "torch.Tensor"]:
        """Compute prompts.

        Args:
            prompts: The rows; each has at least `keep` tokens beyond its prefix.
            forward: Calls the model with the adapters' names as `adapters`.
            keep: Last tokens whose logits are wanted.

        Returns:
            The rows, and logits of shape (rows, keep, vocabulary).
        """
        import torch

        ids, mask, positions = _align(prompts)
        adapters = [prompt.adapter for prompt in prompts]
        width, buffers = mask.shape[1] - ids.shape[1], self._buffers(prompts)
        cache = buffers if self._plain else buffers.cache
        logits = None
        for start, end in self._chunks(len(prompts), ids.shape[1], keep):
            logits = forward(
                adapters=adapters,
                input_ids=torch.from_numpy(ids[:, start:end]).to(self._device),
                attention_mask=torch.from_numpy(mask[:, : width + end]).to(self._device),
                position_ids=torch.from_numpy(positions[:, start:end]).to(self._device),
                past_key_values=cache,
                use_cache=True,
                logits_to_keep=keep,
            ).logits
        assert logits is not None
        filled = Filled(
            buffers=buffers,
            mask=torch.from_numpy(mask).to(self._device),
            positions=[len(prompt.tokens) for prompt in prompts],
            adapters=adapters,
        )
        return filled, logits

    def step(self, filled: Filled, tokens: Sequence[int], forward: Forward) -> "torch.Tensor":
        """Add one token per row; return logits of shape (rows, vocabulary)."""
        import torch

        ones = filled.mask.new_ones((len(tokens), 1))
        filled.mask = torch.cat([filled.mask, ones], dim=1)
        cache = filled.buffers if self._plain else filled.buffers.cache
        found = forward(
            adapters=filled.adapters,
            input_ids=torch.tensor(tokens, device=self._device).unsqueeze(1),
            attention_mask=filled.mask,
            position_ids=torch.tensor(filled.positions, device=self._device).unsqueeze(1),
            past_key_values=cache,
            use_cache=True,
        )
        filled.positions = [position + 1 for position in filled.positions]
        logits: torch.Tensor = found.logits[:, -1]
        return logits

    def _buffers(self, prompts: Sequence[Prompt]) -> Any:
        if self._plain:
            from transformers import DynamicCache

            return DynamicCache(config=self._model.config)
        buffers = Buffers(self._layers)
        width = max(prompt.known for prompt in prompts)
        if width:
            room = max(len(prompt.tokens) - prompt.known for prompt in prompts)
            buffers.start([prompt.prefix for prompt in prompts], width, room)
        return buffers

    def _chunks(self, rows: int, tokens: int, keep: int) -> list[tuple[int, int]]:
        """Spans of columns small enough for one pass; the last one holds the last `keep`."""
        size = max(1, self._wide // rows)
        starts = [0]
        while not self._plain and tokens - starts[-1] > size + keep:
            starts.append(starts[-1] + size)
        return list(zip(starts, [*starts[1:], tokens], strict=True))


def _align(prompts: Sequence[Prompt]) -> tuple["np.ndarray", "np.ndarray", "np.ndarray"]:
    """Ids, mask and positions, with both prefixes and the tokens after them aligned at their ends.

    Ids and positions have shape (rows, tokens to compute), the mask (rows, prefix + those).
    """
    import numpy as np

    width = max(prompt.known for prompt in prompts)
    most = max(len(prompt.tokens) - prompt.known for prompt in prompts)
    ids = np.zeros((len(prompts), most), dtype=np.int64)
    positions = np.zeros_like(ids)
    mask = np.zeros((len(prompts), width + most), dtype=np.int64)
    for row, prompt in enumerate(prompts):
        count = len(prompt.tokens) - prompt.known
        ids[row, most - count :] = prompt.tokens[prompt.known :]
        positions[row, most - count :] = np.arange(prompt.known, len(prompt.tokens))
        mask[row, width - prompt.known : width] = 1
        mask[row, width + most - count :] = 1
    return ids, mask, positions
