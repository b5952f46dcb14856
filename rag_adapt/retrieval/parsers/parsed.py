"""What a parser gives: a text whose characters can be counted, and where its pages begin.

It does not know formats. Headings are lines that begin with `#`, whatever they were in the file.
"""

from dataclasses import dataclass
from typing import Any

from rag_adapt.retrieval.linking.notation import Remark, unmarked


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
    remarks: tuple[Remark, ...] = ()
    """What it said of its units and their links; taken out of the text."""

    def as_json(self) -> dict[str, Any]:
        """As it travels between processes."""
        return {
            "text": self.text,
            "pages": list(self.pages),
            "notes": list(self.notes),
            "remarks": [remark.as_json() for remark in self.remarks],
        }

    @classmethod
    def from_json(cls, found: dict[str, Any]) -> "Parsed":
        """See `as_json`."""
        return cls(
            text=found["text"],
            pages=tuple(found["pages"]),
            notes=tuple(found["notes"]),
            remarks=tuple(Remark.from_json(remark) for remark in found["remarks"]),
        )


def without_remarks(parsed: Parsed) -> Parsed:
    """The text without what it says of its units, which is kept beside it.

    Raises:
        UnusableError: it says nothing else.
    """
    left = unmarked(parsed.text)
    if not left.taken:
        return parsed
    if not left.text.strip():
        raise UnusableError("nothing but marks of units and links")
    count = sum(len(each.said) for each in left.taken)
    return Parsed(
        text=left.text,
        pages=tuple(left.moved(page) for page in parsed.pages),
        notes=(*parsed.notes, f"{count} marks of units and links read and taken out"),
        remarks=left.remarks,
    )
