"""Builds a collection from a folder of documents, resumable at any point.

It does not know which embedder it is given or how progress is shown.

**Readers see the old collection or the complete new one, never part of it.** Vectors are kept as
soon as they are computed, under the hash of their text; everything else is cheap to make again
and is written in one transaction at the end. A killed build run again therefore embeds only what
is missing.
"""

import shutil
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Final

import numpy as np

from rag_adapt.core.errors import CollectionError
from rag_adapt.core.protocols import Progress, Silent
from rag_adapt.core.types import content_hash
from rag_adapt.retrieval.chroma import CHROMA_FOLDER
from rag_adapt.retrieval.chunk import DEFAULT_TOKENS, RecursiveChunker, embedded_text
from rag_adapt.retrieval.embed import text_hash
from rag_adapt.retrieval.lock import writing
from rag_adapt.retrieval.parse import Corpus, Document, FailedDocument, read_corpus
from rag_adapt.retrieval.protocols import Chunker, Embedder
from rag_adapt.retrieval.record import SCHEMA_VERSION, ChunkRow, DocumentRow, Meta, Record

if TYPE_CHECKING:
    from rag_adapt.retrieval.protocols import Vectors

BATCH: Final = 64
"""Texts embedded between two commits: what a kill can cost."""


@dataclass(frozen=True, kw_only=True)
class BuildReport:
    """What a build made."""

    documents: int
    """Indexed ones."""
    chunks: int
    failed: tuple[FailedDocument, ...]
    """Files that were left out, with the reason."""
    embedded: int
    """Texts whose vectors the record lacked."""
    unchanged: bool
    """Whether the collection was complete and up to date already."""
    seconds: float
    bytes: int
    """Size of the record on disk."""
    content_hash: str


def build_collection(
    folder: Path,
    source_dir: Path,
    embedder: Embedder,
    *,
    chunk_tokens: int = DEFAULT_TOKENS,
    progress: Progress | None = None,
) -> BuildReport:
    """Build the collection in `folder` from the documents in `source_dir`, or bring it up to date.

    Args:
        folder: the collection's folder; its name is the collection's name.
        source_dir: markdown and text files, read with their sub-folders.
        embedder: makes the vectors.
        chunk_tokens: estimated tokens of a chunk, at most.
        progress: told of the stages `parsing` and `embedding`.

    Raises:
        CollectionError: no usable document, a damaged record, or vectors that are not normalised.
        LockedError: another process writes to the folder.
        StorageError: the folder cannot be written.
    """
    started = time.monotonic()
    watched = progress or Silent()
    chunker = RecursiveChunker(tokens=chunk_tokens)
    _check_source(source_dir)
    with writing(folder):
        corpus = read_corpus(source_dir)
        plan = _plan(corpus, chunker, embedder.identity.weights, watched)
        record = Record.write(folder)
        try:
            old = record.meta()
            embedded = 0
            unchanged = _up_to_date(record, old, plan)
            if not unchanged:
                embedded = _embed(record, plan, embedder, watched)
                _put(record, plan, embedder, old)
                shutil.rmtree(folder / CHROMA_FOLDER, ignore_errors=True)
        finally:
            record.close()
    return BuildReport(
        documents=len(corpus.documents),
        chunks=len(plan.chunks),
        failed=corpus.failed,
        embedded=embedded,
        unchanged=unchanged,
        seconds=time.monotonic() - started,
        bytes=record.size(),
        content_hash=plan.content_hash,
    )


@dataclass(frozen=True, kw_only=True)
class _Plan:
    content_hash: str
    chunker: Chunker
    documents: tuple[DocumentRow, ...]
    chunks: tuple[ChunkRow, ...]
    searched: tuple[str, ...]
    """What is embedded and searched, one per chunk."""


def _check_source(source_dir: Path) -> None:
    if not source_dir.is_dir():
        raise CollectionError(
            f"corpus {str(source_dir)!r} is not a folder",
            hint="Name a folder with markdown or text files: `rag-adapt index build NAME DIR`.",
        )


def _plan(corpus: Corpus, chunker: Chunker, weights: str, progress: Progress) -> _Plan:
    chunks: list[ChunkRow] = []
    searched: list[str] = []
    for done, document in enumerate(corpus.documents, start=1):
        for span in chunker.chunk(document.text):
            shown = embedded_text(document.text[span.start : span.end], span.headings)
            searched.append(shown)
            chunks.append(
                ChunkRow(
                    id=len(searched),
                    document=document.path,
                    start=span.start,
                    end=span.end,
                    headings=span.headings,
                    text_hash=text_hash(shown),
                )
            )
        progress.update("parsing", done, len(corpus.documents), document.path)
    return _Plan(
        content_hash=_identity(corpus.documents, chunker, weights),
        chunker=chunker,
        documents=_rows(corpus),
        chunks=tuple(chunks),
        searched=tuple(searched),
    )


def _identity(documents: Sequence[Document], chunker: Chunker, weights: str) -> str:
    return content_hash(
        {
            "schema": SCHEMA_VERSION,
            "chunker": chunker.spec(),
            "weights": weights,
            "documents": [[document.path, document.sha256] for document in documents],
        }
    )


def _rows(corpus: Corpus) -> tuple[DocumentRow, ...]:
    indexed = [
        DocumentRow(path=each.path, sha256=each.sha256, text=each.text, reason=None)
        for each in corpus.documents
    ]
    failed = [
        DocumentRow(path=each.path, sha256=None, text=None, reason=each.reason)
        for each in corpus.failed
    ]
    return tuple(sorted([*indexed, *failed], key=lambda row: row.path))


def _up_to_date(record: Record, meta: Meta | None, plan: _Plan) -> bool:
    """Whether nothing needs to be written; a record out of step with itself is written again."""
    if meta is None or meta.content_hash != plan.content_hash:
        return False
    return (
        record.documents() == plan.documents
        and record.chunks() == plan.chunks
        and record.count("lexical") == len(plan.chunks)
        and record.embedded(meta.weights) == {chunk.text_hash for chunk in plan.chunks}
    )


def _embed(record: Record, plan: _Plan, embedder: Embedder, progress: Progress) -> int:
    """Embed what the record lacks, long texts first, so that a batch holds like lengths."""
    weights = embedder.identity.weights
    known = record.embedded(weights)
    texts = {chunk.text_hash: text for chunk, text in zip(plan.chunks, plan.searched, strict=True)}
    missing = sorted(
        (key for key in texts if key not in known), key=lambda key: (-len(texts[key]), key)
    )
    total = len(texts)
    progress.update("embedding", total - len(missing), total)
    for first in range(0, len(missing), BATCH):
        keys = missing[first : first + BATCH]
        vectors = embedder.embed([texts[key] for key in keys])
        _check_vectors(vectors, len(keys), embedder)
        record.add_vectors(weights, keys, vectors)
        progress.update("embedding", total - len(missing) + first + len(keys), total)
    return len(missing)


def _check_vectors(vectors: "Vectors", rows: int, embedder: Embedder) -> None:
    right_shape = vectors.ndim == 2 and vectors.shape[0] == rows and vectors.dtype == np.float32
    if right_shape and np.allclose(np.linalg.norm(vectors, axis=1), 1.0, atol=1e-3):
        return
    raise CollectionError(
        f"embedder {embedder.identity.name!r} gave vectors that are not normalised float32 rows "
        f"(shape {vectors.shape}, {vectors.dtype}, for {rows} texts)",
        hint="Choose another embedder with --embedder NAME.",
    )


def _put(record: Record, plan: _Plan, embedder: Embedder, old: Meta | None) -> None:
    weights = embedder.identity.weights
    sample = record.vector(weights, plan.chunks[0].text_hash)
    record.replace(
        Meta(
            content_hash=plan.content_hash,
            generation=1 if old is None else old.generation + 1,
            embedder=embedder.identity.name,
            weights=weights,
            dimensions=len(sample) // 4,
            chunker=plan.chunker.spec(),
        ),
        documents=plan.documents,
        chunks=plan.chunks,
        searched=plan.searched,
    )
