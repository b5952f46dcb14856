"""Cuts after a fixed number of tokens, whatever stands there: what every other way must beat.

It does not know sentences or paragraphs, only words and headings.
"""

from dataclasses import dataclass

from rag_adapt.retrieval.chunk import DEFAULT_TOKENS, Cutter, sections
from rag_adapt.retrieval.chunkers.sentences import check_tokens
from rag_adapt.retrieval.protocols import ChunkSpan


@dataclass(frozen=True, kw_only=True)
class FixedChunker:
    """As many words as fit into `tokens`; chunks end where a section ends.

    Raises:
        CollectionError: at construction, if `tokens` is out of range.
    """

    tokens: int = DEFAULT_TOKENS

    def __post_init__(self) -> None:
        check_tokens(self.tokens)

    def spec(self) -> dict[str, object]:
        """See `Chunker.spec`."""
        return {"kind": "fixed", "tokens": self.tokens, "version": 1}

    def chunk(self, text: str) -> tuple[ChunkSpan, ...]:
        """See `Chunker.chunk`."""
        cutter = Cutter(text=text, limit=self.tokens)
        return tuple(
            ChunkSpan(start=start, end=end, headings=section.headings)
            for section in sections(text)
            for start, end in cutter.words(section.start, section.end)
        )
