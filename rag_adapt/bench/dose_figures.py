"""The dose curve's part of `report.json`: its published shape, and nothing else.

It does not know how any figure is obtained; figures that were not measured are null.
"""

from typing import Literal

from pydantic import BaseModel, ConfigDict

Channel = Literal["few-shot", "few-shot-nearest", "lora"]
"""How examples reach the model: as chat turns, as the nearest chat turns, as an adapter."""


class _Model(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class DoseReport(_Model):
    """One channel after so many examples; figures that were not measured are null."""

    skill: str
    channel: Channel
    examples: int
    """The first so many of the run's one seeded order: smaller doses are parts of larger ones."""
    arm: str
    """Its name in `answers.jsonl`: `few-shot@10`."""
    measured: bool
    reason: str | None = None
    """Why it was not measured, or left out."""
    n: int = 0
    """Items with a score."""
    clusters: int = 0
    failures: int = 0
    unscored: int = 0
    score: float | None = None
    ci_low: float | None = None
    ci_high: float | None = None
    ci_method: str | None = None
    adapter: str | None = None
    """Version of the adapter that answered, the first of `adapters`; null without one."""
    adapters: tuple[str, ...] = ()
    """One per training seed and fold."""
    training_seconds: float | None = None
    """Of all its adapters together; null without one."""
    tokens_in: int | None = None
    """Sum over its answers."""
    cost: float | None = None
    """Compute-seconds of an answer computed alone; null where only the cache answered."""


class DoseDifference(_Model):
    """Two channels after the same examples, on the items that both answered."""

    examples: int
    n: int
    clusters: int
    delta: float
    """Mean score of b minus a."""
    ci_low: float
    ci_high: float


class Crossover(_Model):
    """Where the paired difference of two channels changes its sign, if it was shown to."""

    skill: str
    a: Channel
    b: Channel
    low: int | None
    """The last size at which the one was shown to be ahead; null where none is known."""
    high: int | None
    """The next size at which the other was; null where none was reached."""
    shown: bool
    """Whether both are known: one ahead at `low`, the other at `high`, each by its interval."""
    where: str
    """`between 10 and 50`, `>= 50`, `not within 1..50`, `not shown` or `not measured`."""
    sentence: str
    differences: tuple[DoseDifference, ...] = ()
    """The evidence, one per size that both channels were measured at."""
