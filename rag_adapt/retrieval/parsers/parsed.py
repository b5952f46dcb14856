"""What a parser gives: a text whose characters can be counted, and where its pages begin.

It does not know formats. Headings are lines that begin with `#`, whatever they were in the file.
"""

from dataclasses import dataclass
from typing import Any


class UnusableError(Exception):
    """Why one file is left out; the message is for whoever put it there."""


@dataclass(frozen=True, kw_only=True)
class Parsed:
    """A document as it is searched and cited."""

    text: str
    """Lines ended by `\\n`, without byte order mark; offsets count its characters."""
    pages: tuple[int, ...] = ()
    """Where each page begins, in characters, the first at 0; empty where there are no pages."""
    notes: tuple[str, ...] = ()
    """What was changed or left out on the way, in words."""

    def as_json(self) -> dict[str, Any]:
        """As it travels between processes."""
        return {"text": self.text, "pages": list(self.pages), "notes": list(self.notes)}

    @classmethod
    def from_json(cls, found: dict[str, Any]) -> "Parsed":
        """See `as_json`."""
        return cls(text=found["text"], pages=tuple(found["pages"]), notes=tuple(found["notes"]))
