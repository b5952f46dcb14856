"""Takes a training's steps with the transformers Trainer and leaves the best weights in place.

It does not know items, stores or cards.
"""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from random import Random
from typing import TYPE_CHECKING, Any

from rag_adapt.adapters import lora
from rag_adapt.adapters.card import DevPoint, LossPoint
from rag_adapt.adapters.checkpoint import Checkpoint, Unfinished
from rag_adapt.adapters.pack import TokenRow, answer_losses, packs
from rag_adapt.adapters.plan import TrainPlan
from rag_adapt.adapters.watch import KEEP_EVERY, Start, Watch
from rag_adapt.core.protocols import Progress

if TYPE_CHECKING:
    import torch


@dataclass(frozen=True, kw_only=True)
class Tokens:
    """What a training reads, as tokens."""

    rows: tuple[TokenRow, ...]
    """Of the skill."""
    general: tuple[TokenRow, ...] = ()
    """Mixed in, in batches of their own."""
    dev: tuple[TokenRow, ...] = ()
    """Held out; may be empty."""

    @property
    def all(self) -> tuple[TokenRow, ...]:
        return (*self.rows, *self.general, *self.dev)


@dataclass(frozen=True, kw_only=True)
class Fit:
    """What a training did."""

    losses: tuple[LossPoint, ...]
    start: Start
    after: float | None
    """Held-out bits per answer token under the weights that were kept; None without dev rows."""
    curve: tuple[DevPoint, ...]
    best_step: int
    """After which the kept weights stood."""
    seconds: float
    finite: bool
    """Whether losses and weights stayed so; otherwise the training diverged."""


def fit(
    adapted: lora.Adapted,
    plan: TrainPlan,
    tokens: Tokens,
    *,
    folder: Path,
    progress: Progress,
    unfinished: Unfinished | None = None,
    every: float = KEEP_EVERY,
    until: int | None = None,
    start: Start | None = None,
) -> Fit:
    """Train, going on from a checkpoint where there is one, and keep the best weights by dev.

    Args:
        adapted: Fresh from `lora.adapt`; changed in place.
        plan: Rates, passes and seed.
        tokens: Its rows.
        folder: For the Trainer; nothing is written there.
        progress: Stage `train`, one unit per optimizer step.
        unfinished: Where checkpoints are; None keeps none.
        every: Seconds between checkpoints.
        until: Stop after this step, measure, and leave a checkpoint; the weights stay those of
            that step. None goes to the end.
        start: What was measured before the first step, where that is known already.

    Raises:
        StorageError: a checkpoint could not be written.
    """
    import torch

    kept = None if unfinished is None else unfinished.read()
    if kept is not None and until is not None:
        kept = _usable(kept, until)
    with lora.fast_attention(adapted, tokens.all):
        if kept is not None:
            start = Start(shared=kept.figures.shared, before=kept.figures.before)
        optimizer = torch.optim.AdamW(
            list(lora.weights_of(adapted).values()), lr=plan.learning_rate, weight_decay=0.0
        )
        watch = Watch(
            adapted,
            optimizer,
            tokens.dev,
            start=start or measure(adapted, tokens),
            steps=plan.steps,
            unfinished=unfinished,
            every=every,
            progress=progress,
        )
        if kept is not None:
            watch.resume(kept)
        watch.begin()
        _train(adapted, plan, tokens, folder, optimizer, watch, until)
        return _finish(adapted, plan, watch, until)


def measure(adapted: lora.Adapted, tokens: Tokens) -> Start:
    """What is to be known before the first step."""
    shared = lora.sharing_is_exact(adapted, tokens.rows)
    return Start(shared=shared, before=lora.code_length(adapted, tokens.dev, shared=shared))


def batches(
    plan: TrainPlan, rows: Sequence[TokenRow], general: Sequence[TokenRow] = ()
) -> list[list[TokenRow]]:
    """The rows of every optimizer step: a seeded order of its own for each pass.

    General rows make batches of their own, put in at seeded places: long answers among short
    ones would otherwise drown those in the batch's mean.
    """
    chance, mixing = Random(plan.seed), Random(plan.seed)
    steps: list[list[TokenRow]] = []
    for _ in range(plan.epochs):
        own = _cut(rows, plan.batch_size, chance)
        for batch in _cut(general, plan.batch_size, mixing):
            own.insert(mixing.randint(0, len(own)), batch)
        steps.extend(own)
    return steps


def _cut(rows: Sequence[TokenRow], size: int, chance: Random) -> list[list[TokenRow]]:
    order = list(rows)
    chance.shuffle(order)
    return [order[first : first + size] for first in range(0, len(order), size)]


def _usable(kept: Checkpoint, until: int) -> Checkpoint | None:
    """A checkpoint from which step `until` can be measured."""
    paused = until in {point.step for point in kept.figures.pauses}
    return kept if paused or kept.figures.step <= until else None


def _train(
    adapted: lora.Adapted,
    plan: TrainPlan,
    tokens: Tokens,
    folder: Path,
    optimizer: "torch.optim.Optimizer",
    watch: Watch,
    until: int | None,
) -> None:
    todo = batches(plan, tokens.rows, tokens.general)[watch.done : until]
    if not todo:
        return
    try:
        _trainer(adapted, plan, todo, folder, optimizer, watch).train()
    except KeyboardInterrupt:
        watch.keep()
        raise


def _finish(adapted: lora.Adapted, plan: TrainPlan, watch: Watch, until: int | None) -> Fit:
    finite = _is_finite(adapted, watch)
    if until is None or not finite:
        watch.take_best()
        bits = watch.best_bits
    else:
        known = [point.bits for point in watch.pauses if point.step == until]
        bits = known[0] if known else watch.pause()
    return Fit(
        losses=watch.losses,
        start=watch.start,
        after=bits,
        curve=watch.curve,
        best_step=watch.best_step,
        seconds=watch.seconds,
        finite=finite,
    )


def _is_finite(adapted: lora.Adapted, watch: Watch) -> bool:
    import torch

    return all(math.isfinite(point.loss) for point in watch.losses) and all(
        bool(torch.isfinite(weight).all()) for weight in lora.weights_of(adapted).values()
    )


def _trainer(
    adapted: lora.Adapted,
    plan: TrainPlan,
    steps: list[list[TokenRow]],
    folder: Path,
    optimizer: "torch.optim.Optimizer",
    watch: Watch,
) -> Any:
    """A transformers Trainer whose step packs the rows and projects answer tokens alone."""
    import torch
    from transformers import PrinterCallback, Trainer, TrainerCallback

    class AnswerTrainer(Trainer):  # type: ignore[misc]  # transformers is not typed
        def training_step(
            self, model: Any, inputs: Mapping[str, Any], num_items_in_batch: Any = None
        ) -> torch.Tensor:
            model.train()
            step: Sequence[TokenRow] = inputs["rows"]
            answers = sum(len(row.answer) for row in step)
            total = torch.zeros(())
            for pack in packs(step, share=watch.start.shared):
                with lora.computing(adapted):
                    loss = answer_losses(adapted.peft, pack, adapted.dtype).sum() / answers
                self.accelerator.backward(loss)
                total += loss.detach().cpu()
            watch.computed(float(total))
            return total

    class Following(TrainerCallback):  # type: ignore[misc]  # transformers is not typed
        def on_step_begin(self, *_: Any, **__: Any) -> None:
            watch.starting()

        def on_pre_optimizer_step(self, *_: Any, **__: Any) -> None:
            watch.updating()

        def on_step_end(self, *_: Any, **__: Any) -> None:
            watch.updated()

    trainer = AnswerTrainer(
        model=adapted.peft,
        args=_arguments(adapted, plan, folder),
        train_dataset=steps,
        data_collator=lambda elements: {"rows": elements[0]},
        optimizers=(optimizer, None),
        callbacks=[Following()],
    )
    trainer.remove_callback(PrinterCallback)
    return trainer


def _arguments(adapted: lora.Adapted, plan: TrainPlan, folder: Path) -> Any:
    from transformers import TrainingArguments

    return TrainingArguments(
        output_dir=str(folder),
        per_device_train_batch_size=1,  # one element of the data is one batch of rows
        num_train_epochs=1,  # all passes are in the data, each in its own order
        learning_rate=plan.learning_rate,
        lr_scheduler_type="constant",
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
    )
