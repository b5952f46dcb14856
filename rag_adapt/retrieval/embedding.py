"""Embeds the chunks whose vectors a record lacks, and keeps every batch at once.

It does not know where texts lie or what becomes of the chunks.
"""

from collections.abc import Callable, Iterator, Sequence
from typing import TYPE_CHECKING, Final

import numpy as np

from rag_adapt.core.errors import CollectionError
from rag_adapt.core.protocols import Progress
from rag_adapt.retrieval.chunk import embedded_text
from rag_adapt.retrieval.files import Files
from rag_adapt.retrieval.patch import NewDocument
from rag_adapt.retrieval.protocols import Embedder
from rag_adapt.retrieval.record import Record

if TYPE_CHECKING:
    from rag_adapt.retrieval.protocols import Vectors

BATCH: Final = 64
"""Texts embedded between two commits: what a kill can cost."""
WINDOW: Final = 4096
"""Texts that are held at once, and sorted by length, so that a batch holds like lengths."""


def embed_missing(
    record: Record,
    documents: Sequence[NewDocument],
    text_of: Callable[[str], str],
    embedder: Embedder,
    progress: Progress,
) -> int:
    """Embed what the record lacks; how many texts that were.

    Args:
        record: Open for writing.
        documents: With their chunks.
        text_of: The parsed text of a document, by its path.
        embedder: Makes the vectors.
        progress: Told of the stage `embedding`.

    Raises:
        CollectionError: the vectors are not normalised rows.
    """
    weights, files = embedder.identity.weights, Files(record)
    wanted = {chunk.text_hash for document in documents for chunk in document.chunks}
    missing = wanted - record.embedded(weights, wanted)
    total, done = len(wanted), len(wanted) - len(missing)
    progress.update("embedding", done, total)
    for paths, texts in _windows(documents, missing, text_of):
        longest_first = sorted(texts, key=lambda key: (-len(texts[key]), key))
        for first in range(0, len(longest_first), BATCH):
            keys = longest_first[first : first + BATCH]
            vectors = embedder.embed([texts[key] for key in keys])
            _check_vectors(vectors, len(keys), embedder)
            record.add_vectors(weights, keys, vectors)
            done += len(keys)
            progress.update("embedding", done, total)
        files.embedded(paths)
    return len(missing)


def _windows(
    documents: Sequence[NewDocument], missing: set[str], text_of: Callable[[str], str]
) -> Iterator[tuple[list[str], dict[str, str]]]:
    """Documents whose vectors are there once the texts beside them, by hash, are embedded."""
    paths: list[str] = []
    texts: dict[str, str] = {}
    waiting = set(missing)
    for document in documents:
        paths.append(document.path)
        lacking = [chunk for chunk in document.chunks if chunk.text_hash in waiting]
        whole = text_of(document.path) if lacking else ""
        for chunk in lacking:
            texts[chunk.text_hash] = embedded_text(whole, chunk)
        waiting.difference_update(texts)
        if len(texts) >= WINDOW:
            yield paths, texts
            paths, texts = [], {}
    yield paths, texts


def _check_vectors(vectors: "Vectors", rows: int, embedder: Embedder) -> None:
    right_shape = vectors.ndim == 2 and vectors.shape[0] == rows and vectors.dtype == np.float32
    if right_shape and np.allclose(np.linalg.norm(vectors, axis=1), 1.0, atol=1e-3):
        return
    raise CollectionError(
        f"embedder {embedder.identity.name!r} gave vectors that are not normalised float32 rows "
        f"(shape {vectors.shape}, {vectors.dtype}, for {rows} texts)",
        hint="Choose another embedder with --embedder NAME.",
    )
