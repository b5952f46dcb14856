"""What is wrong with a collection's links and levels, and what to do about it.

It does not mend anything.
"""

from collections.abc import Iterator

from rag_adapt.retrieval.finding import Finding
from rag_adapt.retrieval.linking.store import damaged, kinds_of, misnamed
from rag_adapt.retrieval.record import Record


def link_findings(record: Record) -> Iterator[Finding]:
    """Links that lead nowhere, units without a level, names that texts use wrongly."""
    name, kinds = record.path.parent.name, ",".join(kinds_of(record))
    for problem in damaged(record):
        remedy = f"Find them anew: `rag-adapt index build {name} DIR --links {kinds}`; nothing is "
        yield Finding(subject="links", problem=problem, remedy=remedy + "embedded again.")
    for document, problem in misnamed(record):
        yield Finding(
            subject=document,
            problem=problem,
            remedy=f"Correct the mark in the document, then `rag-adapt index sync {name} DIR`.",
        )
