"""Shipped, frozen plain text that belongs to no skill: what an adapter must not forget.

It does not know models. The text is written for this project (Apache-2.0); changing a letter of
it makes figures incomparable, so its hash stands beside them.
"""

import re
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Final

from rag_adapt.core.types import Message, content_hash

FOLDER: Final = Path(__file__).parent / "general"


@dataclass(frozen=True, kw_only=True)
class Segment:
    """A short text and what it is about."""

    title: str
    text: str

    @property
    def messages(self) -> tuple[Message, ...]:
        """What a model is asked, so that the text could be its answer."""
        return ask(f"Please write a short text. Title: {self.title}")


def ask(text: str) -> tuple[Message, ...]:
    """One user message, without any template."""
    return (Message(role="user", content=text),)


@cache
def segments() -> tuple[Segment, ...]:
    """Prose, two lists and two pieces of code, in the file's order."""
    parts = re.split(r"^## (.+)\n", (FOLDER / "text.md").read_text(encoding="utf-8"), flags=re.M)
    return tuple(
        Segment(title=title, text=text.strip())
        for title, text in zip(parts[1::2], parts[2::2], strict=True)
    )


@cache
def prompts() -> tuple[str, ...]:
    """Questions that anyone might ask."""
    return tuple((FOLDER / "prompts.txt").read_text(encoding="utf-8").splitlines())


@cache
def general_hash() -> str:
    """Content hash of text and prompts."""
    return content_hash([[[s.title, s.text] for s in segments()], list(prompts())])
