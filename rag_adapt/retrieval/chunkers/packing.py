"""Packs whole sentences into chunks until the next one would not fit.

It does not know what sentences say.
"""

from dataclasses import dataclass

from rag_adapt.retrieval.chunk import DEFAULT_TOKENS
from rag_adapt.retrieval.chunkers.sentences import Sentences, check_tokens, sentences
from rag_adapt.retrieval.protocols import ChunkSpan


@dataclass(frozen=True, kw_only=True)
class PackingChunker:
    """Sentences in order, as many as fit into `tokens`; chunks end where a section ends.

    Raises:
        CollectionError: at construction, if `tokens` is out of range.
    """

    tokens: int = DEFAULT_TOKENS

    def __post_init__(self) -> None:
        check_tokens(self.tokens)

    def spec(self) -> dict[str, object]:
        """See `Chunker.spec`."""
        return {"kind": "packing", "tokens": self.tokens, "version": 1}

    def chunk(self, text: str) -> tuple[ChunkSpan, ...]:
        """See `Chunker.chunk`."""
        found = sentences(text, self.tokens)
        return tuple(span for each in found for span in each.spans(packed(each, self.tokens)))


def packed(section: Sentences, tokens: int) -> list[int]:
    """Cuts such that every chunk is as full as whole sentences allow."""
    cuts: list[int] = []
    for last in range(1, len(section) + 1):
        if section.tokens(cuts[-1] if cuts else 0, last) > tokens:
            cuts.append(last - 1)
    return cuts
