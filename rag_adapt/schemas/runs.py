"""Runs on the wire: what to measure, what was measured, every answer.

It does not know how anything is measured.
"""

from typing import Annotated, Any, Final, Literal

from pydantic import AfterValidator, Field, StringConstraints

from rag_adapt.bench.store import AnswerRow
from rag_adapt.core.types import LearnedFrom, Optimiser
from rag_adapt.schemas.orders import Count, Order, Seed, SkillName
from rag_adapt.schemas.wire import Wire

ArmName = Annotated[str, StringConstraints(pattern=r"^[a-z0-9+-]{1,40}$")]
Contrast = Annotated[str, StringConstraints(pattern=r"^[a-z0-9+-]{1,40}:[a-z0-9+-]{1,40}$")]
Rank = Literal[1, 2, 4, 8, 16, 32, 64]
LearningRate = Annotated[float, Field(ge=1e-4, le=1e-3)]

ARMS: Final = ("prompt", "rag", "lora", "rag+lora", "bare", "nearest-label")
"""What is measured where a request names no arms, as with the command."""


def _no_single_fold(folds: int) -> int:
    if folds == 1:
        raise ValueError("one fold would leave nothing to learn from; send 0, or 2 and more")
    return folds


class RunRequest(Order):
    """What a benchmark shall measure: the flags of `rag-adapt bench`."""

    skills: Annotated[list[SkillName], Field(min_length=1, max_length=50)]
    arms: Annotated[list[ArmName], Field(min_length=1, max_length=50)] = Field(
        default_factory=lambda: list(ARMS)
    )
    items: Count | None = None
    """Test items per skill; default all."""
    examples: Count | None = None
    """Training examples for every route; default all."""
    epochs: Annotated[int, Field(ge=1, le=100)] = 1
    learn_from: LearnedFrom = "examples"
    """What `lora` learns."""
    corpus_rows: Count | None = None
    """Rows made from documents, at most; default all."""
    rank: Rank = 8
    learning_rate: LearningRate = 5e-4
    train_seeds: Annotated[int, Field(ge=1, le=20)] = 1
    """Adapters per arm; three for a sentence about LoRA."""
    folds: Annotated[int, Field(ge=0, le=20), AfterValidator(_no_single_fold)] = 0
    """Cross-fitting: every item is tested; 0 keeps the skill's own splits."""
    tune: Annotated[int, Field(ge=0, le=100_000)] = 32
    """Dev answers that each route may spend on how it asks."""
    optimiser: Optimiser = "halving"
    doses: Annotated[list[Count], Field(max_length=10)] = Field(default_factory=list)
    """Sizes of a dose curve: so many examples as shots, as nearest shots and as adapter."""
    contrasts: Annotated[list[Contrast], Field(max_length=50)] = Field(default_factory=list)
    """Further pairs to test, as `a:b`."""
    margin: Annotated[float, Field(ge=0, le=1)] = 0.05
    """Of non-inferiority, as a share."""
    guard: bool = True
    """Whether it is measured what adapters damaged."""
    probe: bool = True
    """Whether it is said if a skill is latent or absent."""
    choice: bool = True
    """Whether labels are scored by likelihood too."""
    repeats: Annotated[int, Field(ge=1, le=100)] = 1
    temperature: Annotated[float, Field(ge=0, le=2)] = 0.0
    seed: Seed = 0
    latency_items: Annotated[int, Field(ge=0, le=1000)] = 3
    """Answers per arm that are asked alone, for latency."""
    top_k: Annotated[int, Field(ge=1, le=50)] | None = None
    """Passages per question; default the service's own."""


class PlanLine(Wire):
    """What a run would do with one skill."""

    skill: str
    items: int
    examples: int
    answers: int
    """On test items."""
    dev_answers: int
    """At most, for choosing how routes ask."""
    trainings: int
    """Adapters; those that are stored already are not trained again."""
    detectable: float
    """Difference in score that so many items show with 80 % power at the strictest of Holm's
    steps, if 30 % of them differ."""
    arms: list[str]
    """Those that this skill allows."""
    seconds: float | None
    """Of answers, by the prices of the newest run that measured all these arms."""


class RunPlan(Wire):
    """`POST /v1/runs:plan`: nothing was asked."""

    data: list[PlanLine]


class RunInfo(Wire):
    """One run."""

    id: str
    state: Literal["running", "complete"]
    """`running` also where it was interrupted: the same request goes on with it."""
    created: str
    """UTC, ISO 8601."""
    skills: list[str]
    arms: list[str]
    engine: str
    model: str


class RunDetail(RunInfo):
    """`GET /v1/runs/{id}`."""

    command: str
    """What makes it again."""
    report: str | None
    """Hash of the report's content; null before the run's end."""
    plan: dict[str, Any]
    """Everything that determines its answers."""
    fingerprint: dict[str, Any]
    """Of the model."""


class RunList(Wire):
    """`GET /v1/runs`: one page, newest first."""

    data: list[RunInfo]
    next: str | None
    """`cursor` of the next page; null on the last one."""


class ArmProgress(Wire):
    """How far one arm of a run is. There is no score before the end: a look at a part of the items
    would be taken for a result."""

    skill: str
    arm: str
    answered: int
    failed: int
    """Questions without an answer; they are not asked again."""
    total: int | None
    """Questions in all; fewer are asked of an arm that cannot be measured. Null where the skill has
    changed since."""


class RunProgress(Wire):
    """`GET /v1/runs/{id}/progress`: counts and no figures."""

    id: str
    state: Literal["running", "complete"]
    job: str | None
    """What works on it or waits to; null where nothing does, also where a command line does."""
    last: float | None
    """When the last answer was kept, in seconds since 1970; null before the first."""
    arms: list[ArmProgress]


class RunAnswers(Wire):
    """`GET /v1/runs/{id}/answers`: one page, in the order in which they were kept."""

    data: list[AnswerRow]
    next: str | None
    """`cursor` of the next page; null on the last one."""
