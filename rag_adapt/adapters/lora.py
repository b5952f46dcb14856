"""PEFT and the transformers Trainer: LoRA on all linear layers, loss on answer tokens alone.

It does not know items, stores or cards. Weights are float32, computation is in the base model's
number format.
"""

import math
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from random import Random
from typing import TYPE_CHECKING, Any, Final

from rag_adapt.adapters.card import LossPoint
from rag_adapt.adapters.check import WEIGHTS_FILE
from rag_adapt.adapters.pack import LIMIT, TokenRow, answer_losses, packs
from rag_adapt.adapters.plan import TrainPlan
from rag_adapt.core.errors import AdapterError, StorageError
from rag_adapt.core.protocols import Progress

if TYPE_CHECKING:
    import torch

NATS_PER_BIT: Final = math.log(2)
CHECKS: Final = 2
"""How often the held-out code length is measured after the first step, the end included."""
SAME: Final = 0.1
"""Mean difference in nats per token up to which packed and separate rows count as the same."""


@dataclass(frozen=True, kw_only=True)
class Adapted:
    """A base model with a fresh adapter in it."""

    peft: Any
    """A `peft.PeftModel`."""
    modules: frozenset[str]
    """Names of the base model's modules, as an adapter's tensors name them."""
    dtype: "torch.dtype"
    """Of the base model's weights and of the computation."""


@dataclass(frozen=True, kw_only=True)
class Fit:
    """What a training did."""

    losses: tuple[LossPoint, ...]
    before: float | None
    """Held-out bits per answer token under the base; None without dev rows."""
    after: float | None
    shared: bool
    """Whether rows were packed, their common beginning computed once."""


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
    return Adapted(peft=get_peft_model(model, config), modules=modules, dtype=model.dtype)


def fit(
    adapted: Adapted,
    plan: TrainPlan,
    rows: Sequence[TokenRow],
    dev: Sequence[TokenRow],
    *,
    folder: Path,
    progress: Progress,
) -> Fit:
    """Train, and measure the held-out code length before, half-way and after.

    Args:
        adapted: Changed in place.
        plan: Rates, passes and seed.
        rows: To train on.
        dev: Held out; may be empty.
        folder: For the Trainer; nothing is written there.
        progress: Stage `train`, one unit per optimizer step.

    Raises:
        AdapterError: the loss or the weights became infinite or undefined.
    """
    with fast_attention(adapted, [*rows, *dev]):
        shared = sharing_is_exact(adapted, rows)
        before = code_length(adapted, dev, shared=shared)
        watch = _Watch(
            adapted, dev, steps=plan.steps, shared=shared, bits=before, progress=progress
        )
        _trainer(adapted, plan, rows, folder, shared, watch).train()
    _refuse_divergence(adapted, plan, watch)
    return Fit(losses=tuple(watch.losses), before=before, after=watch.bits, shared=shared)


class _Watch:
    """Notes the losses, measures the code length now and then, and says how far it is."""

    def __init__(
        self,
        adapted: Adapted,
        dev: Sequence[TokenRow],
        *,
        steps: int,
        shared: bool,
        bits: float | None,
        progress: Progress,
    ) -> None:
        self.losses: list[LossPoint] = []
        self.bits = bits
        self._adapted, self._dev, self._shared = adapted, dev, shared
        self._steps, self._progress = steps, progress
        self._checks = {math.ceil(steps * part / CHECKS) for part in range(1, CHECKS + 1)}
        self._say()

    def step(self, loss: float) -> None:
        self.losses.append(LossPoint(step=len(self.losses) + 1, loss=round(loss, 5)))
        if len(self.losses) in self._checks:
            self.bits = code_length(self._adapted, self._dev, shared=self._shared)
        self._say()

    def _say(self) -> None:
        held_out = "" if self.bits is None else f"held-out {self.bits:.2f} bits/token"
        loss = f"loss {self.losses[-1].loss:.3f}" if self.losses else ""
        note = ", ".join(part for part in (loss, held_out) if part)
        self._progress.update("train", len(self.losses), self._steps, note)


def batches(plan: TrainPlan, rows: Sequence[TokenRow]) -> list[list[TokenRow]]:
    """The rows of every optimizer step: a seeded order of its own for each pass."""
    chance = Random(plan.seed)
    steps: list[list[TokenRow]] = []
    for _ in range(plan.epochs):
        order = list(rows)
        chance.shuffle(order)
        steps.extend(
            order[first : first + plan.batch_size]
            for first in range(0, len(order), plan.batch_size)
        )
    return steps


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

    Tried on two rows: a model with a window, with recurrence or with positions of its own kind
    would not, and is then trained row by row.
    """
    import torch

    pair = rows[:2]
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


def _refuse_divergence(adapted: Adapted, plan: TrainPlan, watch: _Watch) -> None:
    import torch

    parameters = [p for p in adapted.peft.parameters() if p.requires_grad]
    figures = [point.loss for point in watch.losses]
    if all(map(math.isfinite, figures)) and all(bool(torch.isfinite(p).all()) for p in parameters):
        return
    raise AdapterError(
        f"training {plan.name!r} diverged at learning rate {plan.learning_rate}",
        hint=f"Train again with a lower one: --lr {plan.learning_rate / 10:g}.",
    )


def _trainer(
    adapted: Adapted,
    plan: TrainPlan,
    rows: Sequence[TokenRow],
    folder: Path,
    shared: bool,
    watch: _Watch,
) -> Any:
    """A transformers Trainer whose step packs the rows and projects answer tokens alone."""
    import torch
    from transformers import PrinterCallback, Trainer, TrainingArguments

    class AnswerTrainer(Trainer):  # type: ignore[misc]  # transformers is not typed
        def training_step(
            self, model: Any, inputs: Mapping[str, Any], num_items_in_batch: Any = None
        ) -> torch.Tensor:
            model.train()
            step: Sequence[TokenRow] = inputs["rows"]
            answers = sum(len(row.answer) for row in step)
            total = torch.zeros(())
            for pack in packs(step, share=shared):
                with computing(adapted):
                    loss = answer_losses(model, pack, adapted.dtype).sum() / answers
                self.accelerator.backward(loss)
                total += loss.detach().cpu()
            watch.step(float(total))
            return total

    trainer = AnswerTrainer(
        model=adapted.peft,
        args=TrainingArguments(
            output_dir=str(folder),
            per_device_train_batch_size=1,  # one element of the data is one batch of rows
            num_train_epochs=1,  # all passes are in the data, each in its own order
            learning_rate=plan.learning_rate,
            lr_scheduler_type="constant",
            optim="adamw_torch",
            weight_decay=0.0,
            train_sampling_strategy="sequential",
            seed=plan.seed,
            use_cpu=adapted.peft.device.type == "cpu",
            save_strategy="no",
            logging_strategy="no",
            report_to="none",
            disable_tqdm=True,
            label_names=["rows"],
            remove_unused_columns=False,
            dataloader_pin_memory=False,
        ),
        train_dataset=batches(plan, rows),
        data_collator=lambda elements: {"rows": elements[0]},
    )
    trainer.remove_callback(PrinterCallback)
    return trainer
