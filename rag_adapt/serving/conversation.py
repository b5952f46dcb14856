"""What a conversation is: its turns, and per turn one generation for every model that was asked.

It does not know where conversations are kept or what answers.
"""

from collections.abc import Iterable
from dataclasses import dataclass, field, replace
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


def missing(what: str, id: str) -> ConversationNotFoundError:
    """There is none; or it is somebody else's, which is not told apart."""
    return ConversationNotFoundError(
        f"there is no {what} {id[:60]!r}",
        hint="`GET /v1/conversations` lists your own; `GET /v1/conversations/ID` shows one.",
    )


class UnderWayError(UserError):
    """An answer that this depends on is still being written."""

    code = "answer-under-way"
    status = 409
    retryable = True


class ConversationFullError(UserError):
    """As many turns, bytes, answers or conversations as may be kept."""

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
    size: int = 2_000_000
    """Bytes of one conversation: questions, answers, and the passages that are kept with them."""
    alternatives: int = 8
    """Answers of one model to one question."""
    at_once: int = 12
    """Answers under way, all conversations of the caller together."""

    def check_conversations(self, count: int) -> None:
        """Refuse one conversation too many.

        Raises:
            ConversationFullError: there are more than there may be.
        """
        if count > self.conversations:
            raise ConversationFullError(
                f"{self.conversations} conversations are kept for one caller, and no more",
                hint="Delete some: `DELETE /v1/conversations/ID`.",
            )

    def check_size(self, *, turns: int, size: int) -> None:
        """Refuse a turn too many, or another answer to what is too long already.

        Raises:
            ConversationFullError: there are more than there may be.
        """
        for count, most, what in (
            (turns, self.turns, "questions"),
            (size, self.size, "bytes, passages of answers included"),
        ):
            if count > most:
                raise ConversationFullError(
                    f"a conversation has at most {most} {what}",
                    hint="Begin another one, or edit an earlier question: what follows it goes.",
                )

    def check_alternatives(self, turn: "Turn", models: Iterable[str]) -> None:
        """Refuse one answer too many of a model to a question.

        Raises:
            ConversationFullError: one of the models has as many as it may have.
        """
        asked = [one.model for one in turn.generations]
        for model in models:
            if asked.count(model) >= self.alternatives:
                raise ConversationFullError(
                    f"{model!r} has answered this question {self.alternatives} times",
                    hint="Ask it as a new question: `POST /v1/conversations/ID/turns`.",
                )

    def check_at_once(self, count: int) -> None:
        """Refuse more answers at once than a caller may have.

        Raises:
            TooManyAtOnceError: there are more than there may be.
        """
        if count > self.at_once:
            raise TooManyAtOnceError(
                f"{self.at_once} answers of one caller may be under way at once",
                hint="Wait for one of them, or cancel it, and send this again.",
            )


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

    @property
    def generations(self) -> tuple[Generation, ...]:
        """Of all turns."""
        return tuple(one for turn in self.turns for one in turn.generations)

    def until(self, turn: str) -> "Conversation":
        """The same up to a turn, which is its last.

        Raises:
            ConversationNotFoundError: it has no such turn.
        """
        places = [place for place, one in enumerate(self.turns) if one.id == turn]
        if not places:
            raise missing("turn", turn)
        return replace(self, turns=self.turns[: places[0] + 1])


@dataclass(frozen=True, kw_only=True)
class Page:
    """Some conversations, newest first."""

    conversations: tuple[Conversation, ...]
    next: int | None
    """The number that the next page begins behind; None on the last one."""


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


@dataclass(frozen=True, kw_only=True)
class Placed:
    """A turn that waits to be answered, and what is to be asked for it."""

    turn: Turn
    orders: tuple[Order, ...]
    dropped: tuple[str, ...] = ()
    """Generations that went away with what the turn replaced."""


def check_idle(generations: Iterable[Generation]) -> None:
    """Refuse to go on while an answer is being written that what follows depends on.

    Raises:
        UnderWayError: one of them may still change.
    """
    for one in generations:
        if one.active:
            raise UnderWayError(
                f"{one.model!r} is still answering",
                hint="Wait for its end, or cancel it: "
                f"`POST /v1/conversations/ID/generations/{one.id}/cancel`.",
            )


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
