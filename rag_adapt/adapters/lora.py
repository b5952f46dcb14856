"""PEFT: LoRA on all linear layers, how it computes, what it weighs and how it is written.

It does not know items, steps or cards. Weights are float32, computation is in the base model's
number format.
"""

import math
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from rag_adapt.adapters.check import WEIGHTS_FILE
from rag_adapt.adapters.pack import LIMIT, TokenRow, answer_losses, packs
from rag_adapt.adapters.plan import TrainPlan
from rag_adapt.core.errors import StorageError

if TYPE_CHECKING:
    import torch

NATS_PER_BIT: Final = math.log(2)
SAME: Final = 0.1
"""Mean difference in nats per token up to which packed and separate rows count as the same."""
TRIED: Final = 64
"""Prompt tokens of each row that this is tried on."""


@dataclass(frozen=True, kw_only=True)
class Adapted:
    """A base model with a fresh adapter in it."""

    peft: Any
    """A `peft.PeftModel`."""
    modules: frozenset[str]
    """Names of the base model's modules, as an adapter's tensors name them."""
    dtype: "torch.dtype"
    """Of the base model's weights and of the computation."""


def adapt(model: Any, plan: TrainPlan) -> Adapted:
    """Put a seeded adapter on all linear layers; it changes nothing yet.

    `model` itself is changed.
    """
    from peft import LoraConfig, TaskType, get_peft_model
    from transformers import set_seed

    modules = frozenset(name for name, _ in model.named_modules())
    set_seed(plan.seed)
    config = LoraConfig(
        r=plan.rank,
        lora_alpha=plan.alpha,
        lora_dropout=0.0,
        bias="none",
        target_modules="all-linear",
        task_type=TaskType.CAUSAL_LM,
    )
    peft = get_peft_model(model, config)
    if plan.gradient_checkpointing:
        peft.gradient_checkpointing_enable({"use_reentrant": False})
        peft.enable_input_require_grads()
    return Adapted(peft=peft, modules=modules, dtype=model.dtype)


def weights_of(adapted: Adapted) -> "dict[str, torch.Tensor]":
    """The adapter's own parameters, by name: what training changes."""
    return {
        name: parameter
        for name, parameter in adapted.peft.named_parameters()
        if parameter.requires_grad
    }


def copy_of(tensors: "Mapping[str, torch.Tensor]") -> "dict[str, torch.Tensor]":
    """Copies in main memory that later steps do not change."""
    return {name: tensor.detach().cpu().clone() for name, tensor in tensors.items()}


def put(tensors: "Mapping[str, torch.Tensor]", adapted: Adapted) -> None:
    """Give the adapter these weights; names as in `weights_of`."""
    import torch

    with torch.no_grad():
        for name, parameter in weights_of(adapted).items():
            parameter.copy_(tensors[name])


def code_length(adapted: Adapted, rows: Sequence[TokenRow], *, shared: bool) -> float | None:
    """Bits per answer token; None where there are no rows."""
    import torch

    if not rows:
        return None
    adapted.peft.eval()
    total = 0.0
    with torch.no_grad(), computing(adapted):
        for pack in packs(rows, share=shared):
            total += float(answer_losses(adapted.peft, pack, adapted.dtype).sum())
    return total / NATS_PER_BIT / sum(len(row.answer) for row in rows)


def sharing_is_exact(adapted: Adapted, rows: Sequence[TokenRow]) -> bool:
    """Whether this model gives packed rows the figures that they have alone.

    Tried on two rows, long prompts by their last tokens: a model with recurrence or with positions
    of its own kind would not, and is then trained row by row.
    """
    import torch

    pair = [TokenRow(prompt=row.prompt[-TRIED:], answer=row.answer) for row in rows[:2]]
    if len(pair) < 2:
        return False
    adapted.peft.eval()
    with torch.no_grad(), computing(adapted):
        together, apart = (
            torch.cat(
                [answer_losses(adapted.peft, p, adapted.dtype) for p in packs(pair, share=share)]
            )
            for share in (True, False)
        )
    return float((together - apart).abs().mean()) <= SAME


@contextmanager
def computing(adapted: Adapted) -> Iterator[None]:
    """Compute in the base model's number format while the adapter's weights stay float32."""
    import torch
    from peft.helpers import disable_input_dtype_casting

    with ExitStack() as stack:
        if adapted.dtype != torch.float32:
            stack.enter_context(torch.autocast(adapted.peft.device.type, dtype=adapted.dtype))
            stack.enter_context(disable_input_dtype_casting(adapted.peft))
        yield


@contextmanager
def fast_attention(adapted: Adapted, rows: Sequence[TokenRow]) -> Iterator[None]:
    """Attention by plain matrix products, where that is faster: short packs on a processor.

    The backward pass of torch's fused attention takes twice to three times as long there; plain
    products keep a matrix of tokens by tokens for every layer, so long rows stay with the fused.
    """
    model = adapted.peft.get_base_model()
    chosen = model.config._attn_implementation
    plain = model.device.type == "cpu" and max(row.tokens for row in rows) <= LIMIT
    if plain:
        model.set_attn_implementation("eager")
    try:
        yield
    finally:
        model.set_attn_implementation(chosen)


def save(adapted: Adapted, folder: Path, *, base_name: str) -> None:
    """Write weights and configuration as PEFT and vLLM read them, without this machine's paths.

    Raises:
        StorageError: they could not be written.
    """
    from peft import get_peft_model_state_dict
    from safetensors import SafetensorError
    from safetensors.torch import save_file

    state = get_peft_model_state_dict(adapted.peft, save_embedding_layers=False)
    weights = {name: tensor.detach().cpu().contiguous() for name, tensor in state.items()}
    try:
        save_file(weights, folder / WEIGHTS_FILE, metadata={"format": "pt"})
    except SafetensorError as exc:
        raise StorageError(
            f"cannot write {folder / WEIGHTS_FILE}: {exc}",
            hint="Free some space or choose another folder with --home, then train again.",
        ) from exc
    config = adapted.peft.peft_config["default"]
    config.base_model_name_or_path = base_name
    config.inference_mode = True
    config.save_pretrained(folder)
