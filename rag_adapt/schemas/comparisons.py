"""One question to several models, and what each of them said: `/v1/comparisons`.

It does not know routes or engines.
"""

from typing import Annotated, Any, Final, Literal, TypeVar

from pydantic import AfterValidator, Field

from rag_adapt.schemas.answers import Extension, Usage
from rag_adapt.schemas.proof import AdapterProof
from rag_adapt.schemas.requests import (
    MOST_MESSAGES,
    MOST_STOPS,
    MOST_TOKENS,
    ModelName,
    Stop,
    Text,
)
from rag_adapt.schemas.wire import Wire
from rag_adapt.serving.cost import Unit

MOST_MODELS: Final = 6
Value = TypeVar("Value")


def _each_once(names: list[Value] | None) -> list[Value] | None:
    if names is not None and len(set(names)) < len(names):
        raise ValueError("names one of them twice; its answers could not be told apart")
    return names


ModelNames = Annotated[
    list[ModelName],
    Field(
        fail_fast=True,
        min_length=1,
        max_length=MOST_MODELS,
        json_schema_extra={"uniqueItems": True},
    ),
    AfterValidator(_each_once),
]
"""Routes or the plain model, each once."""


class Sampled(Wire):
    """How tokens are chosen, the same for every model that is asked."""

    max_tokens: int | None = Field(default=None, ge=1, le=MOST_TOKENS)
    """Longest answer in tokens; default the skill's own."""
    temperature: float | None = Field(default=None, ge=0, le=2)
    """0 (greedy, as benchmarks ask) by default."""
    top_p: float | None = Field(default=None, gt=0, le=1)
    stop: Stop | Annotated[list[Stop], Field(fail_fast=True, max_length=MOST_STOPS)] | None = None
    """On a route these come on top of the skill's own."""
    seed: int | None = Field(default=None, ge=-(2**63), le=2**63 - 1)
    """Default: drawn anew for every request that names a temperature."""


class EarlierTurn(Wire):
    """One message that stands before the question."""

    role: Literal["user", "assistant"]
    content: Text


class ComparisonRequest(Sampled):
    """`POST /v1/comparisons`."""

    models: ModelNames
    question: Text = Field(min_length=1)
    """On a route it is the item."""
    turns: list[EarlierTurn] = Field(default=[], max_length=MOST_MESSAGES)
    """What stands before it, the same for every model."""
    stream: bool | None = None
    """Whether the answers come in pieces, side by side, as server-sent events."""


class AnswerTimes(Wire):
    """Seconds of one answer, on the engine's clock."""

    queued: float
    """From the arrival of the call to the start of its computation."""
    first_token: float
    """From the arrival of the call to its first token."""
    total: float
    """From the arrival of the call to its last token."""


class AnswerCost(Wire):
    """What one answer cost."""

    value: float
    unit: Unit
    """`USD`: the provider's list price; `compute-seconds`: from the start of its computation to its
    last token, with whatever else was computed beside it."""


class AnswerInfo(Wire):
    """What one model said, complete."""

    text: str
    finish_reason: Literal["stop", "length"]
    usage: Usage
    times: AnswerTimes
    cost: AnswerCost | None = None
    """Null where a provider publishes no price."""
    proof: AdapterProof | None = None
    """Of the adapter that answered, made when its route was opened; null for the base model. One
    that is not proven never answers: its failure has the code `not-proven`."""
    rag_adapt: Extension


class FailureInfo(Wire):
    """Why one model gave no answer: a problem document (RFC 9457)."""

    type: str
    title: str
    """The status in words."""
    status: int
    """What the same question to this model alone would have been answered with."""
    detail: str
    instance: str
    code: str
    """Stable name for programs."""
    hint: str
    """What to do."""
    retryable: bool
    """Whether the same question may be answered later without a change."""
    trace_id: str | None = None
    """Of the steps up to the failure; null where none was begun."""


class ComparedDelta(Wire):
    """Event `delta`: some text of one answer."""

    index: int
    """Which of the request's models."""
    model: str
    text: str


class Compared(Wire):
    """One model's end: its answer (event `answer`) or its failure (event `failure`)."""

    index: int
    model: str
    answer: AnswerInfo | None = None
    failure: FailureInfo | None = None


class Comparison(Wire):
    """All answers, in the order of the request's models."""

    data: list[Compared]


def sampling_fields(sampling: Sampled) -> dict[str, Any]:
    """The fields of `Sampled` alone, of it or of a request that has more."""
    return {name: getattr(sampling, name) for name in Sampled.model_fields}
