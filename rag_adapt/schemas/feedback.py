"""Feedback on the wire: votes, corrections, decisions, rows.

It does not know where feedback is kept or what may be learned from.
"""

from typing import Annotated, Literal, Self

from pydantic import Field, StringConstraints, model_validator

from rag_adapt.core.types import Role
from rag_adapt.feedback.entry import State, Vote
from rag_adapt.schemas.wire import Wire


class FeedbackRequest(Wire):
    """What somebody thinks of an answer: a vote, a better answer, or both."""

    trace_id: Annotated[str, StringConstraints(min_length=1, max_length=64)]
    """`rag_adapt.trace_id` of the response."""
    choice: Annotated[int, Field(ge=0, le=1000)] = 0
    """Which of its answers."""
    vote: Vote | None = None
    correction: Annotated[str, StringConstraints(min_length=1, max_length=8000)] | None = None
    """What the answer should have been."""
    note: Annotated[str, StringConstraints(max_length=2000)] = ""
    """For whoever decides; nothing learns from it."""

    @model_validator(mode="after")
    def _says_something(self) -> Self:
        if self.vote is None and self.correction is None:
            raise ValueError("send a vote, a correction or both")
        return self


class Turn(Wire):
    """A message that stood before the question."""

    role: Role
    content: str


class FeedbackInfo(Wire):
    """One piece of feedback, with the answer that it judges."""

    id: str
    """32 hexadecimal digits."""
    state: State
    giver: str
    """The id of the key that gave it; `local` where none was needed."""
    trace_id: str
    """The trace itself may no longer be kept."""
    choice: int
    model: str
    """As the client named it."""
    route: str
    skill: str | None
    """Null where the plain model answered."""
    adapter: str | None
    question: str
    turns: list[Turn]
    """What stood before the question."""
    answer: str
    vote: Vote | None
    correction: str | None
    note: str
    given: float
    """Seconds since 1970, as all times here."""
    decided: float | None
    decider: str | None
    """Who accepted or rejected it, as `giver`."""


class FeedbackList(Wire):
    """`GET /v1/feedback`: one page, newest first."""

    data: list[FeedbackInfo]
    next: str | None
    """`cursor` of the next page; null on the last one."""


class Withdrawn(Wire):
    """What is gone."""

    id: str
    object: Literal["feedback.withdrawn"] = "feedback.withdrawn"
