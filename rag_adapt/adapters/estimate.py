"""Estimates the memory of a training before anything is loaded, and says what would fit.

It does not know how training works, only what it keeps at once. Everything is in bytes.
"""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Final

from rag_adapt.adapters.check import RANKS
from rag_adapt.adapters.fit import Tokens, batches
from rag_adapt.adapters.memory import available_memory
from rag_adapt.adapters.pack import LIMIT, packs
from rag_adapt.adapters.plan import Base, TrainPlan
from rag_adapt.core.errors import AdapterError

BYTES: Final = {"bfloat16": 2, "float16": 2, "float32": 4}
FOUR_BIT: Final = (4 + 0.127) / 8
"""Bytes of a weight in NF4 with double quantisation (Dettmers et al. 2023, QLoRA, section 3)."""
FIXED: Final = {"cpu": 100_000_000, "cuda": 200_000_000}
"""Bytes that libraries take at their first steps; measured on processors, cuBLAS's on GPUs."""
UNUSED: Final = {"cpu": 0.3, "cuda": 0.1}
"""Share of activations that allocators lose between tensors of different sizes; measured."""
SUGGESTIONS: Final = 3


@dataclass(frozen=True, kw_only=True)
class Shape:
    """What of a model decides how much memory training takes."""

    parameters: int
    linear: int
    """Of them, those in linear layers but for the output layer: what four bits make smaller."""
    sides: int
    """Inputs and outputs of those layers, summed: adapter parameters per rank."""
    modules: int
    """How many such layers there are."""
    hidden: int
    mlp: int
    layers: int
    heads: int
    vocabulary: int


@dataclass(frozen=True, kw_only=True)
class PackSize:
    """The length of one forward and backward pass."""

    tokens: int
    answers: int
    """Tokens whose probabilities over the vocabulary are computed."""


@dataclass(frozen=True, kw_only=True)
class Estimate:
    """What a training keeps in memory at its peak."""

    weights: int
    """The base model's."""
    adapter: int
    """Adapter weights, their gradients, AdamW's two moments and, in main memory, copies."""
    activations: int
    """Of the longest pack."""
    logits: int
    """Of its answer tokens, and their gradients."""
    overhead: int
    """What libraries and allocators take beside tensors."""

    @property
    def total(self) -> int:
        return self.weights + self.adapter + self.activations + self.logits + self.overhead


def shape_of(folder: Path) -> Shape | None:
    """The shape of a model, from its configuration alone; None where that does not give it."""
    import torch
    from transformers import AutoConfig, AutoModelForCausalLM

    try:
        config = AutoConfig.from_pretrained(folder)
        with torch.device("meta"):
            model = AutoModelForCausalLM.from_config(config)
    except (ValueError, OSError):  # loading says what is wrong with the files
        return None
    text = config.get_text_config()
    output = model.get_output_embeddings()
    layers = [
        module
        for module in model.modules()
        if isinstance(module, torch.nn.Linear) and module is not output
    ]
    hidden = int(text.hidden_size)
    return Shape(
        parameters=sum(parameter.numel() for parameter in model.parameters()),
        linear=sum(layer.weight.numel() for layer in layers),
        sides=sum(layer.in_features + layer.out_features for layer in layers),
        modules=len(layers),
        hidden=hidden,
        mlp=_number(text, "intermediate_size", 4 * hidden),
        layers=int(text.num_hidden_layers),
        heads=_number(text, "num_attention_heads", 1),
        vocabulary=int(text.vocab_size),
    )


def _number(config: Any, name: str, default: int) -> int:
    value = getattr(config, name, None)
    return value if isinstance(value, int) else default


def estimate(shape: Shape, plan: TrainPlan, base: Base, sizes: Iterable[PackSize]) -> Estimate:
    """Memory at the peak: the start of the backward pass of the largest pack.

    For every token a layer keeps, in the manner of Korthikanti et al. (2022, "Reducing activation
    recomputation in large transformer models", section 4) but for a layer without dropout, with
    gated MLP and frozen weights: two float32 copies of the residual for its norms; in the
    computing format both norms' outputs, queries, keys, values and the attention's output (6 x
    hidden), the MLP's gate, its activation, its other half and their product (4 x mlp) and each
    adapter's inner vector (rank); where attention is plain, scores over the pack in float32, and
    in the computing format again. With gradient checkpointing a layer keeps its input alone, and
    one layer at a time is computed in full.

    Args:
        shape: Of the base model.
        plan: Its rank and gradient checkpointing count.
        base: Number format, device and whether weights have four bits.
        sizes: Of the packs.
    """
    width = BYTES[base.dtype]
    small = int(shape.linear * FOUR_BIT) if base.four_bit else shape.linear * width
    copies = 0 if base.device == "cuda" else 5 * 4
    peak = max(sizes, key=lambda size: sum(_of_pack(shape, plan, base, size)))
    activations, logits = _of_pack(shape, plan, base, peak)
    return Estimate(
        weights=small + (shape.parameters - shape.linear) * width,
        adapter=plan.rank * shape.sides * (4 * 4 + copies),
        activations=activations,
        logits=logits,
        overhead=FIXED[base.device] + int(UNUSED[base.device] * (activations + logits)),
    )


def _of_pack(shape: Shape, plan: TrainPlan, base: Base, size: PackSize) -> tuple[int, int]:
    width = BYTES[base.dtype]
    plain = base.device == "cpu" and size.tokens <= LIMIT
    scores = shape.heads * size.tokens * (4 if width == 4 else 4 + width) if plain else 0
    inner = plan.rank * shape.modules // shape.layers
    layer = 8 * shape.hidden + width * (6 * shape.hidden + 4 * shape.mlp + inner) + scores
    if plan.gradient_checkpointing:
        token = shape.layers * width * shape.hidden + 2 * layer
    else:
        token = (shape.layers + 1) * layer  # one layer's gradients beside what all layers keep
    return size.tokens * token, size.answers * shape.vocabulary * (width + 4 * 4)


def pack_sizes(plan: TrainPlan, tokens: Tokens) -> list[PackSize]:
    """Of every pack that this training computes."""
    return [
        PackSize(tokens=len(pack.ids), answers=len(pack.answers))
        for step in batches(replace(plan, epochs=1), tokens.rows, tokens.general)
        for pack in packs(step, share=True)
    ]


def require_memory(
    plan: TrainPlan, tokens: Tokens, base: Base, *, available: int | None = None
) -> Estimate | None:
    """Stop before anything is loaded if the training would not fit.

    Args:
        plan: The training.
        tokens: Its rows.
        base: Where it runs.
        available: Bytes; default what the device has now.

    Returns:
        The estimate; None where the model's shape is not known before it is loaded.

    Raises:
        AdapterError: saying what is needed, what is there and what would fit.
    """
    there = available_memory(base.device) if available is None else available
    shape = shape_of(base.path)
    if shape is None:
        return None
    needed = estimate(shape, plan, base, pack_sizes(plan, tokens))
    if there is None or needed.total <= there:
        return needed
    place = "of GPU memory" if base.device == "cuda" else "of memory"
    moving = needed.activations + needed.logits + needed.overhead
    raise AdapterError(
        f"training {plan.name!r} needs about {_size(needed.total)} {place} (weights "
        f"{_size(needed.weights)}, adapter and optimizer {_size(needed.adapter)}, activations "
        f"{_size(moving)}); {_size(there)} is available",
        hint=_hint(shape, plan, tokens, base, there),
    )


def _hint(shape: Shape, plan: TrainPlan, tokens: Tokens, base: Base, there: int) -> str:
    fitting: list[str] = []
    for flags, smaller, on in _smaller(plan, base):
        needed = estimate(shape, smaller, on, pack_sizes(smaller, tokens)).total
        if needed <= there:
            fitting.append(f"{flags} (about {_size(needed)})")
    if fitting:
        return "These would fit: " + "; ".join(fitting[:SUGGESTIONS]) + "."
    return (
        "No setting would make it fit: choose a smaller model with --model, shorten the longest "
        "items, or use a machine with more memory."
    )


def _smaller(plan: TrainPlan, base: Base) -> Iterator[tuple[str, TrainPlan, Base]]:
    """Ways to need less, the harmless ones first, as the flags that ask for them."""
    alone = _smaller_plans(plan)
    yield from ((flags, smaller, base) for flags, smaller in alone)
    if base.device == "cuda" and not base.four_bit:
        four_bit = replace(base, four_bit=True)
        yield "--four-bit", plan, four_bit
        for flags, smaller in alone:
            yield f"--four-bit {flags}", smaller, four_bit


def _smaller_plans(plan: TrainPlan) -> Sequence[tuple[str, TrainPlan]]:
    one = replace(plan, batch_size=1)
    found = [("--batch-size 1", one)] if plan.batch_size > 1 else []
    if not plan.gradient_checkpointing:
        found.append(("--gradient-checkpointing", replace(plan, gradient_checkpointing=True)))
        both = replace(one, gradient_checkpointing=True)
        found.append(("--gradient-checkpointing --batch-size 1", both))
    for rank in sorted((rank for rank in RANKS if 4 <= rank < plan.rank), reverse=True):
        least = replace(one, gradient_checkpointing=True, rank=rank, alpha=2 * rank)
        found.append((f"--gradient-checkpointing --batch-size 1 --rank {rank}", least))
    return found


def _size(amount: int) -> str:
    return f"{amount / 1e9:.1f} GB" if amount >= 1e8 else f"{amount / 1e6:.1f} MB"
