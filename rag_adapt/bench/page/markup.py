"""Markup in which foreign text cannot become anything but text.

It does not know reports or charts. A plain string is foreign and is escaped; `Html` alone is kept.
"""

import csv
import html
import io
import json
import unicodedata
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any, Final
from urllib.parse import quote

from rag_adapt.bench.export import FORMULA_STARTS

SHOWN: Final = 240
"""Characters of a foreign text that stand on the page at once."""
KEPT: Final = 4000
"""Characters of a foreign text that the page carries at most."""
_VOID: Final = frozenset({"meta", "br", "hr"})
_HIDDEN: Final = frozenset({"Cc", "Cf", "Cs", "Zl", "Zp"})
"""Unicode categories that a browser would obey or hide rather than show."""


_WANTED: Final = frozenset("\n\t\u200c\u200d\u00ad")
"""Of these, what honest writing needs: line ends, joiners of scripts and emoji, soft hyphens."""


class Html(str):
    """Markup made by this package; everything else is text."""

    __slots__ = ()


Child = str | int | None | Iterable["Child"]


def el(name: str, /, *children: Child, **attributes: str | bool | None) -> Html:
    """An element; children that are not `Html` are escaped, None is left out.

    Attribute names lose a trailing underscore and turn other underscores into dashes: `class_`,
    `data_name`. True is an attribute without a value; None and False leave it out.
    """
    shown = "".join(
        f" {_name(key)}" if value is True else f' {_name(key)}="{html.escape(str(value))}"'
        for key, value in attributes.items()
        if value is not None and value is not False
    )
    if name in _VOID:
        return Html(f"<{name}{shown}>")
    return Html(f"<{name}{shown}>{joined(children)}</{name}>")


def _name(key: str) -> str:
    return key.rstrip("_").replace("_", "-")


def joined(children: Child) -> Html:
    """Children one after another, escaped where they are foreign."""
    if children is None:
        return Html("")
    if isinstance(children, Html):
        return children
    if isinstance(children, str | int):
        return _text(str(children))
    return Html("".join(joined(child) for child in children))


def _text(text: str) -> Html:
    """Foreign text: escaped, and characters that hide or reorder others shown by their number."""
    escaped = html.escape(text)
    if escaped.isascii() and escaped.isprintable():
        return Html(escaped)
    return Html("".join(map(_character, escaped)))


def _character(char: str) -> str:
    if char in _WANTED or unicodedata.category(char) not in _HIDDEN:
        return char
    return f'<span class="hidden-character">U+{ord(char):04X}</span>'


def foreign(text: str | None, *, nothing: str = "no answer") -> Html:
    """A text that a model, a document or an item brought: set apart, cut where it is long."""
    if text is None:
        return el("span", nothing, class_="quiet")
    if text == "":
        return el("span", "empty", class_="quiet")
    if len(text) <= SHOWN:
        return el("bdi", text, class_="foreign")
    note = f"all {len(text):,} characters"
    if len(text) > KEPT:
        note = f"{KEPT:,} of {len(text):,} characters; all of them are in answers.jsonl"
    whole = el("bdi", text[:KEPT], class_="foreign")
    return joined(
        [
            el("bdi", text[:SHOWN].rstrip(), class_="foreign"),
            el("span", " … cut", class_="quiet"),
            details(note, el("div", whole, class_="whole")),
        ]
    )


def details(summary: Child, *children: Child, open_: bool = False) -> Html:
    """A part that is folded away until it is asked for."""
    return el("details", el("summary", summary), *children, open=open_)


@dataclass(frozen=True, kw_only=True)
class Column:
    """A column of a table."""

    title: str
    number: bool = False
    """Whether its cells are figures: aligned right, digits of equal width."""


def text_columns(*titles: str) -> tuple[Column, ...]:
    """Columns of words."""
    return tuple(Column(title=title) for title in titles)


def number_columns(*titles: str) -> tuple[Column, ...]:
    """Columns of figures."""
    return tuple(Column(title=title, number=True) for title in titles)


def table(
    caption: str,
    columns: Sequence[Column],
    rows: Iterable[Sequence[Child]],
    *,
    class_: str | None = None,
    captioned: bool = True,
) -> Html:
    """A table in a box of its own that scrolls sideways; the first cell of a row is its head.

    The caption stands outside of that box, so that it can be read whole on a narrow screen; it
    is left to screen readers alone where the words above the table say the same.
    """
    head = el("tr", *(el("th", c.title, scope="col", class_=_kind(c)) for c in columns))
    body = [el("tr", *map(_cell, range(len(columns)), columns, row)) for row in rows]
    if class_ is None and len(columns) <= 4:
        class_ = "small"
    shown = el("table", el("thead", head), el("tbody", *body), class_=class_, aria_label=caption)
    return joined(
        [
            el("p", caption, class_="caption") if captioned else None,
            el("div", shown, class_="scroll", tabindex="0", role="region", aria_label=caption),
        ]
    )


def _kind(column: Column) -> str | None:
    return "number" if column.number else None


def _cell(place: int, column: Column, value: Child) -> Html:
    kind = _kind(column)
    if place == 0:
        return el("th", value, scope="row", class_=kind)
    return el("td", value, class_=kind, data_title=column.title)


def json_text(value: Any) -> Html:
    """JSON that is safe inside a script element: pure ASCII, no `<`, `>` or `&`."""
    text = json.dumps(value, separators=(",", ":"), ensure_ascii=True, allow_nan=False)
    for char in "<>&":
        text = text.replace(char, f"\\u{ord(char):04x}")
    return Html(text)


def csv_address(columns: Sequence[str], rows: Iterable[Sequence[object]]) -> str:
    """A table as a `data:` address; cells that a spreadsheet would run are defused."""
    file = io.StringIO()
    writer = csv.writer(file, lineterminator="\n")
    writer.writerow([_spreadsheet(title) for title in columns])
    writer.writerows([_spreadsheet(cell) for cell in row] for row in rows)
    return f"data:text/csv;charset=utf-8,{quote(file.getvalue(), errors='replace')}"


def _spreadsheet(cell: object) -> object:
    if isinstance(cell, str) and cell.lstrip().startswith(FORMULA_STARTS):
        return f"'{cell}"
    return "" if cell is None else cell
