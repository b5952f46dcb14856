"""Feedback on answers of the skill `colours`, for several tests."""

from typing import Any

from rag_adapt.core.types import Message
from rag_adapt.feedback.entry import Entry, Judged, Verdict
from rag_adapt.feedback.store import FeedbackBook


def judged(**more: Any) -> Judged:
    """An answer of the route `prompt`."""
    fields = {
        "trace": "t1",
        "choice": 0,
        "model": "route:prompt/colours",
        "route": "prompt",
        "skill": "colours",
        "adapter": None,
        "question": "a bus: green",
        "turns": (),
        "answer": "red",
    }
    return Judged(**{**fields, **more})


def gave(
    book: FeedbackBook,
    *,
    giver: str = "local",
    vote: Any = None,
    correction: str | None = None,
    note: str = "",
    **more: Any,
) -> Entry:
    """Somebody's feedback; a vote against, unless told otherwise."""
    if vote is None and correction is None:
        vote = "down"
    verdict = Verdict(vote=vote, correction=correction, note=note)
    return book.give(judged(**more), verdict, giver=giver)


def accepted(book: FeedbackBook, **more: Any) -> Entry:
    """The same, accepted without a look at it."""
    return book.decide(gave(book, **more).id, "accepted", decider="local")


def entry(book: FeedbackBook, id: str) -> Entry:
    """As it is now."""
    return book.get(id)


def turns(*texts: str) -> tuple[Message, ...]:
    """Earlier turns, the user's first."""
    return tuple(
        Message(role="assistant" if n % 2 else "user", content=text) for n, text in enumerate(texts)
    )
