"""Bytes to characters: which encoding they are in, and what of it nobody can see.

It does not know formats. **Nothing that a reader cannot see reaches a model unreported.**
"""

import codecs
import re
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Final

from rag_adapt.retrieval.parsers.parsed import Parsed, UnusableError

DECLARED: Final = re.compile(
    rb"""<(?:meta|\?xml)[^>]{0,200}?\b(?:charset|encoding)\s*=\s*["']?\s*
    ([A-Za-z0-9_.:-]{2,40})""",
    re.IGNORECASE | re.VERBOSE,
)
HEAD: Final = 1024
"""Bytes in which a page declares its encoding, as browsers look for it."""
SAMPLE: Final = 1 << 16
"""Bytes from which an encoding is guessed."""
NAMED: Final = 5
"""Kinds of invisible characters that are named."""
_MARKS: Final = (
    (codecs.BOM_UTF8, "utf-8"),
    (codecs.BOM_UTF32_LE, "utf-32"),
    (codecs.BOM_UTF32_BE, "utf-32"),
    (codecs.BOM_UTF16_LE, "utf-16"),
    (codecs.BOM_UTF16_BE, "utf-16"),
)
_WITHOUT_MARK: Final = "utf_7 utf_16 utf_16_be utf_16_le utf_32 utf_32_be utf_32_le".split()
"""What short texts of other encodings are easily taken for."""
_JOINERS: Final = "\u200c\u200d"
_SELECTORS: Final = "\ufe00-\ufe0f\U000e0100-\U000e01ef"
_HIDDEN: Final = (
    "\x01-\x08\x0b\x0e-\x1f\x7f-\x84\x86-\x9f\xad\u034f\u061c\u180b-\u180e\u200b\u200e\u200f"
    "\u202a-\u202e\u2060-\u206f\u3164\ufeff\uffa0\ufff9-\ufffb\U000e0000-\U000e007f"
)
_SUSPECT: Final = re.compile(f"[{_HIDDEN}{_JOINERS}{_SELECTORS}]")
"""Most texts hold none of these, and need no closer look."""
_INVISIBLE: Final = re.compile(
    f"[{_HIDDEN}]|(?<![^\x00-\x7f])[{_JOINERS}]|[{_JOINERS}](?![^\x00-\x7f])"
    f"|(?<=[{_SELECTORS}])[{_SELECTORS}]+|(?<![^\\s])[{_SELECTORS}]"
)
"""Control and format characters, tags, and whatever joins or selects where nothing is to be
joined: joiners belong between letters of scripts beyond ASCII and inside emoji, and one selector
stands behind a character."""
_SURROGATE: Final = re.compile("[\ud800-\udfff]")


@dataclass(frozen=True, kw_only=True)
class Decoded:
    """Characters, and how they were found."""

    text: str
    encoding: str


def decode_text(raw: bytes, *, declared: str | None = None) -> Decoded:
    """UTF-8 where it is that, else by byte order mark, by declaration, or by guess.

    Raises:
        UnusableError: it is no text.
    """
    for mark, name in _MARKS:
        if raw.startswith(mark):
            return _decoded(raw, "utf-8-sig" if name == "utf-8" else name, name)
    try:
        return Decoded(text=raw.decode(), encoding="utf-8")
    except UnicodeDecodeError as error:
        if b"\0" in raw:
            raise UnusableError("binary: it holds a NUL character") from error
        return _decoded(raw, *(2 * (declared or _guessed(raw, error),)))


def declared_encoding(raw: bytes) -> str | None:
    """What a page says of itself; None where it says nothing that is known."""
    if (match := DECLARED.search(raw[:HEAD])) is None:
        return None
    name = match[1].decode("ascii").lower()
    if name in ("iso-8859-1", "latin1", "us-ascii", "ascii"):
        return "windows-1252"  # as browsers take it
    try:
        return codecs.lookup(name).name if name != "utf-7" else None
    except LookupError:
        return None


def encoding_notes(decoded: Decoded) -> tuple[str, ...]:
    """A note where it was not UTF-8."""
    return () if decoded.encoding == "utf-8" else (f"read as {decoded.encoding}",)


def cleaned(parsed: Parsed) -> Parsed:
    """Without invisible characters, with pages moved accordingly and a note of what went.

    Raises:
        UnusableError: it holds NUL characters, or nothing at all.
    """
    text = _SURROGATE.sub("\ufffd", parsed.text)
    if "\0" in text:
        raise UnusableError("binary: it holds a NUL character")
    found = list(_INVISIBLE.finditer(text)) if _SUSPECT.search(text) else []
    if found:
        marks = (0, *parsed.pages, len(text)) if parsed.pages else (0, len(text))
        parts = [_INVISIBLE.sub("", text[start:end]) for start, end in pairwise(marks)]
        pages = _starts(parts[1:]) if parsed.pages else ()
        notes = (*parsed.notes, _note([match[0] for match in found]))
        parsed = Parsed(text="".join(parts), pages=pages, notes=notes)
    elif text is not parsed.text:
        parsed = Parsed(text=text, pages=parsed.pages, notes=parsed.notes)
    if not parsed.text.strip():
        raise UnusableError("empty")
    return parsed


def _decoded(raw: bytes, codec: str, name: str) -> Decoded:
    try:
        return Decoded(text=raw.decode(codec), encoding=name)
    except UnicodeDecodeError as error:
        byte = raw[error.start]
        raise UnusableError(f"not {name.upper()}: byte {error.start} is {byte:#04x}") from error


def _guessed(raw: bytes, error: UnicodeDecodeError) -> str:
    from charset_normalizer import from_bytes

    around = raw[max(0, error.start - SAMPLE // 2) :][:SAMPLE]
    best = from_bytes(around, cp_exclusion=list(_WITHOUT_MARK)).best()
    if best is None:
        raise UnusableError(
            f"not UTF-8: byte {error.start} is {raw[error.start]:#04x}; no other encoding fits"
        ) from error
    return str(best.encoding)


def _starts(parts: Sequence[str]) -> tuple[int, ...]:
    starts = [0]
    for part in parts[:-1]:
        starts.append(starts[-1] + len(part))
    return tuple(starts)


def _note(found: Sequence[str]) -> str:
    kinds = Counter(char for run in found for char in run)
    named = ", ".join(f"U+{ord(char):04X} x{n}" for char, n in kinds.most_common(NAMED))
    more = f" and {len(kinds) - NAMED} kinds more" if len(kinds) > NAMED else ""
    return f"{kinds.total()} invisible characters removed: {named}{more}"
