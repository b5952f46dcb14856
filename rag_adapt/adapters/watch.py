"""Follows a training step by step: losses, held-out code length, the best weights, checkpoints.

It does not know how a step is computed or where checkpoints lie.
"""

import math
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Final

from rag_adapt.adapters import lora
from rag_adapt.adapters.card import DevPoint, LossPoint
from rag_adapt.adapters.checkpoint import Checkpoint, Figures, Unfinished
from rag_adapt.adapters.pack import TokenRow
from rag_adapt.adapters.said import STAGE, StepFigures, note_of
from rag_adapt.core.protocols import Progress
from rag_adapt.models.memory import hand_back

if TYPE_CHECKING:
    import torch

CHECKS: Final = 4
"""How often the held-out code length is measured after the first step, the end included."""
FEWEST_CHECKS: Final = 1
STEPS_PER_CHECK: Final = 6
"""Short trainings are measured less often: a check costs what a step or two cost."""
KEEP_EVERY: Final = 30.0
"""Seconds between checkpoints: what a killed training loses at most."""
HAND_BACK_EVERY: Final = 10.0
"""Seconds after which the memory that steps left behind is handed back: it grew by a third."""
WEIGHTS, BEST, FIRST, SECOND, COUNT, CHANCE, CUDA_CHANCE = (
    "weights/",
    "best/",
    "first/",
    "second/",
    "count/",
    "chance",
    "chance-cuda",
)


@dataclass(frozen=True, kw_only=True)
class Start:
    """What is measured before the first step."""

    shared: bool
    """Whether rows are packed."""
    before: float | None
    """Held-out bits per answer token under the base."""


@dataclass(frozen=True, kw_only=True)
class _HeldOut:
    curve: tuple[DevPoint, ...] = ()
    best_step: int | None
    best_bits: float | None
    best: "Mapping[str, torch.Tensor]"


def checks(steps: int) -> frozenset[int]:
    """The steps after which the held-out code length is measured."""
    count = min(CHECKS, max(FEWEST_CHECKS, steps // STEPS_PER_CHECK))
    return frozenset(math.ceil(steps * part / count) for part in range(1, count + 1))


class Watch:
    """Everything about a training but its steps.

    Args:
        adapted: The adapter in training; at its start, or as `resume` left it.
        optimizer: An AdamW over its weights.
        dev: Rows for the held-out code length; may be empty.
        start: What was measured before the first step.
        steps: Of the whole training.
        unfinished: Where checkpoints go; None keeps none.
        every: Seconds between them.
        progress: Stage `train`, one unit per step.
    """

    def __init__(
        self,
        adapted: lora.Adapted,
        optimizer: "torch.optim.Optimizer",
        dev: Sequence[TokenRow],
        *,
        start: Start,
        steps: int,
        unfinished: Unfinished | None,
        every: float,
        progress: Progress,
    ) -> None:
        self.start = start
        self.losses: tuple[LossPoint, ...] = ()
        self.pauses: tuple[DevPoint, ...] = ()
        self._adapted, self._optimizer, self._dev = adapted, optimizer, dev
        self._steps, self._checks = steps, checks(steps)
        self._unfinished, self._every, self._progress = unfinished, every, progress
        self._held_out = _HeldOut(
            best_step=None if start.before is None else 0,
            best_bits=start.before,
            best={} if start.before is None else lora.copy_of(lora.weights_of(adapted)),
        )
        self._began = self._saved = self._handed_back = time.perf_counter()
        self._chance: dict[str, torch.Tensor] = {}
        self._dice_to_put_back = False
        self._loss = math.nan
        self._whole = True
        """Whether weights and optimizer stand between two steps."""

    @property
    def done(self) -> int:
        """Steps taken."""
        return len(self.losses)

    @property
    def seconds(self) -> float:
        """Spent so far, over all starts."""
        return time.perf_counter() - self._began

    @property
    def curve(self) -> tuple[DevPoint, ...]:
        return self._held_out.curve

    @property
    def best_step(self) -> int:
        """The step with the lowest held-out code length; the last one where none is known."""
        best = self._held_out.best_step
        return self.done if best is None else best

    @property
    def best_bits(self) -> float | None:
        return self._held_out.best_bits

    def resume(self, kept: Checkpoint) -> None:
        """Put weights, optimizer and figures back to where they were."""
        figures, tensors = kept.figures, kept.tensors
        lora.put(_part(tensors, WEIGHTS), self._adapted)
        for name, parameter in lora.weights_of(self._adapted).items():
            self._optimizer.state[parameter] = {
                "step": tensors[COUNT + name].clone(),
                "exp_avg": tensors[FIRST + name].to(parameter.device, copy=True),
                "exp_avg_sq": tensors[SECOND + name].to(parameter.device, copy=True),
            }
        self._chance = {name: tensors[name] for name in (CHANCE, CUDA_CHANCE) if name in tensors}
        self._dice_to_put_back = True
        self.losses, self.pauses = figures.losses, figures.pauses
        self._held_out = self._remembered(kept)
        self._began = time.perf_counter() - figures.seconds

    def _remembered(self, kept: Checkpoint) -> _HeldOut:
        best_step, curve = kept.figures.best_step, kept.figures.curve
        if best_step == 0 or best_step is None:
            return replace(self._held_out, curve=curve)
        same = best_step == kept.figures.step
        return _HeldOut(
            curve=curve,
            best_step=best_step,
            best_bits=next(point.bits for point in curve if point.step == best_step),
            best=_part(kept.tensors, WEIGHTS if same else BEST),
        )

    def begin(self) -> None:
        """The first step is about to start, or to go on."""
        if self.done in self._checks and self.done not in {point.step for point in self.curve}:
            self._check()
        self._say(f"continued at step {self.done}" if self.done else "")

    def starting(self) -> None:
        """A step starts: the first one after a resumption sees the chance it would have seen."""
        import torch

        if not self._dice_to_put_back:
            return
        self._dice_to_put_back = False
        torch.set_rng_state(self._chance[CHANCE])
        if CUDA_CHANCE in self._chance:
            torch.cuda.set_rng_state(self._chance[CUDA_CHANCE])

    def computed(self, loss: float) -> None:
        """A step's loss, in nats per answer token; its gradients are there, its update is not."""
        self._loss = loss

    def updating(self) -> None:
        """The optimizer is about to change weights."""
        self._whole = False

    def updated(self) -> None:
        """A step is complete."""
        self._chance = _chance(self._adapted)
        self.losses = (*self.losses, LossPoint(step=self.done + 1, loss=round(self._loss, 5)))
        self._whole = True
        if self.done in self._checks:
            self._check()
        self._say()
        if time.perf_counter() - self._handed_back >= HAND_BACK_EVERY:
            hand_back()
            self._handed_back = time.perf_counter()
        if self._unfinished is not None and time.perf_counter() - self._saved >= self._every:
            self.keep()

    def pause(self) -> float | None:
        """Measure here, without a claim to be the best, and keep everything for later."""
        known = [point.bits for point in self.curve if point.step == self.done]
        bits = known[0] if known else self._measured()
        if bits is not None:
            self.pauses = (*self.pauses, DevPoint(step=self.done, bits=bits))
        self.keep()
        return bits

    def keep(self) -> None:
        """Write a checkpoint, unless a step was half taken.

        Raises:
            StorageError: it could not be written.
        """
        if self._unfinished is None or not self._whole or not self.done:
            return
        self._unfinished.write(Checkpoint(figures=self._figures(), tensors=self._tensors()))
        self._saved = time.perf_counter()

    def take_best(self) -> None:
        """Give the adapter its best weights."""
        if self._held_out.best_step not in (None, self.done):
            lora.put(self._held_out.best, self._adapted)

    def _measured(self) -> float | None:
        return lora.code_length(self._adapted, self._dev, shared=self.start.shared)

    def _check(self) -> None:
        bits = self._measured()
        if bits is None:
            return
        known = self._held_out
        curve = (*known.curve, DevPoint(step=self.done, bits=bits))
        if known.best_bits is not None and bits < known.best_bits:
            best = lora.copy_of(lora.weights_of(self._adapted))
            known = _HeldOut(best_step=self.done, best_bits=bits, best=best)
        self._held_out = replace(known, curve=curve)

    def _say(self, first: str = "") -> None:
        figures = StepFigures(
            loss=self.losses[-1].loss if self.losses else None,
            bits=self.curve[-1].bits if self.curve else self.start.before,
        )
        self._progress.update(STAGE, self.done, self._steps, note_of(figures, first))

    def _figures(self) -> Figures:
        return Figures(
            step=self.done,
            seconds=self.seconds,
            shared=self.start.shared,
            before=self.start.before,
            losses=self.losses,
            curve=self.curve,
            best_step=self._held_out.best_step,
            pauses=self.pauses,
        )

    def _tensors(self) -> "dict[str, torch.Tensor]":
        weights = lora.weights_of(self._adapted)
        states = {name: self._optimizer.state[weight] for name, weight in weights.items()}
        parts: dict[str, Mapping[str, torch.Tensor]] = {
            WEIGHTS: weights,
            FIRST: {name: state["exp_avg"] for name, state in states.items()},
            SECOND: {name: state["exp_avg_sq"] for name, state in states.items()},
            COUNT: {name: state["step"] for name, state in states.items()},
        }
        if self._held_out.best_step not in (None, 0, self.done):
            parts[BEST] = self._held_out.best
        named = {
            prefix + name: tensor for prefix, part in parts.items() for name, tensor in part.items()
        }
        return lora.copy_of({**named, **self._chance})


def _part(tensors: "Mapping[str, torch.Tensor]", prefix: str) -> "dict[str, torch.Tensor]":
    return {
        name.removeprefix(prefix): tensor
        for name, tensor in tensors.items()
        if name.startswith(prefix)
    }


def _chance(adapted: lora.Adapted) -> "dict[str, torch.Tensor]":
    import torch

    found = {CHANCE: torch.get_rng_state()}
    if adapted.peft.device.type == "cuda":
        found[CUDA_CHANCE] = torch.cuda.get_rng_state()
    return found
