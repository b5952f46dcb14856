"""The card of an adapter: what it was trained on, how, and what that cost.

It does not know how training works or where adapters are kept.
"""

from dataclasses import dataclass
from typing import Final, Literal, Self

from pydantic import BaseModel, ConfigDict, Field, model_validator

from rag_adapt.core.errors import AdapterError
from rag_adapt.core.types import LearnedFrom

DType = Literal["bfloat16", "float16", "float32"]
NAME_PATTERN = r"^[a-z0-9-]{3,48}$"
UNPUBLISHED = ""
"""The version of a card whose weights have not been hashed yet."""


class _Frozen(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class LossPoint(_Frozen):
    """The training loss of one step."""

    step: int
    loss: float
    """Mean over the answer tokens of the batch, in nats."""


class DevPoint(_Frozen):
    """The held-out code length after one step."""

    step: int
    bits: float
    """Per answer token of the dev items."""


class GeneralSource(_Frozen):
    """Where some of the general rows came from."""

    name: str
    """`base-answers` (the base model's own, to shipped prompts) or `skill:NAME`."""
    rows: int
    hash: str
    """Content hash of those rows: prompts and answers."""


class Trial(_Frozen):
    """One combination of knobs that a sweep tried."""

    rank: int
    learning_rate: float
    general_share: float
    steps: int
    """After which it was last measured."""
    bits: float | None
    """Held-out code length then, per answer token; None where the training diverged."""
    chosen: bool = False


class TrainingSettings(_Frozen):
    """The knobs of a training: everything but the data and the base model.

    Of an imported adapter rank and alpha are known; the rest is None.
    """

    rank: int
    alpha: int | float
    learning_rate: float | None
    epochs: int | None
    batch_size: int | None
    """Examples per optimizer step."""
    seed: int | None
    dtype: DType | None
    """What the forward pass computes in; the trained weights are float32."""
    device: str | None
    shared_prefix: bool | None
    """Whether the tokens that all prompts of a batch begin with were computed once per batch."""
    general_share: float = 0.0
    """Rows of general data per row of the skill."""
    general_hash: str = ""
    """Content hash of the general rows; empty where there were none."""
    data_hash: str = ""
    """Content hash of prompts and answers of the training rows and of the dev rows used."""
    gradient_checkpointing: bool = False
    """Whether activations were computed again in the backward pass to save memory."""
    four_bit: bool = False
    """Whether the base model's weights were held in four bits during training."""


class Imported(_Frozen):
    """What came with an adapter that was trained elsewhere: claims that nobody here checked."""

    claimed_base: str | None
    """The base model's name in its configuration; nothing was looked up by it."""
    claimed_peft: str | None
    """The version of PEFT that wrote it."""


@dataclass(frozen=True, kw_only=True)
class Trained:
    """What a training here took."""

    examples: int
    seconds: float
    seed: int


class Card(_Frozen):
    """Everything that a reader needs to judge an adapter, and a run to record it.

    Of an adapter that was imported, what nobody here knows is None.
    """

    schema_version: Literal[1] = 1
    name: str = Field(pattern=NAME_PATTERN)
    version: str = UNPUBLISHED
    """`name@sha12`; filled in by the store, which computes the hash."""
    skill: str
    imported: Imported | None = None
    """None: it was trained here."""
    skill_hash: str | None
    """Content hash of the skill's data at the time of training."""
    items_hash: str | None
    """Content hash of the ids of the training items, in order."""
    learned_from: LearnedFrom | None = "examples"
    """Whether rows came from the skill's examples, from its documents, or from both."""
    base_model: str
    """The base model's name as the user gave it."""
    weights_hash: str
    """Content hash of the base model's weights: an adapter fits no others. Of an imported one those
    that it was checked against and probed on."""
    chat_template_hash: str
    """Hash of the chat template that turned messages into tokens, here as in serving."""
    template_hash: str
    """Hash of the skill's prompt template: the one it was trained on or, imported, probed on. It is
    served with no other."""
    with_context: bool
    """Whether prompts carried retrieved passages; of an imported one, as whoever imported it said.
    """
    settings: TrainingSettings
    examples: int | None
    tokens: int | None
    """Tokens of prompts and answers over all epochs, shared ones counted for every example."""
    answer_tokens: int | None
    """Those of them that carried loss."""
    seconds: float | None
    """Training alone: without loading the model and without the probe."""
    peak_memory_bytes: int | None
    """Of the whole process during training; of the GPU where one was used."""
    size_bytes: int
    """Of the weights file."""
    loss_curve: tuple[LossPoint, ...]
    dev_examples: int
    """Of the held-out code length; 0 where it was not measured."""
    dev_bits_before: float | None
    """Held-out code length in bits per answer token under the base; None without dev items."""
    dev_bits_after: float | None
    """The same under the adapter."""
    dev_curve: tuple[DevPoint, ...] = ()
    """Held-out code length at the checks, in order of steps; the start is `dev_bits_before`."""
    best_step: int | None = None
    """The step whose weights were kept: the lowest held-out code length; 0 is the untrained start,
    kept where no check was better than the base. Without dev items it is the last one. None on
    cards from before there was a choice."""
    general: tuple[GeneralSource, ...] = ()
    """What was mixed in; `examples`, `tokens` and `answer_tokens` do not count it."""
    sweep: tuple[Trial, ...] = ()
    """What was tried on dev before this training, if anything was."""
    libraries: dict[str, str]
    """Versions of what computed it."""
    created: str
    """UTC, ISO 8601: of the training, or of the import."""

    @model_validator(mode="after")
    def _known(self) -> Self:
        known = {**dict(self), **dict(self.settings)}
        missing = [key for key in _OF_TRAINING if known[key] is None]
        if self.imported is None and missing:
            raise ValueError(f"the card of a training has no {', '.join(missing)}")
        return self

    def trained(self) -> Trained:
        """What the training took.

        Raises:
            AdapterError: it was not trained here.
        """
        examples, seconds, seed = self.examples, self.seconds, self.settings.seed
        if examples is None or seconds is None or seed is None:
            raise AdapterError(
                f"adapter {self.version!r} was imported: nobody here knows its training",
                hint=f"Train one: `rag-adapt adapters train {self.skill}`.",
            )
        return Trained(examples=examples, seconds=seconds, seed=seed)


_OF_TRAINING: Final = (
    "skill_hash",
    "items_hash",
    "learned_from",
    "examples",
    "tokens",
    "answer_tokens",
    "seconds",
    "peak_memory_bytes",
    "learning_rate",
    "epochs",
    "batch_size",
    "seed",
    "dtype",
    "device",
    "shared_prefix",
)
"""What the card of a training holds, and that of an import does not."""
