"""Every way of finding links, by name.

It does not know collections. A new one is its own file and one line of `FINDERS`.
"""

from typing import Final

from rag_adapt.core.errors import CollectionError
from rag_adapt.retrieval.linking.citation import citation_links
from rag_adapt.retrieval.linking.given import given_links
from rag_adapt.retrieval.linking.headings import heading_links
from rag_adapt.retrieval.linking.levels import LEVELS
from rag_adapt.retrieval.linking.meaning import meaning_links
from rag_adapt.retrieval.linking.terms import term_links
from rag_adapt.retrieval.linking.units import Finder, Level, LinkKind

FINDERS: Final[dict[LinkKind, Finder]] = {
    "given": given_links,
    "headings": heading_links,
    "citation": citation_links,
    "terms": term_links,
    "meaning": meaning_links,
}
NONE: Final = "none"
"""What is written for no links at all."""


def link_kinds(written: str) -> tuple[LinkKind, ...]:
    """`terms,meaning` as kinds, each once, in the order of `FINDERS`; `all` and `none` also do.

    Raises:
        CollectionError: one is unknown.

    >>> link_kinds("meaning,terms")
    ('terms', 'meaning')
    """
    asked = {part.strip().lower() for part in written.split(",") if part.strip()}
    if asked == {"all"}:
        return tuple(FINDERS)
    if strange := sorted(asked - {*FINDERS, NONE}):
        raise CollectionError(
            f"there are no links of kind {strange[0]!r}",
            hint=f"Choose from {', '.join(FINDERS)}, or `all` or `none`: `--links terms,meaning`.",
        )
    return tuple(kind for kind in FINDERS if kind in asked)


def level_numbers(written: str) -> tuple[Level, ...]:
    """`1,2` as levels, each once, ascending.

    Raises:
        CollectionError: one is not 1 to 4.
    """
    known: dict[str, Level] = {str(level): level for level in LEVELS}
    asked = {part.strip() for part in written.split(",") if part.strip()}
    if strange := sorted(asked - known.keys()):
        raise CollectionError(
            f"there is no level {strange[0]!r}",
            hint="Levels are 1 (fact), 2 (rule), 3 (concept) and 4 (bridge): `--levels 1,2`.",
        )
    return tuple(level for text, level in known.items() if text in asked)
