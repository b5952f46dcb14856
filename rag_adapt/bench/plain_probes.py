"""Probes that ask no language model: the commonest answer, the nearest label, retrieval.

It does not know how passages or neighbours are found.
"""

from collections.abc import Sequence
from dataclasses import dataclass

from rag_adapt.bench.reference import NearestPool, majority
from rag_adapt.core.protocols import Retriever
from rag_adapt.core.types import Example, Item, Passage, Span
from rag_adapt.scoring.registry import scorer_for
from rag_adapt.skills.skill import Skill


@dataclass(frozen=True, kw_only=True)
class Retrieval:
    """How well retrieval finds gold; None where no item names any."""

    hit: float | None
    """Share of items for which a passage overlaps any gold span."""
    recall: float | None
    """Mean share of an item's gold spans that a passage overlaps."""


def majority_score(skill: Skill, items: Sequence[Item], examples: Sequence[Example]) -> float:
    """What the commonest example's answer scores: the chance level of a labelled skill."""
    return _mean_score(skill, items, [majority(examples)] * len(items))


async def nearest_score(skill: Skill, items: Sequence[Item], pool: NearestPool) -> float:
    """What the answer of the nearest example scores."""
    found = [(await pool.nearest(item.input, 1))[0].output for item in items]
    return _mean_score(skill, items, found)


async def retrieval(items: Sequence[Item], retriever: Retriever, k: int) -> Retrieval:
    """Search every item that has gold by its input."""
    shares = []
    for item in items:
        if item.gold:
            passages = await retriever.search(item.input, k)
            met = [any(overlaps(passage, span) for passage in passages) for span in item.gold]
            shares.append(sum(met) / len(met))
    if not shares:
        return Retrieval(hit=None, recall=None)
    hits = sum(share > 0 for share in shares)
    return Retrieval(hit=hits / len(shares), recall=sum(shares) / len(shares))


def overlaps(passage: Passage, span: Span) -> bool:
    """Whether they share a character of the same document."""
    return (
        passage.document == span.document and passage.start < span.end and span.start < passage.end
    )


def _mean_score(skill: Skill, items: Sequence[Item], said: Sequence[str]) -> float:
    scorer = scorer_for(skill.scorer, skill.labels)
    found = [scorer.score(text, item).value for text, item in zip(said, items, strict=True)]
    return sum(value or 0.0 for value in found) / len(found)
