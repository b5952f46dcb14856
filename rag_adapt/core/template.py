"""Turns a draft into chat messages.

It does not know skills or files. Placeholders are bare names (`{input}`, `{context}`, `{labels}`):
a format spec, a conversion or an attribute is refused, so a template can read nothing else.
"""

import string
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property
from typing import Final

from rag_adapt.core.errors import TemplateError
from rag_adapt.core.marks import FORM, NO_CONTEXT, marked
from rag_adapt.core.types import Draft, Message, content_hash

PLACEHOLDERS: Final = frozenset({"input", "context", "labels"})


@dataclass(frozen=True, kw_only=True)
class Template:
    """A system and a user message with placeholders.

    Raises:
        TemplateError: at construction, if a placeholder is not one of `PLACEHOLDERS` or if
            `{input}` is missing from the user message.
    """

    system: str
    user: str
    name: str = "prompt"

    def __post_init__(self) -> None:
        used = {*placeholders(self.system, self.name), *placeholders(self.user, self.name)}
        if unknown := sorted(used - PLACEHOLDERS):
            raise TemplateError(
                f"template {self.name!r} uses unknown placeholders: {', '.join(unknown)}",
                hint=f"Use only {', '.join(sorted(PLACEHOLDERS))}; double a literal brace: {{{{",
            )
        if "input" not in placeholders(self.user, self.name):
            raise TemplateError(
                f"template {self.name!r} never shows the item: its user message has no {{input}}",
                hint="Put {input} into the user message.",
            )

    @property
    def wants_context(self) -> bool:
        return "context" in {
            *placeholders(self.system, self.name),
            *placeholders(self.user, self.name),
        }

    @cached_property
    def hash(self) -> str:
        """Of both messages and, where passages are shown, of the form they are shown in."""
        form = {"passages": FORM} if self.wants_context else {}
        return content_hash({"system": self.system, "user": self.user, **form})

    def render(self, draft: Draft) -> tuple[Message, ...]:
        """System message (if any), examples as alternating turns, then the question.

        Examples are rendered without passages: those belong to the question alone.
        """
        labels = ", ".join(draft.labels)
        context = marked(draft.passages).text
        messages = []
        if self.system:
            system = self.system.format(input=draft.input, context=context, labels=labels)
            messages.append(Message(role="system", content=system))
        for example in draft.examples:
            shown = self.user.format(input=example.input, context=NO_CONTEXT, labels=labels)
            messages.append(Message(role="user", content=shown))
            messages.append(Message(role="assistant", content=example.output))
        question = self.user.format(input=draft.input, context=context, labels=labels)
        messages.append(Message(role="user", content=question))
        return tuple(messages)


def placeholders(text: str, name: str) -> frozenset[str]:
    """The placeholders of a text.

    Raises:
        TemplateError: braces do not match, or a placeholder is more than a bare name.
    """
    return frozenset(_fields(text, name))


def _fields(text: str, name: str) -> Iterator[str]:
    try:
        parsed = list(string.Formatter().parse(text))
    except ValueError as exc:
        raise TemplateError(
            f"template {name!r} has unbalanced braces: {exc}",
            hint="Write a literal brace twice: {{ and }}",
        ) from exc
    for _, field, spec, conversion in parsed:
        if field is None:
            continue
        if not field.isidentifier() or spec or conversion:
            raise TemplateError(
                f"template {name!r} has a placeholder that is not a bare name: {{{field}}}",
                hint="Write {input}, without format, conversion, index or attribute.",
            )
        yield field


BARE: Final = Template(system="", user="{input}", name="bare")
"""No template at all: the item's input as the user message."""
