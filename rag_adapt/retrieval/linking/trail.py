"""Extends what a collection's search found by its links and levels.

It does not know how anything was found. The caller holds whatever lock the record needs.
"""

from collections import defaultdict
from collections.abc import Sequence
from typing import Final

from rag_adapt.core.errors import CollectionError
from rag_adapt.core.types import LinkedPassage, Passage, Span, Via
from rag_adapt.retrieval.linking.follow import (
    FOLLOWED,
    NOWHERE,
    Followed,
    Following,
    by_rank,
    followed,
    mixed,
    shuffled,
)
from rag_adapt.retrieval.linking.store import all_links, kinds_of, levels_by_chunk, links_from
from rag_adapt.retrieval.linking.units import Link
from rag_adapt.retrieval.protocols import Neighbour, SearchMode
from rag_adapt.retrieval.record import ChunkRow, Record

MOST_SHUFFLES: Final = 4
"""Shuffled links that are remembered, each as many as the collection has."""


class Trail:
    """Links of one open record."""

    def __init__(self, record: Record) -> None:
        self._record = record
        self._shuffles: dict[Following, dict[int, list[Link]]] = {}

    def extended(
        self, hits: Sequence[Neighbour], following: Following, mode: SearchMode
    ) -> Followed:
        """The hits and what they link to, of the wanted levels, best first.

        Raises:
            CollectionError: the collection was built without such links or levels.
        """
        if following == NOWHERE:
            return Followed(hits=tuple(hits), by={})
        self._check(following)
        found = Followed(hits=tuple(hits), by={})
        if following.kinds:
            scored = hits if mode == "fused" else by_rank(hits)
            links = self._links([hit.chunk for hit in scored[:FOLLOWED]], following)
            found = followed(scored, links, following.share)
        if following.levels:
            found = Followed(hits=self._mixed(found.hits, following), by=found.by)
        return found

    def passage(self, found: Passage, link: Link | None) -> Passage:
        """The passage, with the link that led to it where one did."""
        if link is None:
            return found
        (row,) = self._record.chunks([link.source])
        return LinkedPassage(
            document=found.document,
            start=found.start,
            end=found.end,
            text=found.text,
            score=found.score,
            via=Via(kind=link.kind, relation=link.relation, source=_span(row)),
        )

    def _links(self, chunks: Sequence[int], following: Following) -> tuple[Link, ...]:
        if following.shuffle is None:
            return links_from(self._record, chunks, following.kinds)
        if following not in self._shuffles:
            if len(self._shuffles) >= MOST_SHUFFLES:
                self._shuffles.clear()
            by_source: dict[int, list[Link]] = defaultdict(list)
            for link in shuffled(all_links(self._record, following.kinds), following.shuffle):
                by_source[link.source].append(link)
            self._shuffles[following] = by_source
        dealt = self._shuffles[following]
        return tuple(link for chunk in chunks for link in dealt.get(chunk, ()))

    def _mixed(self, hits: Sequence[Neighbour], following: Following) -> tuple[Neighbour, ...]:
        level = levels_by_chunk(self._record, [hit.chunk for hit in hits])
        kept = [hit for hit in hits if level.get(hit.chunk) in following.levels]
        return tuple(kept[place] for place in mixed([level[hit.chunk] for hit in kept]))

    def _check(self, following: Following) -> None:
        there = kinds_of(self._record)
        lacking = sorted(set(following.kinds) - set(there))
        if not lacking and (there or not following.levels):
            return
        name = self._record.path.parent.name
        what = f"links of kind {lacking[0]!r}" if lacking else "levels"
        wanted = ",".join(dict.fromkeys((*there, *following.kinds))) or "headings"
        raise CollectionError(
            f"collection {name!r} was built without {what}",
            hint=f"Find them: `rag-adapt index build {name} DIR --links {wanted}`; nothing is "
            "embedded again.",
        )


def _span(row: ChunkRow) -> Span:
    return Span(document=row.document, start=row.start, end=row.end)
