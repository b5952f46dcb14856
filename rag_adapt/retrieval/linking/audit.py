"""What is wrong with a collection's links and levels, and what to do about it.

It does not mend anything.
"""

from collections.abc import Iterator

from rag_adapt.retrieval.finding import Finding
from rag_adapt.retrieval.linking.store import damaged, misnamed
from rag_adapt.retrieval.record import Record


def link_findings(record: Record) -> Iterator[Finding]:
    """Links that lead nowhere, units without a level, names that texts use wrongly."""
    name = record.path.parent.name
    for problem in damaged(record):
        remedy = f"Find them anew: `rag-adapt index rebuild {name}`; nothing is embedded."
        yield Finding(subject="links", problem=problem, remedy=remedy)
    for document, problem in misnamed(record):
        yield Finding(
            subject=document,
            problem=problem,
            remedy=f"Correct the mark in the document, then `rag-adapt index sync {name} DIR`.",
        )
