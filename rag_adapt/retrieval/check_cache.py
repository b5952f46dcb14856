"""Audits Chroma against the record: first its files, then what it holds, then what it finds.

It does not mend anything. A cache whose files are not those that were written is not opened:
Chroma may end the process on them.
"""

from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import TYPE_CHECKING, Final

import numpy as np

from rag_adapt.core.errors import CollectionError, LockedError
from rag_adapt.retrieval.chroma import (
    CHROMA_FOLDER,
    ChromaIndex,
    cache_of,
    damage,
)
from rag_adapt.retrieval.chroma_keeper import DATA
from rag_adapt.retrieval.chroma_server import SERVER_FOLDER
from rag_adapt.retrieval.exact import top_rows
from rag_adapt.retrieval.finding import Finding
from rag_adapt.retrieval.record import Meta, Record
from rag_adapt.retrieval.seal import is_sealed

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from rag_adapt.retrieval.protocols import Vectors

TOLERANCE: Final = 1e-3
"""By which a component of a stored vector may differ."""
ASKED: Final = 50
"""Chunks that are searched for, spread evenly over the collection."""
DEPTH: Final = 10
"""Hits of one search."""
RECALL: Final = 0.95
"""Share of exact search's hits that Chroma finds at least, on average."""
SHOWN: Final = 5
"""Chunks that a problem names."""


def cache_findings(record: Record, meta: Meta, folder: Path) -> Iterator[Finding]:
    """What is wrong with the caches; nothing where there is none."""
    yield from _of_server(record, meta, folder)
    remedy = f"It is a cache: `rag-adapt index rebuild {folder.name}` fills it anew."
    place = cache_of(folder, meta)
    if not is_sealed(place):
        # searches do not look at it: it is made anew when Chroma is wanted
        for other in sorted((folder / CHROMA_FOLDER).glob("*")):
            problem = f"{other.name!r} is not of the record's content ({meta.content_hash})"
            if is_sealed(other):
                yield Finding(subject="chroma", problem=problem, remedy=remedy)
        return
    if damaged := list(damage(place, record, meta)):
        yield from (Finding(subject="chroma", problem=each, remedy=remedy) for each in damaged)
        return
    try:
        index = ChromaIndex.open_as_it_is(record, meta)
    except LockedError as exc:
        yield Finding(subject="chroma", problem=f"not checked: {exc.fact}", remedy=exc.hint)
        return
    except CollectionError as exc:
        yield Finding(subject="chroma", problem=exc.fact, remedy=remedy)
        return
    with closing(index):
        for problem in _content_problems(index, record, meta):
            yield Finding(subject="chroma", problem=problem, remedy=remedy)


def _of_server(record: Record, meta: Meta, folder: Path) -> Iterator[Finding]:
    """The files of the cache that a server has; whoever starts it next fills a damaged one anew."""
    remedy = (
        "It is a cache: when nobody searches through Chroma's server any more, "
        f"`rag-adapt index rebuild {folder.name}` drops it."
    )
    data = folder / SERVER_FOLDER / meta.content_hash / DATA
    if is_sealed(data):
        for problem in damage(data, record, meta):
            yield Finding(subject="chroma-server", problem=problem, remedy=remedy)


def _content_problems(index: ChromaIndex, record: Record, meta: Meta) -> Iterator[str]:
    try:
        numbers, matrix = record.matrix(meta)
    except CollectionError:
        return  # the record itself lacks vectors; that is said of the record
    held = index.ids()
    if missing := sorted(set(numbers.tolist()) - held):
        yield f"it lacks {len(missing)} chunks: {_few(missing)}"
    if orphans := sorted(held - set(numbers.tolist())):
        yield f"it has {len(orphans)} chunks that the record has not: {_few(orphans)}"
    stored = index.vectors(numbers.tolist())
    if strange := [
        chunk
        for chunk, row in zip(numbers.tolist(), matrix, strict=True)
        if chunk in stored and not _same(stored[chunk], row)
    ]:
        yield (
            f"its vectors of {len(strange)} chunks are not the record's, as those of another "
            f"embedder: {_few(strange)}"
        )
    if not missing and not orphans and not strange:
        recall = _recall(index, numbers, matrix)
        if recall < RECALL:
            yield f"it finds {recall:.0%} of what exact search finds (recall@{DEPTH})"


def _recall(index: ChromaIndex, numbers: "NDArray[np.int64]", matrix: "Vectors") -> float:
    """Mean share of exact search's hits; those that score as well as its last one count."""
    place = {int(number): row for row, number in enumerate(numbers)}
    shares = []
    for vector in matrix[:: max(1, len(numbers) // ASKED)]:
        scores = matrix @ vector
        best = top_rows(scores, DEPTH)
        found = [scores[place[hit.chunk]] for hit in index.nearest(vector, DEPTH)]
        good = sum(score >= scores[best[-1]] - TOLERANCE for score in found)
        shares.append(good / len(best))
    return float(np.mean(shares))


def _same(stored: "Vectors", row: "Vectors") -> bool:
    return stored.shape == row.shape and bool(np.allclose(stored, row, atol=TOLERANCE))


def _few(chunks: list[int]) -> str:
    named = ", ".join(str(each) for each in chunks[:SHOWN])
    return named if len(chunks) <= SHOWN else f"{named}, ..."
