"""Keeps passages within a budget of tokens.

It does not know how they were found.
"""

import re
from collections.abc import Sequence
from dataclasses import replace
from typing import Final

from rag_adapt.core.types import Passage
from rag_adapt.retrieval.chunk import WIDE, token_starts

_INSIDE: Final = re.compile(rf"[^\W{WIDE}]{{2}}")
"""Two characters of one word."""


def within_budget(passages: Sequence[Passage], tokens: int) -> tuple[Passage, ...]:
    """The first passages that together hold at most so many estimated tokens.

    The one that does not fit is cut after its last whole word that does, so that rankings with
    chunks of different sizes can be compared at equal length; those after it are left out.

    Raises:
        ValueError: `tokens` is below 1.
    """
    if tokens < 1:
        raise ValueError(f"the budget is {tokens} tokens; it must be 1 at least")
    kept: list[Passage] = []
    left = tokens
    for passage in passages:
        starts = token_starts(passage.text)
        if len(starts) > left:
            kept += _cut(passage, starts[1 : left + 1])
            break
        kept.append(passage)
        left -= len(starts)
    return tuple(kept)


def _cut(passage: Passage, ends: Sequence[int]) -> list[Passage]:
    """The passage up to the last of `ends` that is not inside a word, if there is one."""
    for end in reversed(ends):
        text = passage.text[:end].rstrip()
        if text and not _INSIDE.match(passage.text, end - 1):
            return [replace(passage, end=passage.start + len(text), text=text)]
    return []
