"""The card of an adapter: what it was trained on, how, and what that cost.

It does not know how training works or where adapters are kept.
"""

from typing import Literal

from pydantic import BaseModel, ConfigDict, Field

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


class TrainingSettings(_Frozen):
    """The knobs of a training: everything but the data and the base model."""

    rank: int
    alpha: int
    learning_rate: float
    epochs: int
    batch_size: int
    """Examples per optimizer step."""
    seed: int
    dtype: DType
    """What the forward pass computes in; the trained weights are float32."""
    device: str
    shared_prefix: bool
    """Whether the tokens that all prompts of a batch begin with were computed once per batch."""


class Card(_Frozen):
    """Everything that a reader needs to judge an adapter, and a run to record it."""

    schema_version: Literal[1] = 1
    name: str = Field(pattern=NAME_PATTERN)
    version: str = UNPUBLISHED
    """`name@sha12`; filled in by the store, which computes the hash."""
    skill: str
    skill_hash: str
    """Content hash of the skill's data at the time of training."""
    items_hash: str
    """Content hash of the ids of the training items, in order."""
    base_model: str
    """The base model's name as the user gave it."""
    weights_hash: str
    """Content hash of the base model's weights: an adapter fits no others."""
    chat_template_hash: str
    """Hash of the chat template that turned messages into tokens, here as in serving."""
    template_hash: str
    """Hash of the skill's prompt template."""
    with_context: bool
    """Whether prompts carried retrieved passages."""
    settings: TrainingSettings
    examples: int
    tokens: int
    """Tokens of prompts and answers over all epochs, shared ones counted for every example."""
    answer_tokens: int
    """Those of them that carried loss."""
    seconds: float
    """Training alone: without loading the model and without the probe."""
    peak_memory_bytes: int
    """Of the whole process during training; of the GPU where one was used."""
    size_bytes: int
    """Of the weights file."""
    loss_curve: tuple[LossPoint, ...]
    dev_examples: int
    dev_bits_before: float | None
    """Held-out code length in bits per answer token under the base; None without dev items."""
    dev_bits_after: float | None
    """The same under the adapter."""
    libraries: dict[str, str]
    """Versions of what computed it."""
    created: str
    """UTC, ISO 8601."""
