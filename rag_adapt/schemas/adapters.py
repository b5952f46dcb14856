"""Adapters on the wire: what to train, which one is current.

It does not know training or where adapters are kept.
"""

from typing import Annotated, Self

from pydantic import Field, StringConstraints, model_validator

from rag_adapt.adapters.card import NAME_PATTERN
from rag_adapt.core.types import LearnedFrom
from rag_adapt.schemas.orders import Count, Order, Seed, SkillName
from rag_adapt.schemas.runs import LearningRate, Rank
from rag_adapt.schemas.wire import Wire


class TrainRequest(Order):
    """What an adapter shall learn: the flags of `rag-adapt adapters train`."""

    skill: SkillName
    examples: Count | None = None
    """Training items, a seeded choice; default all."""
    learn_from: LearnedFrom = "examples"
    corpus_rows: Count | None = None
    """Rows made from documents, at most; default all."""
    context: bool = False
    """Whether it is trained with retrieved passages, for `rag+lora`."""
    rank: Rank = 8
    learning_rate: LearningRate = 5e-4
    general_share: Annotated[float, Field(ge=0, le=0.5)] = 0.0
    """Rows of general data per row of the skill."""
    sweep: bool = False
    """Whether rank, rate and general share are chosen on dev first."""
    budget: Annotated[float, Field(gt=0, le=50)] = 3.0
    """Of the sweep, in full trainings beside the final one."""
    seed: Seed = 0
    epochs: Annotated[int, Field(ge=1, le=100)] = 1
    batch_size: Annotated[int, Field(ge=1, le=256)] = 4
    """Items per optimizer step."""
    name: Annotated[str, StringConstraints(pattern=NAME_PATTERN)] | None = None
    """Of the adapter; default the skill's."""
    gradient_checkpointing: bool = False
    """Less memory, half more time."""
    four_bit: bool = False
    """Whether the base model is held in four bits; needs bitsandbytes and a GPU."""

    @model_validator(mode="after")
    def _one_source(self) -> Self:
        if self.context and self.learn_from != "examples":
            raise ValueError(
                "rows made from documents carry no passages: leave out context or learn_from"
            )
        return self


class Pointer(Wire):
    """Which version a name points to."""

    name: str
    current: str
    """`name@sha12`."""


class Removed(Wire):
    """What is gone."""

    version: str


class ResidentAdapter(Wire):
    """One adapter that the engine holds, proven."""

    version: str
    uses: int
    """Requests that it answers at this moment."""
    pinned: bool
    """Whether it stays however long nobody asks for it."""


class ResidentList(Wire):
    """`GET /v1/adapters/resident`: the least recently used first."""

    data: list[ResidentAdapter]


class TrainingStep(Wire):
    """One step of a training that runs or has run."""

    step: int
    """Steps taken; 0 before the first."""
    loss: float | None
    """Of this step, in nats per answer token; null before the first."""
    bits: float | None
    """Held-out bits per answer token, where they were measured anew; null elsewhere."""


class TrainingProgress(Wire):
    """`GET /v1/jobs/{id}/training`: what a training job has reported so far."""

    job: str
    steps: int
    """Of the whole training; 0 before it has begun."""
    data: list[TrainingStep]
    """In order; of a long training evenly chosen ones, and each where bits were measured."""
