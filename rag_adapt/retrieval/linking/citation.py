"""Links where a text names another place: `[text](other.md#heading)`, `[[Heading]]`, a file's name.

It does not know the web: only documents and headings of the collection are places.
"""

import posixpath
import re
from collections.abc import Iterator, Sequence
from typing import Final
from urllib.parse import unquote

from rag_adapt.retrieval.linking.units import MOST_TARGETS, Link, Unit, Units

_POINTER: Final = re.compile(r"\]\(\s*<?([^)\s>]+)")
_WIKI: Final = re.compile(r"\[\[([^\]|#]+)")
_FILE: Final = re.compile(r"[\w./-]*\w\.[A-Za-z]{2,8}\b")


class Places:
    """The units that documents and headings begin with, by the names that texts use."""

    def __init__(self, units: Sequence[Unit]) -> None:
        self._documents: dict[str, int] = {}
        self._by_name: dict[str, list[int]] = {}
        self._headings: dict[tuple[str, str], int] = {}
        self._titles: dict[str, list[int]] = {}
        seen: set[tuple[str, tuple[str, ...]]] = set()
        for unit in units:
            if unit.document not in self._documents:
                self._documents[unit.document] = unit.chunk
                name = posixpath.basename(unit.document).lower()
                self._by_name.setdefault(name, []).append(unit.chunk)
                stem = posixpath.splitext(name)[0]
                self._titles.setdefault(_slug(stem), []).append(unit.chunk)
            if unit.headings and (unit.document, unit.headings) not in seen:
                seen.add((unit.document, unit.headings))
                slug = _slug(unit.headings[-1])
                self._headings.setdefault((unit.document, slug), unit.chunk)
                self._titles.setdefault(slug, []).append(unit.chunk)

    def pointed(self, document: str, target: str) -> int | None:
        """The unit at a relative path, with or without `#heading`."""
        path, _, heading = unquote(target).partition("#")
        folder = posixpath.dirname(document)
        where = posixpath.normpath(posixpath.join(folder, path)) if path else document
        if heading:
            return self._headings.get((where, _slug(heading)))
        return self._documents.get(where)

    def titled(self, title: str) -> int | None:
        """The unit of a heading or document of that title, where there is one alone."""
        return _only(self._titles.get(_slug(title), []))

    def file(self, name: str) -> int | None:
        """The first unit of a document of that name, where there is one alone."""
        return _only(self._by_name.get(posixpath.basename(name).lower(), []))


def citation_links(units: Units) -> Iterator[Link]:
    """From each unit to the places that its text names, in their order."""
    places = Places(units.units)
    for unit in units.units:
        found = [
            *(places.pointed(unit.document, match[1]) for match in _POINTER.finditer(unit.text)),
            *(places.titled(match[1]) for match in _WIKI.finditer(unit.text)),
            *(places.file(match[0]) for match in _FILE.finditer(unit.text)),
        ]
        targets = dict.fromkeys(each for each in found if each not in (None, unit.chunk))
        for target in list(targets)[:MOST_TARGETS]:
            assert target is not None
            yield Link(source=unit.chunk, target=target, kind="citation", relation="connects_to")


def _slug(title: str) -> str:
    """A title as GitHub writes it into addresses."""
    kept = re.sub(r"[^\w\s-]", "", title.strip().lower())
    return re.sub(r"[\s_]+", "-", kept)


def _only(found: list[int]) -> int | None:
    return found[0] if len(found) == 1 else None
