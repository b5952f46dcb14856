"""PDF: the text of every page, headings where the file's own outline names them.

It does not read images: a scanned page has no text, and a file of such pages is left out.
"""

import io
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any, Final

from rag_adapt.retrieval.parsers.parsed import Parsed, UnusableError
from rag_adapt.retrieval.parsers.plain import unix_lines

if TYPE_CHECKING:
    from pypdf import PdfReader

BETWEEN: Final = "\n\n"
"""Stands between two pages."""
DEEPEST: Final = 6
MOST_TITLES: Final = 10_000


def parse_pdf(raw: bytes) -> Parsed:
    """Pages in order; an empty one keeps its place, so that numbers are the file's own.

    Raises:
        UnusableError: it is no PDF, broken, locked by a password, or holds no text.
    """
    from pypdf.errors import DependencyError, PyPdfError

    if b"%PDF-" not in raw[:1024]:
        raise UnusableError("it is not a PDF, whatever its name says")
    try:
        reader = _opened(raw)
        pages = [unix_lines(page.extract_text()).strip() for page in reader.pages]
        titles = _titles(reader)
    except DependencyError as error:
        raise UnusableError("encrypted in a way that is not read") from error
    except (PyPdfError, ValueError, TypeError, KeyError, AttributeError, IndexError) as error:
        raise UnusableError(f"a broken PDF: {error}") from error
    if not any(pages):
        raise UnusableError("no text: its pages hold images or nothing")
    marked = [_with_headings(page, titles.get(place, ())) for place, page in enumerate(pages)]
    notes = _notes(pages)
    return Parsed(text=BETWEEN.join(marked), pages=_starts(marked), notes=notes)


def _opened(raw: bytes) -> "PdfReader":
    from pypdf import PdfReader

    reader = PdfReader(io.BytesIO(raw))
    if reader.is_encrypted and not reader.decrypt(""):
        raise UnusableError("locked by a password")
    return reader


def _titles(reader: "PdfReader") -> dict[int, list[tuple[int, str]]]:
    """Level and words of each title of the outline, by the page it leads to, from 0."""
    from pypdf.errors import PyPdfError

    found: dict[int, list[tuple[int, str]]] = {}
    try:
        for count, (level, entry) in enumerate(_entries(reader.outline, 1)):
            if count >= MOST_TITLES:
                break
            page = reader.get_destination_page_number(entry)
            if page is not None and entry.title:
                found.setdefault(page, []).append((level, _words(str(entry.title))))
    except (PyPdfError, ValueError, TypeError, KeyError, AttributeError, IndexError):
        return {}  # an outline is a convenience; the pages are there without it
    return found


def _entries(outline: Any, level: int) -> Iterator[tuple[int, Any]]:
    for entry in outline:
        if isinstance(entry, list):
            yield from _entries(entry, level + 1)
        else:
            yield min(level, DEEPEST), entry


def _with_headings(page: str, titles: Any) -> str:
    """A line that is a title of the outline becomes a heading of its level."""
    levels = {words: level for level, words in titles if words}
    if not levels:
        return page
    lines = []
    for line in page.split("\n"):
        level = levels.pop(_words(line), None)
        lines.append(line if level is None else f"\n{'#' * level} {line.strip()}\n")
    return "\n".join(lines).strip()


def _words(text: str) -> str:
    return " ".join(text.split())


def _starts(pages: list[str]) -> tuple[int, ...]:
    starts = [0]
    for page in pages[:-1]:
        starts.append(starts[-1] + len(page) + len(BETWEEN))
    return tuple(starts)


def _notes(pages: list[str]) -> tuple[str, ...]:
    if empty := sum(not page for page in pages):
        return (f"{empty} of {len(pages)} pages hold no text",)
    return ()
