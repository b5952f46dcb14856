"""Reads out of a trace what was asked: the question, the turns before it, and which route it took.

It does not know where traces are kept. A trace holds what was sent, so the template is taken off
again: **what comes back is exactly what was asked, or nothing.**
"""

import re
import string
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

from rag_adapt.core.marks import NO_CONTEXT
from rag_adapt.core.template import Template
from rag_adapt.core.types import Message
from rag_adapt.feedback.entry import FeedbackError

READABLE: Final = 400_000
"""Characters of a message that is taken apart."""
READABLE_TWICE: Final = 10_000
"""The same where the template shows its question or its passages twice."""
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
    form = _form(template, labels)
    if len(content) > form.readable:
        raise FeedbackError(
            f"what was asked is longer than {form.readable} characters",
            hint="Ask for less at once.",
        )
    found = {form.question(content, lazy=lazy) for lazy in (False, True)}
    question = found.pop()
    if found or question is None:
        raise FeedbackError(
            "it cannot be told where the passages of this answer end and its question begins",
            hint=AGAIN,
        )
    return question


@dataclass(frozen=True, kw_only=True)
class _Form:
    """A template's user message: texts with holes between them."""

    texts: tuple[str, ...]
    """One more than there are holes."""
    holes: tuple[str, ...]
    """`input` or `context`."""

    @property
    def readable(self) -> int:
        """Holes of one kind that come twice make comparing quadratic."""
        return READABLE if len(set(self.holes)) == len(self.holes) else READABLE_TWICE

    def question(self, content: str, *, lazy: bool) -> str | None:
        """What stands in the hole `input`; None where this is no text of this form."""
        if not (content.startswith(self.texts[0]) and content.endswith(self.texts[-1])):
            return None
        match = re.fullmatch("".join(self._pieces("?" if lazy else "")), content, re.DOTALL)
        return None if match is None else match["input"]

    def _pieces(self, lazy: str) -> Iterator[str]:
        met = False
        for text, hole in zip(self.texts, self.holes, strict=False):
            yield re.escape(text)
            if hole == "context":
                yield PASSAGES.replace(".*", f".*{lazy}")
            else:
                yield "(?P=input)" if met else f"(?P<input>.*{lazy})"
                met = True
        yield re.escape(self.texts[-1])


def _form(template: Template, labels: Sequence[str]) -> _Form:
    texts, holes = [""], []
    for literal, field, _, _ in string.Formatter().parse(template.user):
        texts[-1] += literal
        if field == "labels":
            texts[-1] += ", ".join(labels)
        elif field is not None:
            holes.append(field)
            texts.append("")
    return _Form(texts=tuple(texts), holes=tuple(holes))
