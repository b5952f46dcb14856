"""Which kinds of files are read, and by what.

It does not know folders. A new kind is its own file and one line of `KINDS`.
"""

import hashlib
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from rag_adapt.core.errors import CollectionError
from rag_adapt.retrieval.parsers.docx import parse_docx
from rag_adapt.retrieval.parsers.encoding import cleaned
from rag_adapt.retrieval.parsers.html import parse_html
from rag_adapt.retrieval.parsers.parsed import Parsed, UnusableError, without_remarks
from rag_adapt.retrieval.parsers.pdf import parse_pdf
from rag_adapt.retrieval.parsers.plain import parse_plain
from rag_adapt.retrieval.parsers.table import parse_csv, parse_jsonl

TEXT_BYTES: Final = 20 << 20
"""Size of the largest text that is read."""
PACKED_BYTES: Final = 100 << 20
"""Size of the largest PDF or DOCX: most of it is images and fonts."""
MOST_CHARACTERS: Final = 20_000_000


@dataclass(frozen=True, kw_only=True)
class Kind:
    """One kind of documents."""

    name: str
    parse: Callable[[bytes], Parsed]
    most_bytes: int = TEXT_BYTES
    version: int = 2
    """Counts the changes that give other texts for the same bytes: they are read again then."""

    @property
    def parser(self) -> str:
        """Which parser a text came from, for the record."""
        return f"{self.name}-{self.version}"


PLAIN: Final = Kind(name="plain", parse=parse_plain)
_HTML: Final = Kind(name="html", parse=parse_html)
_JSONL: Final = Kind(name="jsonl", parse=parse_jsonl)
KINDS: Final[Mapping[str, Kind]] = {
    ".md": PLAIN,
    ".markdown": PLAIN,
    ".txt": PLAIN,
    ".text": PLAIN,
    ".html": _HTML,
    ".htm": _HTML,
    ".xhtml": _HTML,
    ".pdf": Kind(name="pdf", parse=parse_pdf, most_bytes=PACKED_BYTES),
    ".docx": Kind(name="docx", parse=parse_docx, most_bytes=PACKED_BYTES),
    ".csv": Kind(name="csv", parse=parse_csv),
    ".jsonl": _JSONL,
    ".ndjson": _JSONL,
}
"""By the end of a file's name, in small letters."""


def parse_bytes(kind: Kind, raw: bytes, *, most: int = MOST_CHARACTERS) -> Parsed:
    """The text of a file's bytes, of `most` characters, without anything invisible or marks.

    Raises:
        UnusableError: it cannot be used, and why.
    """
    if not raw:
        raise UnusableError("empty")
    parsed = without_remarks(cleaned(kind.parse(raw)))
    if len(parsed.text) > most:
        raise UnusableError(f"{len(parsed.text)} characters, more than {most}")
    return parsed


def parse_file(asked: dict[str, Any]) -> dict[str, Any]:
    """The task of a confined process: the text of the file at `path`, as `suffix` says.

    Raises:
        CollectionError: its fact says why the file cannot be used.
    """
    kind = KINDS[asked["suffix"]]
    with Path(asked["path"]).open("rb") as file:
        raw = file.read(kind.most_bytes + 1)
    try:
        if len(raw) > kind.most_bytes:
            raise UnusableError(f"larger than {kind.most_bytes} bytes")
        parsed = parse_bytes(kind, raw)
    except UnusableError as error:
        raise CollectionError(str(error), hint="Mend the file, or leave it out.") from error
    return {**parsed.as_json(), "raw": hashlib.sha256(raw).hexdigest()}
