"""Cuts small, and has every chunk embedded and searched for words together with those beside it.

It does not know how the chunks are cut.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from itertools import groupby

from rag_adapt.retrieval.protocols import Chunker, ChunkSpan


@dataclass(frozen=True, kw_only=True)
class WindowChunker:
    """The chunks of another chunker, each read with the one before and after it in its section.

    A window is three chunks wide and moves by one, so windows overlap; what is found, cited and
    counted against a budget stays the chunk in its middle.
    """

    of: Chunker

    def spec(self) -> dict[str, object]:
        """See `Chunker.spec`."""
        return {"kind": "windows", "of": self.of.spec(), "version": 1}

    def chunk(self, text: str) -> tuple[ChunkSpan, ...]:
        """See `Chunker.chunk`."""
        sections = groupby(self.of.chunk(text), key=lambda span: span.headings)
        return tuple(span for _, section in sections for span in _windows(tuple(section)))


def _windows(section: Sequence[ChunkSpan]) -> Iterator[ChunkSpan]:
    befores, afters = (section[0], *section[:-1]), (*section[1:], section[-1])
    for left, span, right in zip(befores, section, afters, strict=True):
        yield replace(span, before=span.start - left.start, after=right.end - span.end)
