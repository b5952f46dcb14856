"""Audits a collection: the record against itself, and Chroma against the record.

It does not mend anything and needs no embedder.
"""

import hashlib
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import numpy as np

from rag_adapt.core.errors import CollectionError, LockedError
from rag_adapt.retrieval.chroma import CHROMA_FOLDER, ChromaIndex, is_complete
from rag_adapt.retrieval.chunk import embedded_text
from rag_adapt.retrieval.embed import text_hash
from rag_adapt.retrieval.lexical import search_words
from rag_adapt.retrieval.record import ChunkRow, DocumentRow, Meta, Record
from rag_adapt.retrieval.sqlite import translated

SAMPLE: Final = 50
"""Chunks whose vectors and words are looked up; spread evenly over the collection."""
TOLERANCE: Final = 1e-3


@dataclass(frozen=True, kw_only=True)
class Finding:
    """One thing that is wrong with a collection."""

    subject: str
    """What it is about: `record`, a document's path, `chunk 12`, `lexical` or `chroma`."""
    problem: str
    remedy: str
    """What to do, with the exact command."""


def check_collection(folder: Path) -> list[Finding]:
    """Everything that is wrong with a collection; an empty list where all is well.

    A damaged record is a finding, too.

    Raises:
        CollectionError: there is no such collection, or no build of it was ever finished.
    """
    rebuild = f"Run `rm -r {folder}`, then `rag-adapt index build {folder.name} DIR`."
    try:
        record = Record.read(folder)
    except CollectionError as exc:
        if exc.__cause__ is None:
            raise
        return [Finding(subject="record", problem=exc.fact, remedy=rebuild)]
    try:
        return list(_findings(record, folder, rebuild))
    except CollectionError as exc:
        if exc.__cause__ is None:
            raise
        return [Finding(subject="record", problem=exc.fact, remedy=rebuild)]
    finally:
        record.close()


def _findings(record: Record, folder: Path, rebuild: str) -> Iterator[Finding]:
    for subject, problem in _record_problems(record, folder):
        yield Finding(subject=subject, problem=problem, remedy=rebuild)
    yield from _chroma_findings(record, folder)


def _record_problems(record: Record, folder: Path) -> Iterator[tuple[str, str]]:
    meta = _meta(record, folder)
    with translated(record.path):
        answers = [row[0] for row in record.connection.execute("PRAGMA integrity_check")]
    if answers != ["ok"]:
        yield "record", f"SQLite finds it damaged: {answers[0]}"
    documents = {row.path: row for row in record.documents()}
    chunks = record.chunks()
    if (count := record.count("chunks")) != len(chunks):
        yield "record", f"{count - len(chunks)} chunks belong to no document"
    yield from _document_problems(documents)
    yield from _chunk_problems(documents, chunks)
    yield from _vector_problems(record, meta, chunks)
    yield from _lexical_problems(record, documents, chunks)


def _meta(record: Record, folder: Path) -> Meta:
    meta = record.meta()
    if meta is None:
        raise CollectionError(
            f"collection {folder.name!r} is not finished: its build is running or was interrupted",
            hint=f"Wait for it, or go on with it: `rag-adapt index build {folder.name} DIR`.",
        )
    return meta


def _document_problems(documents: dict[str, DocumentRow]) -> Iterator[tuple[str, str]]:
    for path, row in documents.items():
        if row.reason is not None:
            continue
        if row.text is None or hashlib.sha256(row.text.encode()).hexdigest() != row.sha256:
            yield path, "its text does not have the recorded SHA-256"


def _chunk_problems(
    documents: dict[str, DocumentRow], chunks: tuple[ChunkRow, ...]
) -> Iterator[tuple[str, str]]:
    for chunk in chunks:
        text = documents[chunk.document].text or ""
        if not 0 <= chunk.start < chunk.end <= len(text):
            yield f"chunk {chunk.id}", f"its span {chunk.start}-{chunk.end} leaves the document"
        elif text_hash(_searched(chunk, text)) != chunk.text_hash:
            yield f"chunk {chunk.id}", "its span is not the text that was embedded"


def _vector_problems(
    record: Record, meta: Meta, chunks: tuple[ChunkRow, ...]
) -> Iterator[tuple[str, str]]:
    vectors = record.vectors(meta.weights)
    for chunk in chunks:
        raw = vectors.get(chunk.text_hash)
        if raw is None:
            yield f"chunk {chunk.id}", "it has no vector"
        elif len(raw) != meta.dimensions * 4:
            yield f"chunk {chunk.id}", f"its vector has {len(raw)} bytes, not {meta.dimensions * 4}"
        elif not abs(float(np.linalg.norm(np.frombuffer(raw, np.float32))) - 1.0) <= TOLERANCE:
            yield f"chunk {chunk.id}", "its vector is not normalised"


def _lexical_problems(
    record: Record, documents: dict[str, DocumentRow], chunks: tuple[ChunkRow, ...]
) -> Iterator[tuple[str, str]]:
    if (count := record.count("lexical")) != len(chunks):
        yield "lexical", f"it indexes {count} chunks, the record has {len(chunks)}"
    for chunk in _spread(chunks):
        words = _searched(chunk, documents[chunk.document].text or "")
        with translated(record.path):
            hits = search_words(record.connection, words, len(chunks))
        if words.strip() and chunk.id not in {hit.chunk for hit in hits}:
            yield "lexical", f"it does not find chunk {chunk.id} by its own words"


def _chroma_findings(record: Record, folder: Path) -> Iterator[Finding]:
    meta = _meta(record, folder)
    if not is_complete(folder, meta.content_hash):
        return
    try:
        index = ChromaIndex.open(record, meta)
    except LockedError as exc:
        yield Finding(subject="chroma", problem=f"not checked: {exc.fact}", remedy=exc.hint)
        return
    remedy = f"It is a cache: run `rm -r {folder / CHROMA_FOLDER}` and search again."
    try:
        for problem in _cache_problems(index, record, meta):
            yield Finding(subject="chroma", problem=problem, remedy=remedy)
    finally:
        index.close()


def _cache_problems(index: ChromaIndex, record: Record, meta: Meta) -> Iterator[str]:
    chunks = record.chunks()
    vectors = record.vectors(meta.weights)
    expected = {chunk.id: chunk.text_hash for chunk in chunks}
    if (ids := index.ids()) != expected.keys():
        missing, extra = len(expected.keys() - ids), len(ids - expected.keys())
        yield f"it lacks {missing} chunks and has {extra} that the record has not"
    for found in index.sample([chunk.id for chunk in _spread(chunks)]):
        stored = np.frombuffer(vectors[expected[found.chunk]], np.float32)
        if not np.allclose(stored, found.vector, atol=TOLERANCE):
            yield f"its vector of chunk {found.chunk} is not the record's"
        elif found.nearest is None or expected[found.nearest] != expected[found.chunk]:
            yield f"it does not find chunk {found.chunk} by its own vector"


def _searched(chunk: ChunkRow, text: str) -> str:
    return embedded_text(text[chunk.start : chunk.end], chunk.headings)


def _spread(chunks: tuple[ChunkRow, ...]) -> tuple[ChunkRow, ...]:
    step = max(1, len(chunks) // SAMPLE)
    return chunks[::step]
