"""What finders of links see of a collection, and what they say.

It does not know where units are kept or how links are followed.
"""

from bisect import bisect_right
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final, Literal, Protocol

from rag_adapt.retrieval.linking.notation import Remark

if TYPE_CHECKING:
    from rag_adapt.retrieval.protocols import Vectors

LinkKind = Literal["given", "headings", "citation", "terms", "meaning"]
"""How a link was found."""
Relation = Literal["connects_to", "same_level_as"]
Level = Literal[1, 2, 3, 4]
"""1 an atomic fact, 2 a rule, 3 a whole concept, 4 a bridge between concepts."""
MOST_TARGETS: Final = 4
"""Links of one kind that lead from a unit, at most; those that a text gives are all kept."""


@dataclass(frozen=True, kw_only=True)
class Unit:
    """A chunk as finders see it."""

    chunk: int
    """Its number in the record."""
    document: str
    start: int
    end: int
    headings: tuple[str, ...]
    """Titles above it, outermost first."""
    text: str


@dataclass(frozen=True, kw_only=True)
class Link:
    """From one unit to another."""

    source: int
    """A chunk's number, as `target` is."""
    target: int
    kind: LinkKind
    relation: Relation
    weight: float = 1.0
    """Above 0, at most 1."""


@dataclass(frozen=True, kw_only=True)
class Units:
    """All units of a collection, in the order of their numbers."""

    units: Sequence[Unit]
    remarks: Mapping[str, Sequence[Remark]]
    """What each document says of its units."""
    vectors: "Vectors"
    """One row for each unit, L2-normalised."""
    levels: Mapping[int, Level] = field(default_factory=dict)
    """By chunk; finders may use them to tell relations."""

    def said(self) -> Iterator[tuple[Unit, Remark]]:
        """Every remark with the unit that it is about, in the order of documents and places."""
        own: dict[str, list[Unit]] = {}
        for unit in self.units:
            own.setdefault(unit.document, []).append(unit)
        for document, remarks in self.remarks.items():
            units = own.get(document, [])
            starts = [unit.start for unit in units]
            for remark in remarks:
                at = bisect_right(starts, remark.position) - 1
                if at >= 0 and remark.position < units[at].end:
                    yield units[at], remark

    def relation(self, source: int, target: int) -> Relation:
        """`same_level_as` between units of one level, else `connects_to`."""
        same = self.levels.get(source) == self.levels.get(target)
        return "same_level_as" if same else "connects_to"


class Finder(Protocol):
    """Finds links of one kind."""

    def __call__(self, units: Units) -> Iterator[Link]:
        """Links between different units, no pair twice in one direction."""
        ...


def beside(one: Unit, other: Unit) -> bool:
    """Whether one follows the other in its document: search knows such pairs without links."""
    return one.document == other.document and abs(one.chunk - other.chunk) == 1
