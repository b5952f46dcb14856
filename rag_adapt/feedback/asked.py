"""Reads out of a trace what was asked: the question, the turns before it, and which route it took.

It does not know where traces are kept. A trace holds what was sent, so the template is taken off
again: **what comes back is exactly what was asked, or nothing.**
"""

import re
import string
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

from rag_adapt.core.template import NO_CONTEXT, Template
from rag_adapt.core.types import Message
from rag_adapt.feedback.entry import FeedbackError

READABLE: Final = 400_000
"""Characters of a message that is taken apart."""
PASSAGES: Final = rf"(?:{re.escape(NO_CONTEXT)}|\[1\] .*)"
"""How a template shows passages; their text is not in the trace."""
AGAIN: Final = "Judge an answer that was given since; ask the same question once more."


@dataclass(frozen=True, kw_only=True)
class Asked:
    """One question as a client asked it."""

    route: str
    """The route's name; `plain` for the model as it is."""
    adapter: str | None
    question: str
    turns: tuple[Message, ...]


def asked_in(
    trace: Mapping[str, Any], *, templates: Iterable[Template], labels: Sequence[str] = ()
) -> Asked:
    """What the trace of one answer was asked.

    Args:
        trace: As it is kept: route, item and events.
        templates: Those that may have rendered it.
        labels: The skill's.

    Raises:
        FeedbackError: the trace was shortened, was rendered with none of these templates, or
            leaves it open where the passages end and the question begins.
    """
    sent = _sent(trace)
    spec = trace["route"]
    template = next((t for t in templates if t.hash == spec["template"]["hash"]), None)
    if template is None:
        raise FeedbackError(
            f"the skill no longer has the template {spec['template']['name']!r} that this answer "
            "was asked with",
            hint=AGAIN,
        )
    before = bool(template.system) + 2 * _shown(trace)
    return Asked(
        route=spec["name"],
        adapter=next((s["adapter"] for s in spec["steps"] if s.get("active")), None),
        question=_question(template, labels, sent[-1].content),
        turns=sent[before:-1],
    )


def _sent(trace: Mapping[str, Any]) -> tuple[Message, ...]:
    for event in reversed(trace["events"]):
        if event["name"] == "generate":
            return tuple(Message(**message) for message in event["detail"]["call"]["messages"])
    raise FeedbackError(
        "this trace no longer holds what was asked: it was too long to be kept whole",
        hint="Judge an answer to a shorter question.",
    )


def _shown(trace: Mapping[str, Any]) -> int:
    """Worked examples that stood before the question."""
    return sum(len(e["detail"]["shown"]) for e in trace["events"] if e["name"] == "demonstrate")


def _question(template: Template, labels: Sequence[str], content: str) -> str:
    """The input that the template renders to this message.

    Tried are the longest and the shortest text that passages can be: where both leave the same
    question, there is no other.
    """
    if len(content) > READABLE:
        raise FeedbackError(
            f"what was asked is longer than {READABLE} characters", hint="Ask for less at once."
        )
    found = {
        match["input"]
        for lazy in (False, True)
        if (match := re.fullmatch(_pattern(template, labels, lazy=lazy), content, re.DOTALL))
    }
    if len(found) != 1:
        raise FeedbackError(
            "it cannot be told where the passages of this answer end and its question begins",
            hint=AGAIN,
        )
    return found.pop()


def _pattern(template: Template, labels: Sequence[str], *, lazy: bool) -> str:
    return "".join(_pieces(template, labels, "?" if lazy else ""))


def _pieces(template: Template, labels: Sequence[str], lazy: str) -> Iterator[str]:
    met = False
    for literal, field, _, _ in string.Formatter().parse(template.user):
        yield re.escape(literal)
        if field == "input":
            yield "(?P=input)" if met else f"(?P<input>.*{lazy})"
            met = True
        elif field == "labels":
            yield re.escape(", ".join(labels))
        elif field == "context":
            yield PASSAGES.replace(".*", f".*{lazy}")
