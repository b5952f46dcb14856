"""Sentences of a text with exact spans: what packing, tension and random cuts are made of.

It does not know how sentences are put together again.
"""

import re
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import pairwise
from typing import Final

from rag_adapt.core.errors import CollectionError
from rag_adapt.retrieval.chunk import DEFAULT_TOKENS, MAX_TOKENS, Cutter, Section, sections
from rag_adapt.retrieval.protocols import ChunkSpan

_END: Final = re.compile(
    r"(?<=[.!?])\s+|(?<=[。！？])\s*|\n[ \t]*\n\s*|\n(?=[ \t]*(?:[-*+|]|\d+[.)])\s?)"
)
"""After a sentence, between paragraphs, before the items of a list and the rows of a table."""


@dataclass(frozen=True, kw_only=True)
class Sentences:
    """The sentences of one section: at least one, none of them longer than a chunk may be."""

    text: str
    """The whole text that they come from."""
    starts: tuple[int, ...]
    """Where each begins, in characters."""
    ends: tuple[int, ...]
    """Where each ends; blanks between two belong to neither."""
    before: tuple[int, ...]
    """Estimated tokens of the text that begin before each."""
    through: tuple[int, ...]
    """Those that begin before its end."""
    headings: tuple[str, ...]

    def __len__(self) -> int:
        return len(self.starts)

    def tokens(self, first: int, last: int) -> int:
        """Estimated tokens from the beginning of one sentence to before another."""
        return self.through[last - 1] - self.before[first] if first < last else 0

    def texts(self) -> list[str]:
        """The sentences themselves."""
        places = zip(self.starts, self.ends, strict=True)
        return [self.text[start:end] for start, end in places]

    def spans(self, cuts: list[int]) -> Iterator[ChunkSpan]:
        """The chunks between cuts: numbers of the sentences before which they lie, ascending."""
        for first, last in pairwise([0, *cuts, len(self)]):
            yield ChunkSpan(
                start=self.starts[first], end=self.ends[last - 1], headings=self.headings
            )


def sentences(text: str, limit: int) -> Iterator[Sentences]:
    """The sentences of each section; what is longer than `limit` tokens is cut further.

    A heading belongs to the sentence under it.
    """
    cutter = Cutter(text=text, limit=limit)
    for section in sections(text):
        pieces = [piece for each in _split(cutter, section) for piece in cutter.within(*each)]
        if pieces:
            yield Sentences(
                text=text,
                starts=tuple(start for start, _ in pieces),
                ends=tuple(end for _, end in pieces),
                before=tuple(cutter.count(0, start) for start, _ in pieces),
                through=tuple(cutter.count(0, end) for _, end in pieces),
                headings=section.headings,
            )


def check_tokens(tokens: int) -> None:
    """Refuse a size of chunks that is out of range.

    Raises:
        CollectionError: it is.
    """
    if not 1 <= tokens <= MAX_TOKENS:
        raise CollectionError(
            f"chunks of {tokens} tokens are out of range",
            hint=f"Choose 1 to {MAX_TOKENS}: `--chunk-tokens {DEFAULT_TOKENS}`.",
        )


def _split(cutter: Cutter, section: Section) -> Iterator[tuple[int, int]]:
    after = cutter.text[section.body : section.end]
    body = section.end - len(after.lstrip())
    found = (match.end() for match in _END.finditer(cutter.text, section.start, section.end))
    yield from pairwise([section.start, *(cut for cut in found if body < cut), section.end])
