"""What to train an adapter on and how, decided and checked before any weights are loaded.

It does not know tokens or how training works.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from rag_adapt.adapters.card import DType, GeneralSource
from rag_adapt.adapters.check import RANKS
from rag_adapt.adapters.examples import TrainingRow, refuse_test, training_rows
from rag_adapt.adapters.store import check_name
from rag_adapt.core.errors import AdapterError
from rag_adapt.core.types import Item, LearnedFrom, Passage, content_hash
from rag_adapt.models.files import ModelFiles
from rag_adapt.models.loading import Device, choose_device, has_bfloat16
from rag_adapt.skills.skill import Skill

MOST_GENERAL: Final = 0.5


@dataclass(frozen=True, kw_only=True)
class Base:
    """The model to adapt."""

    name: str
    """As the user gave it."""
    path: Path
    """Folder with weights and tokenizer."""
    weights_hash: str
    device: str = "cpu"
    """`cpu` or `cuda`."""
    dtype: DType = "bfloat16"
    """What is computed in: `bfloat16` where the device has it."""
    four_bit: bool = False
    """Whether the weights are held in four bits while training; needs bitsandbytes."""

    @classmethod
    def of(
        cls,
        files: ModelFiles,
        *,
        device: Device = "auto",
        deterministic: bool = False,
        four_bit: bool = False,
    ) -> "Base":
        """What these files compute in on this machine, without loading them.

        Raises:
            SettingsError: CUDA was asked for and is not there.
        """
        place = choose_device(device)
        exact = deterministic or not has_bfloat16(place)
        return cls(
            name=files.name,
            path=files.path,
            weights_hash=files.weights,
            device=place,
            dtype="float32" if exact else "bfloat16",
            four_bit=four_bit,
        )


@dataclass(frozen=True, kw_only=True)
class TrainPlan:
    """One training.

    Raises:
        AdapterError: at construction, if a value is out of range, there is nothing to train on,
            or a row belongs to the test split.
    """

    name: str
    skill: str
    skill_hash: str
    """Content hash of the skill's data."""
    template_hash: str
    """Of the prompt template that rendered the rows."""
    rows: tuple[TrainingRow, ...]
    """Each pass goes through them in a seeded order of its own."""
    dev: tuple[TrainingRow, ...] = ()
    """For the held-out code length and the probe; never trained on."""
    with_context: bool = False
    """Whether the rows carry retrieved passages."""
    learned_from: LearnedFrom = "examples"
    """Where the rows came from."""
    general: tuple[TrainingRow, ...] = ()
    """General data: in batches of its own between the others, in every pass."""
    general_share: float = 0.0
    """Rows of general data wanted per row of the skill, 0 to 0.5."""
    general_sources: tuple[GeneralSource, ...] = ()
    gradient_checkpointing: bool = False
    """Compute activations again in the backward pass: half more time, far less memory."""
    rank: int = 8
    alpha: int = 16
    learning_rate: float = 5e-4
    """Constant."""
    epochs: int = 1
    batch_size: int = 4
    """Rows per optimizer step."""
    seed: int = 0

    def __post_init__(self) -> None:
        check_name(self.name)
        refuse_test([(row.item_id, row.split) for row in (*self.rows, *self.general, *self.dev)])
        if not self.rows:
            raise AdapterError(
                f"there is nothing to train adapter {self.name!r} on",
                hint="Use --examples 1 or more, and see `rag-adapt skills check SKILL`: the skill "
                "needs items with split train.",
            )
        if self.rank not in RANKS:
            raise AdapterError(
                f"rank {self.rank!r} is not one that servers accept",
                hint=f"Use --rank with one of {', '.join(map(str, RANKS))}.",
            )
        for name in ("epochs", "batch_size", "alpha"):
            if getattr(self, name) < 1:
                raise AdapterError(
                    f"{name} is {getattr(self, name)!r}", hint=f"Use at least 1 for {name}."
                )
        if not 0 < self.learning_rate <= 0.1:
            raise AdapterError(
                f"learning rate {self.learning_rate!r} is outside (0, 0.1]",
                hint="Use --lr between 1e-4 and 1e-3.",
            )
        if not 0 <= self.general_share <= MOST_GENERAL:
            raise AdapterError(
                f"general share {self.general_share!r} is outside 0 to {MOST_GENERAL}",
                hint="Use --general-share with 0, 0.01, 0.05 or 0.25.",
            )

    @property
    def steps(self) -> int:
        """Optimizer steps, those on general data included."""
        return self.epochs * sum(
            -(-len(rows) // self.batch_size) for rows in (self.rows, self.general)
        )


def items_hash(rows: Sequence[TrainingRow]) -> str:
    """Content hash of the ids of training items, in order."""
    return content_hash([row.item_id for row in rows])


def rows_hash(rows: Sequence[TrainingRow]) -> str:
    """Content hash of prompts and answers, in order."""
    return content_hash(
        [[[m.role, m.content] for m in row.messages] + [row.target] for row in rows]
    )


def plan_for(
    skill: Skill,
    items: Sequence[Item],
    *,
    name: str | None = None,
    passages: Mapping[str, tuple[Passage, ...]] | None = None,
    rank: int = 8,
    learning_rate: float = 5e-4,
    epochs: int = 1,
    batch_size: int = 4,
    seed: int = 0,
    extra: Sequence[TrainingRow] = (),
    learned_from: LearnedFrom = "examples",
    gradient_checkpointing: bool = False,
) -> TrainPlan:
    """Train on these items of a skill, by its template `prompt`, or `context` with passages.

    General data is added with `general.with_general`.

    Args:
        skill: Its dev items measure the held-out code length and make the probe.
        items: Training items, in order; see `examples.pick`.
        name: Of the adapter; default the skill's.
        passages: What retrieval found for each item id, dev items included: an adapter trained
            with context.
        rank: The scale alpha is twice the rank.
        learning_rate: Constant.
        epochs: Passes over the items.
        batch_size: Items per optimizer step.
        seed: Of the start and of the order.
        extra: Further rows, such as those made from the skill's documents.
        learned_from: Says whether rows are from items, from documents or from both.
        gradient_checkpointing: Trade time for memory.

    Raises:
        AdapterError: a test item was handed in, or a value is out of range.
        KeyError: passages were given and the skill has no template `context`.
    """
    template = skill.templates["prompt" if passages is None else "context"]
    used = {item.id for item in items}
    dev = [item for item in skill.items_of("dev") if item.id not in used]
    return TrainPlan(
        name=name or skill.name,
        skill=skill.name,
        skill_hash=skill.data_hash,
        template_hash=template.hash,
        rows=(*training_rows(items, template, labels=skill.labels, passages=passages), *extra),
        dev=training_rows(dev, template, labels=skill.labels, passages=passages),
        with_context=passages is not None,
        learned_from=learned_from,
        gradient_checkpointing=gradient_checkpointing,
        rank=rank,
        alpha=2 * rank,
        learning_rate=learning_rate,
        epochs=epochs,
        batch_size=batch_size,
        seed=seed,
    )
