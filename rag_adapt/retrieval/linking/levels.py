"""The level of a unit: an atomic fact, a rule, a whole concept, a bridge between concepts.

It does not know search. Rules of thumb, in English; a text that names its levels is believed.
"""

import re
from collections import Counter
from collections.abc import Mapping
from typing import Final

from rag_adapt.retrieval.chunk import token_starts
from rag_adapt.retrieval.linking.given import given_levels
from rag_adapt.retrieval.linking.terms import terms_of
from rag_adapt.retrieval.linking.units import Level, Unit, Units

LEVELS: Final[tuple[Level, ...]] = (1, 2, 3, 4)
NAMES: Final[Mapping[int, str]] = {1: "fact", 2: "rule", 3: "concept", 4: "bridge"}
FEWEST_SECTIONS: Final = 2
"""Other sections that a bridge names."""
CONCEPT_TOKENS: Final = 40
"""Estimated tokens that define a concept, at least."""
_RULE: Final = re.compile(
    r"\b(?:must|shall|should|never|always|only if|unless|whenever|required?|not allowed|forbidden"
    r"|may not|need(?:s)? to|ha(?:s|ve) to|do not|if\b[^.]{3,120}\bthen)\b",
    re.IGNORECASE,
)
_CONCEPT: Final = re.compile(
    r"\b(?:is|are) (?:an?|the|any|defined as|called)\b|\b(?:means|refers to|consists of"
    r"|describes|overview|introduction|defin(?:es|ition)|concept)\b",
    re.IGNORECASE,
)


def levels_of(units: Units) -> dict[int, Level]:
    """The level of every unit: as its text says, else by its words and its place.

    A bridge names the titles of two other sections or documents; a concept opens a section and
    defines something; a rule says what must be or follows from what; the rest are facts.
    """
    titles = _titles(units)
    opened: set[tuple[str, tuple[str, ...]]] = set()
    found: dict[int, Level] = {}
    for unit in units.units:
        place = (unit.document, unit.headings)
        found[unit.chunk] = _level(unit, opens=place not in opened, titles=titles)
        opened.add(place)
    return {**found, **given_levels(units)}


def _level(unit: Unit, *, opens: bool, titles: frozenset[str]) -> Level:
    named = terms_of(unit.text) & titles
    if len(named - {_title(unit)}) >= FEWEST_SECTIONS:
        return 4
    long = len(token_starts(unit.text)) >= CONCEPT_TOKENS
    if opens and long and _CONCEPT.search(unit.text):
        return 3
    return 2 if _RULE.search(unit.text) else 1


def _titles(units: Units) -> frozenset[str]:
    """Titles of sections by themselves, in small letters, where one section alone has them."""
    paths = {(unit.document, unit.headings) for unit in units.units if unit.headings}
    counts = Counter(headings[-1].strip().lower() for _, headings in paths)
    return frozenset(title for title, count in counts.items() if count == 1)


def _title(unit: Unit) -> str:
    return unit.headings[-1].strip().lower() if unit.headings else ""
