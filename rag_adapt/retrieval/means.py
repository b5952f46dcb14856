"""Refuses a document that would cost too much to index, before it is cut or embedded.

It does not know files, chunkers or embedders: it judges a text by what any of them would do.
"""

import re
from typing import Final

from rag_adapt.retrieval.chunk import token_starts
from rag_adapt.retrieval.parsers.parsed import UnusableError

MOST_TOKENS: Final = 1_000_000
"""Estimated tokens of one document: some 6 MB of English, 700 pages of Chinese. At the default
size of chunks they are 8,400 texts to be embedded."""
MOST_HEADINGS: Final = 20_000
"""Each begins a chunk, however short it is."""
PIECE: Final = 100_000
"""Characters whose tokens are counted at a time."""
_HEADING: Final = re.compile(r"^ {0,3}#", re.MULTILINE)


def check_means(
    text: str, *, most_tokens: int = MOST_TOKENS, most_headings: int = MOST_HEADINGS
) -> None:
    """Count no further than needed: the tokens of a text take fifty times its memory.

    Args:
        text: One document, as it was parsed.
        most_tokens: Estimated tokens that it may have.
        most_headings: Headings that it may have.

    Raises:
        UnusableError: it has more.
    """
    tokens = headings = 0
    for start in range(0, len(text), PIECE):
        piece = text[start : start + PIECE]
        tokens += len(token_starts(piece))
        headings += sum(1 for _ in _HEADING.finditer(piece))
        if tokens > most_tokens:
            raise _too_much(f"{most_tokens} tokens")
        if headings > most_headings:
            raise _too_much(f"{most_headings} headings")


def _too_much(bound: str) -> UnusableError:
    return UnusableError(f"it has more than {bound}; split it into smaller files")
