"""Measures how well a collection is searched: every mode on the same questions, and their pairs.

It does not know files or commands. Answers are never asked for: this is search alone.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from itertools import combinations
from typing import Final

from rag_adapt.bench.search_questions import SearchQuestion
from rag_adapt.bench.search_scores import METRICS, Places, Ruler, Scores, gains, score
from rag_adapt.core.protocols import Progress, Silent
from rag_adapt.core.types import Estimate, Passage, Span
from rag_adapt.stats.bootstrap import bootstrap_mean

FEWEST_DOCUMENTS: Final = 5
"""Documents with questions from which questions on one document are drawn together."""

Search = Callable[[str], Sequence[Passage]]


@dataclass(frozen=True, kw_only=True)
class Measured:
    """One way of searching."""

    name: str
    metrics: Mapping[str, Estimate]
    """By the names of `METRICS`."""
    passages: float
    """Mean number of them."""
    tokens: float
    """Mean estimated tokens of them."""


@dataclass(frozen=True, kw_only=True)
class Difference:
    """The second way minus the first, on the same questions."""

    a: str
    b: str
    metrics: Mapping[str, Estimate]


@dataclass(frozen=True, kw_only=True)
class Quality:
    """What was measured."""

    questions: int
    clusters: int
    """What is drawn together: documents, or questions where there are few documents."""
    measured: tuple[Measured, ...]
    differences: tuple[Difference, ...]
    """Of every pair, the earlier first."""


def measure(
    questions: Sequence[SearchQuestion],
    searches: Mapping[str, Search],
    texts: Mapping[str, str],
    chunks: Sequence[Span],
    progress: Progress | None = None,
) -> Quality:
    """Ask every question in every way.

    Args:
        questions: at least one.
        searches: ways of searching by name; each returns passages, best first.
        texts: the parsed texts by document.
        chunks: all chunks of the collection, for the best order that there could be.
        progress: told of the stage `searching`.
    """
    watched, ruler = progress or Silent(), Ruler(texts)
    by_document: dict[str, list[Places]] = {}
    for chunk in chunks:
        by_document.setdefault(chunk.document, []).append(ruler.places(chunk))
    found: dict[str, list[_Asked]] = {name: [] for name in searches}
    for done, question in enumerate(questions, start=1):
        references = [ruler.places(span) for span in question.references]
        ideal = _ideal(question, references, by_document)
        for name, search in searches.items():
            passages = [
                ruler.places(Span(document=hit.document, start=hit.start, end=hit.end))
                for hit in search(question.question)
            ]
            found[name].append(_Asked(scores=score(references, passages, ideal), places=passages))
        watched.update("searching", done, len(questions))
    clusters = _clusters(questions)
    return Quality(
        questions=len(questions),
        clusters=len(set(clusters)),
        measured=tuple(_measured(name, asked, clusters) for name, asked in found.items()),
        differences=tuple(
            _difference(one, other, found, clusters) for one, other in combinations(found, 2)
        ),
    )


@dataclass(frozen=True, kw_only=True)
class _Asked:
    scores: Scores
    places: Sequence[Places]


def _ideal(
    question: SearchQuestion,
    references: Sequence[Places],
    by_document: Mapping[str, Sequence[Places]],
) -> list[float]:
    wanted: Places = frozenset().union(*references)
    documents = dict.fromkeys(span.document for span in question.references)
    near = [places for document in documents for places in by_document.get(document, ())]
    return sorted((gain for gain in gains(wanted, near) if gain > 0.0), reverse=True)


def _clusters(questions: Sequence[SearchQuestion]) -> list[str]:
    documents = [question.references[0].document for question in questions]
    if len(set(documents)) >= FEWEST_DOCUMENTS:
        return documents
    return [str(number) for number in range(len(questions))]


def _measured(name: str, asked: Sequence[_Asked], clusters: Sequence[str]) -> Measured:
    return Measured(
        name=name,
        metrics={
            metric: bootstrap_mean([getattr(each.scores, metric) for each in asked], clusters)
            for metric in METRICS
        },
        passages=sum(len(each.places) for each in asked) / len(asked),
        tokens=sum(len(places) for each in asked for places in each.places) / len(asked),
    )


def _difference(
    one: str, other: str, found: Mapping[str, Sequence[_Asked]], clusters: Sequence[str]
) -> Difference:
    pairs = list(zip(found[one], found[other], strict=True))
    return Difference(
        a=one,
        b=other,
        metrics={
            metric: bootstrap_mean(
                [getattr(b.scores, metric) - getattr(a.scores, metric) for a, b in pairs], clusters
            )
            for metric in METRICS
        },
    )
