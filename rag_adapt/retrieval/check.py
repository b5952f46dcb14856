"""Audits a collection: the record against itself, and Chroma against the record.

It does not mend anything and needs no embedder.
"""

import hashlib
from collections.abc import Iterator
from pathlib import Path
from typing import Final

import numpy as np

from rag_adapt.core.errors import CollectionError
from rag_adapt.retrieval.check_cache import cache_findings
from rag_adapt.retrieval.chunk import embedded_text
from rag_adapt.retrieval.embed import shown, suited, text_hash
from rag_adapt.retrieval.finding import Finding
from rag_adapt.retrieval.lexical import search_words
from rag_adapt.retrieval.linking.audit import link_findings
from rag_adapt.retrieval.loose import noted, under_way
from rag_adapt.retrieval.protocols import Embedder
from rag_adapt.retrieval.record import ChunkRow, DocumentRow, Meta, Record
from rag_adapt.retrieval.remembered import count
from rag_adapt.retrieval.sqlite import translated
from rag_adapt.retrieval.stamp import older

__all__ = ["Finding", "check_collection", "meta_of"]

SAMPLE: Final = 50
"""Chunks whose words are looked up, and that an embedder is asked for again; spread evenly over
the collection."""
TOLERANCE: Final = 1e-3
ALIKE: Final = 0.99
"""Cosine of a stored vector and a new one of the same text, at least; rounding alone takes less."""
SEVERAL: Final = 3
"""Findings of one kind that are spelled out one by one; more of them are counted."""


def check_collection(
    folder: Path, embedder: Embedder | None = None, *, remembered: Path | None = None
) -> list[Finding]:
    """Everything that is wrong with a collection; an empty list where all is well.

    A damaged record is a finding, too.

    Args:
        folder: `indexes/<name>`.
        embedder: The one it was built with: a sample of its texts is embedded again and compared.
            None asks no embedder; vectors of another one are then found where their length or
            norm gives them away, or where Chroma holds others.
        remembered: The file of what embedders remember: looked through for vectors of texts that
            are gone.

    Raises:
        CollectionError: there is no such collection, or no build of it was ever finished.
    """
    anew = f"Run `rm -r {folder}`, then `rag-adapt index build {folder.name} DIR`."
    try:
        record = Record.read(folder)
    except CollectionError as exc:
        if exc.__cause__ is None:
            raise
        return [Finding(subject="record", problem=exc.fact, remedy=anew)]
    try:
        found = list(_findings(record, folder, embedder, anew))
        return [*found, *_left_over(record, remembered)]
    except CollectionError as exc:
        if exc.__cause__ is None:
            raise
        return [Finding(subject="record", problem=exc.fact, remedy=anew)]
    finally:
        record.close()


def meta_of(record: Record) -> Meta:
    """What a collection was built from.

    Raises:
        CollectionError: no build of it was ever finished.
    """
    meta, name = record.meta(), record.path.parent.name
    if meta is None:
        raise CollectionError(
            f"collection {name!r} is not finished: its build is running or was interrupted",
            hint=f"Wait for it, or go on with it: `rag-adapt index build {name} DIR`.",
        )
    return meta


def _findings(
    record: Record, folder: Path, embedder: Embedder | None, anew: str
) -> Iterator[Finding]:
    meta, name = meta_of(record), folder.name
    for subject, problem in _record_problems(record):
        yield Finding(subject=subject, problem=problem, remedy=anew)
    if (stale := older(folder, meta)) is not None:
        remedy = (
            f"Bring it up to date with its documents: `rag-adapt index sync {name} DIR`; or keep "
            f"it as it is: `rag-adapt index rebuild {name}`."
        )
        yield Finding(subject="record", problem=stale, remedy=remedy)
    mend = f"Run `rag-adapt index rebuild {name}`: it embeds nothing."
    for subject, problem in _lexical_problems(record):
        yield Finding(subject=subject, problem=problem, remedy=mend)
    mend = (
        f"Run `rag-adapt index rebuild {name}`: it takes the vectors that embedders remember; "
        f"what is still missing then needs `rag-adapt index build {name} DIR`."
    )
    wrong = list(_vector_problems(record, meta))
    yield from (Finding(subject=each[0], problem=each[1], remedy=mend) for each in wrong)
    if embedder is not None and not wrong:
        for problem in _strange_vectors(record, meta, embedder):
            yield Finding(subject="vectors", problem=problem, remedy=anew)
    yield from link_findings(record)
    yield from cache_findings(record, meta, folder)


def _left_over(record: Record, remembered: Path | None) -> Iterator[Finding]:
    """What a writer that was killed had still to forget."""
    if remembered is None or under_way(record):
        return
    if left := count(remembered, noted(record)):
        yield Finding(
            subject="remembered",
            problem=f"embedders still remember {left} vectors of texts that are gone",
            remedy=f"Run `rag-adapt index rebuild {record.path.parent.name}`: it embeds nothing.",
        )


def _record_problems(record: Record) -> Iterator[tuple[str, str]]:
    with translated(record.path):
        answers = [row[0] for row in record.connection.execute("PRAGMA integrity_check")]
    if said := [each for each in answers if each != "ok" and not _of_words(each)]:
        yield "record", f"SQLite finds it damaged: {said[0]}"
    documents = {row.path: row for row in record.documents()}
    chunks = record.chunks()
    if (count := record.count("chunks")) != len(chunks):
        yield "record", f"{count - len(chunks)} chunks belong to no document"
    yield from _document_problems(documents)
    yield from _chunk_problems(documents, chunks)


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
        first, last = chunk.start - chunk.before, chunk.end + chunk.after
        if not 0 <= first <= chunk.start < chunk.end <= last <= len(text):
            yield f"chunk {chunk.id}", f"its span {chunk.start}-{chunk.end} leaves the document"
        elif text_hash(_searched(chunk, text)) != chunk.text_hash:
            yield f"chunk {chunk.id}", "its span is not the text that was embedded"


def _vector_problems(record: Record, meta: Meta) -> Iterator[tuple[str, str]]:
    chunks, vectors = record.chunks(), record.vectors(meta.weights)
    wrong = [(chunk, said) for chunk in chunks if (said := _wrong(vectors, chunk, meta))]
    if len(wrong) <= SEVERAL:
        for chunk, said in wrong:
            yield f"chunk {chunk.id}", said
    else:
        yield "vectors", f"{len(wrong)} of {len(chunks)} chunks: {wrong[0][1]}, for one"
    if (orphans := _orphans(record, meta)) > 0:
        yield "vectors", f"{orphans} belong to no chunk"


def _wrong(vectors: dict[str, bytes], chunk: ChunkRow, meta: Meta) -> str | None:
    raw = vectors.get(chunk.text_hash)
    if raw is None:
        return "it has no vector"
    if len(raw) != meta.dimensions * 4:
        return f"its vector has {len(raw)} bytes, not {meta.dimensions * 4}"
    if not abs(float(np.linalg.norm(np.frombuffer(raw, np.float32))) - 1.0) <= TOLERANCE:
        return "its vector is not normalised"
    return None


def _orphans(record: Record, meta: Meta) -> int:
    """Vectors without a chunk; none where an update is under way that may yet need them."""
    if under_way(record):
        return 0
    with translated(record.path):
        (found,) = record.connection.execute(
            "SELECT count(*) FROM embeddings WHERE weights <> ? OR NOT EXISTS "
            "(SELECT 1 FROM chunks WHERE chunks.text_hash = embeddings.text_hash)",
            (meta.weights,),
        ).fetchone()
    return int(found)


def _strange_vectors(record: Record, meta: Meta, embedder: Embedder) -> Iterator[str]:
    """Those that the embedder does not make of the same texts."""
    embedder = suited(embedder, meta.weights)
    identity, asked = embedder.identity, _spread(record.chunks())
    if identity.weights != meta.weights:
        yield (
            f"they were made with weights {shown(meta.weights)} ({meta.embedder!r}), not with "
            f"{shown(identity.weights)} ({identity.name!r})"
        )
        return
    made = embedder.embed([_searched(each, record.text(each.document) or "") for each in asked])
    kept = [record.vector(meta.weights, each.text_hash) for each in asked]
    cosines = np.sum(made * np.stack([np.frombuffer(row, np.float32) for row in kept]), axis=1)
    if strange := int(np.sum(cosines < ALIKE)):
        yield (
            f"{strange} of {len(asked)} are not what {identity.name!r} makes of the texts: they "
            "are another embedder's"
        )


def _lexical_problems(record: Record) -> Iterator[tuple[str, str]]:
    with translated(record.path):
        answers = [row[0] for row in record.connection.execute("PRAGMA integrity_check")]
        held = {row[0] for row in record.connection.execute("SELECT id FROM lexical_docsize")}
    if said := [each for each in answers if _of_words(each)]:
        yield "lexical", f"SQLite finds it damaged: {said[0]}"
        return
    chunks = record.chunks()
    wanted = {chunk.id for chunk in chunks}
    if lacking := len(wanted - held):
        yield "lexical", f"it lacks {lacking} of {len(chunks)} chunks"
    if orphans := len(held - wanted):
        yield "lexical", f"it has {orphans} chunks that the record has not"
    for chunk in _spread(tuple(chunk for chunk in chunks if chunk.id in held)):
        words = _searched(chunk, record.text(chunk.document) or "")
        with translated(record.path):
            hits = search_words(record.connection, words, len(chunks))
        if words.strip() and chunk.id not in {hit.chunk for hit in hits}:
            yield "lexical", f"it does not find chunk {chunk.id} by its own words"


def _of_words(said: str) -> bool:
    """Whether SQLite says it of the index of words, which can be made again from the texts."""
    return "lexical" in said


def _searched(chunk: ChunkRow, text: str) -> str:
    return embedded_text(text, chunk)


def _spread(chunks: tuple[ChunkRow, ...]) -> tuple[ChunkRow, ...]:
    step = max(1, len(chunks) // SAMPLE)
    return chunks[::step]
