"""Shows retrieved text as what it is: data, between marks that the text itself cannot write.

It does not know templates, models or where passages come from. What it changes it counts.
"""

import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from rag_adapt.core.types import Passage

NO_CONTEXT: Final = "(no passages)"
FORM: Final = "[{number}] <data>{text}</data>"
"""One passage; part of the identity of every template that shows passages."""
BETWEEN: Final = "\n\n"
_INVISIBLE: Final = re.compile(
    "[\x00-\x08\x0b\x0e-\x1f\x7f-\x84\x86-\x9f\xad\u034f\u061c\u180b-\u180e\u200b\u200e\u200f"
    "\u202a-\u202e\u2060-\u206f\ufeff\ufff9-\ufffb\ud800-\udfff\U000e0000-\U000e007f]"
)
"""Controls, directions, tags and halves of characters. Ingestion takes them out of documents, and
more closely; this is for retrievers that are plugged in."""
_IMITATION: Final = re.compile(
    r"<(?=\s*/?\s*data\b)"  # our own marks
    r"|<(?=\|)|(?<=\|)>"  # turns as ChatML and its like write them: `<|im_end|>`
    r"|<(?=/?s>|/?(?:start|end)_of_turn>|<\s*/?SYS>>|｜)"
    r"|\[(?=/?INST\])"
    r"|(?<![^\n])\[(?=\d{1,3}\][ \t]*<)",  # the next passage's beginning
    re.IGNORECASE,
)
"""The first character of whatever a model, or who reads the prompt, could take for a mark or for
the end of a turn: a tokenizer reads such words in a text as the model's own control tokens."""
_HARMLESS: Final = {"<": "\u2039", ">": "\u203a", "[": "("}


@dataclass(frozen=True, kw_only=True)
class Marked:
    """Passages as they stand in a prompt."""

    text: str
    passages: int
    escaped: int
    """Characters that began or ended an imitated mark, and were replaced by a likeness."""
    invisible: int
    """Characters that nobody sees, and that were left out."""

    def as_json(self) -> dict[str, int]:
        """The counts, for a trace."""
        return {
            "passages": self.passages,
            "escaped": self.escaped,
            "invisible": self.invisible,
        }


def marked(passages: Sequence[Passage]) -> Marked:
    """Passages between marks, numbered from 1; `NO_CONTEXT` where there are none.

    The passages themselves stay as they are: citations quote the document.
    """
    if not passages:
        return Marked(text=NO_CONTEXT, passages=0, escaped=0, invisible=0)
    shown, escaped, invisible = [], 0, 0
    for number, passage in enumerate(passages, start=1):
        seen, left_out = _INVISIBLE.subn("", passage.text)
        text, replaced = _IMITATION.subn(lambda found: _HARMLESS[found[0]], seen)
        shown.append(FORM.format(number=number, text=text.strip()))
        escaped, invisible = escaped + replaced, invisible + left_out
    return Marked(
        text=BETWEEN.join(shown), passages=len(passages), escaped=escaped, invisible=invisible
    )
