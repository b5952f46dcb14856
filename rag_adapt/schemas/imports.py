"""What an upload is to become a skill as: names, columns, shares.

It does not know files or how they are read.
"""

from typing import Annotated

from pydantic import Field, StringConstraints

from rag_adapt.core.types import ScorerName, Task
from rag_adapt.schemas.orders import Count, Order, Seed, SkillName
from rag_adapt.skills.formats import Format

Column = Annotated[str, StringConstraints(min_length=1, max_length=200)]


class ImportMapping(Order):
    """The fields of `POST /v1/skills:import` beside its files."""

    name: SkillName
    """Of the new skill."""
    input: Column = "input"
    """Column, or key, of the input."""
    target: Column = "target"
    """Column, or key, of the target."""
    format: Format | None = None
    """Default: by the file's ending or content."""
    split: Column | None = None
    """Column that holds train, dev or test."""
    split_ratio: Annotated[str, StringConstraints(max_length=40)] | None = None
    """Shares of train/dev/test, such as `0.6/0.2/0.2`."""
    scorer: ScorerName | None = None
    """Default: by the targets."""
    task: Task | None = None
    """Default: by the targets."""
    labels: Annotated[str, StringConstraints(max_length=10_000)] = ""
    """Only these targets: `a,b,c`."""
    max_labels: Annotated[int, Field(ge=2, le=10_000)] | None = None
    """Only the most frequent targets, this many."""
    limit: Count | None = None
    """Items at most, sampled."""
    seed: Seed = 0
    skip_bad: bool = False
    """Whether bad lines are left out and listed."""
