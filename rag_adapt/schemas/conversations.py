"""Conversations on the server, as they go over the wire: `/v1/conversations`.

It does not know how they are kept or answered.
"""

from typing import Annotated

from pydantic import Field, StringConstraints, model_validator

from rag_adapt.schemas.comparisons import AnswerInfo, FailureInfo, ModelNames, Sampled
from rag_adapt.schemas.requests import ModelName, Text
from rag_adapt.schemas.wire import Wire
from rag_adapt.serving.conversation import State

Title = Annotated[str, StringConstraints(min_length=1, max_length=200)]


class ConversationRequest(Wire):
    """`POST /v1/conversations`: a skill, models, or both."""

    title: Title | None = None
    """Default: the beginning of the first question."""
    skill: str | None = Field(default=None, min_length=1, max_length=100)
    """What it is about. Without `models` it is asked by the route that the skill's latest run
    recommends, or else by its prompt."""
    models: ModelNames | None = None
    """Every question goes to all of them."""

    @model_validator(mode="after")
    def _named(self) -> "ConversationRequest":
        if self.skill is None and self.models is None:
            raise ValueError("needs `skill` or `models`: otherwise nobody is asked")
        return self


class RenameRequest(Wire):
    """`PATCH /v1/conversations/{id}`."""

    title: Title


class TurnRequest(Sampled):
    """The next question, or another one in place of an earlier one."""

    question: Text = Field(min_length=1)


class AgainRequest(Wire):
    """`POST /v1/conversations/{id}/turns/{turn}/generations`."""

    model: ModelName | None = None
    """Who is asked again; default every model of the conversation."""


class GenerationInfo(Wire):
    """One model's answer to one turn, as far as it is."""

    id: str
    turn: str
    model: str
    state: State
    """`cancelled`: it was stopped; `interrupted`: the server ended first. Both keep their text."""
    text: str
    """As far as it was written."""
    answer: AnswerInfo | None
    """Null until it is complete."""
    failure: FailureInfo | None
    """Why there is none."""
    created: float
    """Seconds since 1970, as all times here."""
    started: float | None
    ended: float | None


class GenerationPiece(Wire):
    """Event `delta`: some text of a generation."""

    text: str


class TurnInfo(Wire):
    """One question and what every model said to it."""

    id: str
    question: str
    sampling: Sampled
    created: float
    generations: list[GenerationInfo]
    """Oldest first. Of several of one model the newest that is complete, or was stopped with some
    text, stands before later questions; the others are alternatives."""


class ConversationInfo(Wire):
    """A conversation in a list."""

    id: str
    title: str
    """Empty until somebody names it or asks something."""
    skill: str | None
    models: list[str]
    created: float
    updated: float
    """When it was last asked or renamed."""
    asked: int
    """Its turns."""


class ConversationList(Wire):
    """`GET /v1/conversations`: one page, newest first."""

    data: list[ConversationInfo]
    next: str | None
    """`cursor` of the next page; null on the last one."""


class ConversationDetail(ConversationInfo):
    """`GET /v1/conversations/{id}`."""

    turns: list[TurnInfo]
    """Oldest first."""


class ConversationRemoved(Wire):
    """What was deleted."""

    id: str
