"""Links by the structure of headings: to what opens a section, the one above and those beside it.

It does not know what is written under them.
"""

from collections.abc import Iterator
from itertools import pairwise

from rag_adapt.retrieval.linking.units import Link, Unit, Units, beside

Path = tuple[str, tuple[str, ...]]
"""A document and titles, outermost first."""


def heading_links(units: Units) -> Iterator[Link]:
    """Up from each unit, and across between the openings of sections under one heading."""
    opening: dict[Path, Unit] = {}
    under: dict[Path, list[Unit]] = {}
    for unit in units.units:
        path = (unit.document, unit.headings)
        if unit.headings and path not in opening:
            opening[path] = unit
            under.setdefault((unit.document, unit.headings[:-1]), []).append(unit)
    for unit in units.units:
        yield from _up(unit, opening)
    for siblings in under.values():
        for one, other in pairwise(siblings):
            if not beside(one, other):
                for source, target in ((one, other), (other, one)):
                    yield Link(
                        source=source.chunk,
                        target=target.chunk,
                        kind="headings",
                        relation="same_level_as",
                    )


def _up(unit: Unit, opening: dict[Path, Unit]) -> Iterator[Link]:
    """To the opening of its section and of the one above, where they are not beside it."""
    for depth in (len(unit.headings), len(unit.headings) - 1):
        target = opening.get((unit.document, unit.headings[:depth])) if depth > 0 else None
        if target is not None and target.chunk != unit.chunk and not beside(unit, target):
            yield Link(
                source=unit.chunk, target=target.chunk, kind="headings", relation="connects_to"
            )
