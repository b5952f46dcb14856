"""HTML: what a reader of the page would see, with its headings, lists and tables.

It does not run scripts, and fetches nothing. What the page hides is left out and reported.
"""

import re
from dataclasses import dataclass, field
from typing import Any, Final

from rag_adapt.retrieval.parsers.encoding import declared_encoding, decode_text, encoding_notes
from rag_adapt.retrieval.parsers.parsed import Parsed, UnusableError
from rag_adapt.retrieval.parsers.plain import refuse_other, unix_lines

SKIPPED: Final = frozenset(
    "script style noscript template head iframe object embed svg math canvas audio video "
    "select datalist button input textarea".split()
)
BLOCKS: Final = frozenset(
    "address article aside blockquote body center dd details dialog div dl dt fieldset figcaption "
    "figure footer form h1 h2 h3 h4 h5 h6 header hr li main nav ol p pre section summary table "
    "tbody tfoot thead tr ul".split()
)
TIGHT: Final = frozenset({"li", "dt", "dd", "tr"})
"""Blocks that begin on a new line, without an empty one before."""
_HIDING: Final = re.compile(r"display\s*:\s*none|visibility\s*:\s*hidden", re.IGNORECASE)
_BLANKS: Final = re.compile(r"[ \t\n\f]+")
_LINES: Final = re.compile(r"\n{3,}")


def parse_html(raw: bytes) -> Parsed:
    """The page's text.

    Raises:
        UnusableError: it is no text, or no page.
    """
    from lxml import etree, html

    refuse_other(raw)
    decoded = decode_text(raw, declared=declared_encoding(raw))
    if "\0" in decoded.text:
        raise UnusableError("binary: it holds a NUL character")
    parser = html.HTMLParser(
        no_network=True, remove_comments=True, remove_pis=True, encoding="utf-8"
    )
    try:
        root = html.document_fromstring(unix_lines(decoded.text).encode("utf-8", "replace"), parser)
    except etree.LxmlError as error:
        raise UnusableError(f"no page can be made of it: {error}") from error
    page = _Page()
    page.walk(root)
    return Parsed(text=page.text(), notes=(*encoding_notes(decoded), *page.notes()))


@dataclass(kw_only=True)
class _Page:
    """What was read so far; the walk needs no recursion, however deep the page is."""

    parts: list[str] = field(default_factory=list)
    hidden: int = 0
    _verbatim: int = 0

    def text(self) -> str:
        """The whole page, blank lines at most one at a time."""
        lines = "".join(self.parts).split("\n")
        return _LINES.sub("\n\n", "\n".join(line.rstrip(" ") for line in lines)).strip()

    def notes(self) -> tuple[str, ...]:
        """What was left out."""
        return (f"{self.hidden} hidden elements left out",) if self.hidden else ()

    def walk(self, root: Any) -> None:
        """Every element in the order of the page, opened and closed in turn."""
        waiting: list[tuple[Any, bool]] = [(root, False)]
        while waiting:
            element, closing = waiting.pop()
            if closing:
                self._close(element)
            elif self._open(element):
                waiting.append((element, True))
                waiting.extend((child, False) for child in reversed(element))

    def _open(self, element: Any) -> bool:
        """Whether what is inside is read."""
        tag = element.tag if isinstance(element.tag, str) else ""
        if tag in SKIPPED or not tag or self._hides(element):
            self._add(element.tail)
            return False
        if tag in BLOCKS:
            self._begin(tag)
        if tag == "br":
            self.parts.append("\n")
        if tag == "img":
            self._add(element.get("alt"))
        self._add(element.text)
        return True

    def _close(self, element: Any) -> None:
        tag = element.tag
        if tag == "pre":
            self._verbatim -= 1
            self.parts.append("\n```")
        if tag in BLOCKS:
            self.parts.append("\n" if tag in TIGHT else "\n\n")
        elif tag in ("td", "th") and element.getnext() is not None:
            self.parts.append(" | ")
        self._add(element.tail)

    def _begin(self, tag: str) -> None:
        if self.parts and not self.parts[-1].endswith("\n"):
            self.parts.append("\n" if tag in TIGHT else "\n\n")
        if tag == "li":
            self.parts.append("- ")
        elif tag == "pre":
            self._verbatim += 1
            self.parts.append("```\n")
        elif tag[0] == "h" and tag[1:].isdigit():
            self.parts.append("#" * int(tag[1:]) + " ")

    def _hides(self, element: Any) -> bool:
        hidden = "hidden" in element.attrib or _HIDING.search(element.get("style", ""))
        self.hidden += bool(hidden)
        return bool(hidden)

    def _add(self, text: str | None) -> None:
        if not text:
            return
        if self._verbatim:
            self.parts.append(text)
            return
        shown = _BLANKS.sub(" ", text)
        last = self.parts[-1] if self.parts else "\n"
        if last.endswith(("\n", " ")):
            shown = shown.lstrip(" ")
        if shown:
            self.parts.append(shown)
