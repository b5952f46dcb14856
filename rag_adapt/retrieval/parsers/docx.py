"""DOCX: paragraphs, headings, lists and tables in their order.

It does not read images, comments or headers, follows no link, and writes nothing anywhere.
"""

import io
import re
import zipfile
import zlib
from collections.abc import Iterator
from pathlib import PurePosixPath
from typing import TYPE_CHECKING, Final

from rag_adapt.retrieval.parsers.parsed import Parsed, UnusableError

if TYPE_CHECKING:
    from docx.document import Document
    from docx.table import Table
    from docx.text.paragraph import Paragraph

MOST_BYTES: Final = 200 << 20
"""Of everything in the archive, unpacked."""
MOST_PARTS: Final = 10_000
ARCHIVE_FAULTS: Final = (
    zipfile.BadZipFile,
    zlib.error,
    EOFError,
    OSError,
    RuntimeError,
    ValueError,
)
"""What the standard library raises over broken archives."""
_LEVEL: Final = re.compile(r"heading ([1-9])", re.IGNORECASE)
_BREAKS: Final = re.compile(r"\s*\n\s*")


def parse_docx(raw: bytes) -> Parsed:
    """The body's text; headings by their styles.

    Raises:
        UnusableError: it is no DOCX, broken, would unpack to too much, or is built to harm.
    """
    from docx import Document
    from docx.opc.exceptions import OpcError
    from lxml.etree import LxmlError

    _check_archive(raw)
    try:
        document = Document(io.BytesIO(raw))
        blocks = [block for block in _blocks(document) if block]
    except (OpcError, LxmlError, KeyError, AttributeError, IndexError, *ARCHIVE_FAULTS) as error:
        raise UnusableError(f"a broken DOCX: {error}") from error
    return Parsed(text="\n\n".join(blocks))


def _check_archive(raw: bytes) -> None:
    """Refuse bombs, names that lead out, locked archives, and entities, before any is unpacked."""
    if not raw.startswith(b"PK"):
        raise UnusableError("it is not a DOCX, whatever its name says")
    try:
        with zipfile.ZipFile(io.BytesIO(raw)) as archive:
            parts = archive.infolist()
            _check_sizes(parts)
            for part in parts:
                _check_part(archive, part)
    except ARCHIVE_FAULTS as error:
        raise UnusableError(f"a broken archive: {error}") from error


def _check_sizes(parts: list[zipfile.ZipInfo]) -> None:
    """What an archive says of its sizes is what the library unpacks at most."""
    size = sum(part.file_size for part in parts)
    if size > MOST_BYTES or len(parts) > MOST_PARTS:
        raise UnusableError(
            f"an archive of {len(parts)} parts with {size} bytes, more than {MOST_PARTS} and "
            f"{MOST_BYTES}"
        )
    if "word/document.xml" not in {part.filename for part in parts}:
        raise UnusableError("it is not a DOCX: it has no word/document.xml")


def _check_part(archive: zipfile.ZipFile, part: zipfile.ZipInfo) -> None:
    path = PurePosixPath(part.filename.replace("\\", "/"))
    if path.is_absolute() or ".." in path.parts:
        raise UnusableError(f"an archive with a name that leads out of it: {part.filename!r}")
    if part.flag_bits & 1:
        raise UnusableError("an archive locked by a password")
    if path.suffix in (".xml", ".rels"):
        with archive.open(part) as file:
            head = file.read(4096)
        if b"<!DOCTYPE" in head.replace(b"\0", b""):
            raise UnusableError(f"{part.filename!r} declares entities, which no DOCX does")


def _blocks(document: "Document") -> Iterator[str]:
    from docx.table import Table

    for block in document.iter_inner_content():
        yield _table(block) if isinstance(block, Table) else _paragraph(block)


def _paragraph(paragraph: "Paragraph") -> str:
    text = paragraph.text.strip()
    style = (paragraph.style.name or "") if paragraph.style is not None else ""
    if not text:
        return ""
    if style.lower() == "title":
        return f"# {_BREAKS.sub(' ', text)}"
    if match := _LEVEL.match(style):
        return f"{'#' * min(int(match[1]), 6)} {_BREAKS.sub(' ', text)}"
    return f"- {text}" if style.lower().startswith("list") else text


def _table(table: "Table") -> str:
    rows = []
    for row in table.rows:
        cells: list[str] = []
        for cell in row.cells:  # a merged cell comes once for each column it covers
            text = _BREAKS.sub(" ", cell.text.strip())
            if text and (not cells or cells[-1] != text):
                cells.append(text)
        rows.append(" | ".join(cells))
    return "\n".join(row for row in rows if row)
