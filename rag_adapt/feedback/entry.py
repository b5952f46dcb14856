"""What feedback is: who judged which answer, how, and what became of that.

It does not know where feedback is kept, nor who may give or decide it.
"""

from dataclasses import dataclass
from typing import Final, Literal, get_args

from rag_adapt.core.errors import UserError
from rag_adapt.core.types import Message

Vote = Literal["up", "down"]
State = Literal["pending", "accepted", "rejected"]
Decision = Literal["accepted", "rejected"]
STATES: Final[tuple[State, ...]] = get_args(State)


class FeedbackError(UserError):
    """Feedback cannot be given, changed or decided as it was asked."""

    code = "feedback"
    status = 409


class FeedbackNotFoundError(UserError):
    """There is no such feedback."""

    code = "feedback-not-found"
    status = 404


class TooMuchFeedbackError(FeedbackError):
    """As much of one giver's feedback waits for a decision as may."""

    code = "too-much-feedback"


class LeakError(FeedbackError):
    """What would be learned from stands among a skill's test items, or cannot be compared."""

    code = "leak"


@dataclass(frozen=True, kw_only=True)
class Judged:
    """An answer, copied: its trace may be thrown away before anybody decides."""

    trace: str
    """The trace's id."""
    choice: int
    """Which of its answers, from 0."""
    model: str
    """As the client named it."""
    route: str
    """What answered: `prompt`, `rag`, ..., or `plain` for the model as it is."""
    skill: str | None
    """None for the plain model."""
    adapter: str | None
    """Version `name@sha12`; None where the base model answered."""
    question: str
    turns: tuple[Message, ...]
    """What stood before the question."""
    answer: str


@dataclass(frozen=True, kw_only=True)
class Verdict:
    """What somebody thinks of an answer: a vote, a better answer, or both."""

    vote: Vote | None = None
    correction: str | None = None
    """What the answer should have been."""
    note: str = ""


@dataclass(frozen=True, kw_only=True)
class Entry:
    """One piece of feedback; what it says never changes under its id."""

    id: str
    """32 hexadecimal digits that nobody can guess."""
    number: int
    """In the order in which feedback was given."""
    giver: str
    """The caller's name: a key's id, or `local`."""
    state: State
    judged: Judged
    verdict: Verdict
    given: float
    """Seconds since 1970, as all times here."""
    decided: float | None
    decider: str | None
    """Who decided, as `giver`."""
