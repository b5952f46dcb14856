"""What a conversation is: its turns, and per turn one generation for every model that was asked.

It does not know where conversations are kept or what answers.
"""

from dataclasses import dataclass, field
from typing import Any, Final, Literal

from rag_adapt.core.errors import UserError
from rag_adapt.core.types import Message

State = Literal["queued", "running", "complete", "failed", "cancelled", "interrupted"]
"""`cancelled`: somebody stopped it; `interrupted`: the server ended first. Both keep their text."""
ACTIVE: Final[frozenset[State]] = frozenset({"queued", "running"})


class ConversationNotFoundError(UserError):
    """The caller has no such conversation, or it has no such turn or answer."""

    code = "conversation-not-found"
    status = 404


class UnderWayError(UserError):
    """An answer that this depends on is still being written."""

    code = "answer-under-way"
    status = 409
    retryable = True


class ConversationFullError(UserError):
    """As many turns, characters, answers or conversations as may be kept."""

    code = "conversation-full"
    status = 409


class TooManyAtOnceError(UserError):
    """The caller has as many answers under way as one may have."""

    code = "too-many-generations"
    status = 429
    retryable = True


@dataclass(frozen=True, kw_only=True)
class Bounds:
    """How much one caller may have."""

    conversations: int = 500
    turns: int = 100
    """Of one conversation."""
    characters: int = 1_000_000
    """Of one conversation: questions, answers, and the passages that are kept with them."""
    alternatives: int = 8
    """Answers of one model to one question."""
    at_once: int = 12
    """Answers under way, all conversations of the caller together."""


@dataclass(frozen=True, kw_only=True)
class Generation:
    """One model's answer to one turn, as far as it is."""

    id: str
    turn: str
    model: str
    state: State
    text: str = ""
    """As far as it was written."""
    answer: dict[str, Any] | None = None
    """The whole answer as it goes over the wire; None until it is complete."""
    failure: dict[str, Any] | None = None
    """Why there is none, as it goes over the wire."""
    created: float
    """Seconds since 1970, as all times here."""
    started: float | None = None
    ended: float | None = None

    @property
    def active(self) -> bool:
        """Whether it may still change."""
        return self.state in ACTIVE

    @property
    def stands(self) -> bool:
        """Whether later questions are asked with it: it is whole, or was stopped on purpose."""
        return self.state == "complete" or (self.state == "cancelled" and bool(self.text))


@dataclass(frozen=True, kw_only=True)
class Turn:
    """One question and what every model said to it."""

    id: str
    question: str
    sampling: dict[str, Any]
    """As the client sent it."""
    created: float
    generations: tuple[Generation, ...] = ()
    """Oldest first; of one model several where it was asked again."""

    def said(self, model: str) -> str | None:
        """What stands as this model's answer: its newest one that is one."""
        own = [one for one in self.generations if one.model == model and one.stands]
        return own[-1].text if own else None


@dataclass(frozen=True, kw_only=True)
class Conversation:
    """Questions of one caller to the same models."""

    number: int
    """In the order of creation."""
    id: str
    title: str
    """Empty until somebody names it or asks something."""
    skill: str | None
    models: tuple[str, ...]
    created: float
    updated: float
    """When it was last asked or renamed."""
    asked: int = 0
    """Its turns."""
    turns: tuple[Turn, ...] = ()
    """Empty in lists."""


@dataclass(frozen=True, kw_only=True)
class Order:
    """What the server is to ask a model."""

    generation: Generation
    owner: str
    """Who asked: the name of the caller."""
    question: str
    turns: tuple[Message, ...]
    """Earlier questions with this model's own answers."""
    sampling: dict[str, Any] = field(default_factory=dict)


def messages_before(turns: tuple[Turn, ...], model: str) -> tuple[Message, ...]:
    """What stands before the next question to a model: earlier ones, with its own answers.

    A question that it did not answer is left out: nothing is put into its mouth.
    """
    found: list[Message] = []
    for turn in turns:
        said = turn.said(model)
        if said is not None:
            found.append(Message(role="user", content=turn.question))
            found.append(Message(role="assistant", content=said))
    return tuple(found)
