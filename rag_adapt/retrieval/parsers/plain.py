"""Markdown and text: what they say is what is searched.

It does not know tables of encodings or structure; the chunker finds headings itself.
"""

from typing import Final

from rag_adapt.retrieval.parsers.encoding import decode_text, encoding_notes
from rag_adapt.retrieval.parsers.parsed import Parsed, UnusableError

_OTHERS: Final = (
    (b"%PDF-", "a PDF", ".pdf"),
    (b"PK\x03\x04", "a zip archive or an office document", ".docx"),
    (b"\xd0\xcf\x11\xe0", "an old office document", ".docx, after saving it as such"),
    (b"\x89PNG", "an image", ""),
    (b"\xff\xd8\xff", "an image", ""),
    (b"\x1f\x8b", "compressed", ""),
)


def parse_plain(raw: bytes) -> Parsed:
    """The text itself.

    Raises:
        UnusableError: it is no text.
    """
    refuse_other(raw)
    decoded = decode_text(raw)
    return Parsed(text=unix_lines(decoded.text), notes=encoding_notes(decoded))


def refuse_other(raw: bytes) -> None:
    """Say what a file is that only its name calls a text.

    Raises:
        UnusableError: it is something else.
    """
    for start, what, suffix in _OTHERS:
        if raw.startswith(start):
            rename = f"; give it a name that ends in {suffix}" if suffix else ""
            raise UnusableError(f"it is {what}, not what its name says{rename}")


def unix_lines(text: str) -> str:
    """With `\\n` at the end of every line."""
    return text.replace("\r\n", "\n").replace("\r", "\n")
