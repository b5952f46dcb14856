"""Builds a collection from a folder of documents, or brings it up to date, resumable anywhere.

It does not know which embedder it is given or how progress is shown.

**Readers see the old collection or the complete new one, never part of it.** Parsed texts and
vectors are kept as soon as they are made; what readers see changes in one transaction at the
end. A build that was killed and is run again therefore reads and embeds only what is missing.
"""

import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path

from rag_adapt.core.errors import CollectionError
from rag_adapt.core.protocols import Progress, Silent
from rag_adapt.retrieval.chroma_server import drop_caches
from rag_adapt.retrieval.chunk import DEFAULT_TOKENS
from rag_adapt.retrieval.chunkers.registry import DEFAULT, chunker_named
from rag_adapt.retrieval.embedding import BATCH, embed_missing
from rag_adapt.retrieval.linking.units import LinkKind
from rag_adapt.retrieval.lock import writing
from rag_adapt.retrieval.loose import forget_gone, note
from rag_adapt.retrieval.parse import FailedDocument, FileReader, Reader
from rag_adapt.retrieval.protocols import Chunker, Embedder
from rag_adapt.retrieval.record import Record
from rag_adapt.retrieval.scan import Scan, nothing_usable, scan_folder
from rag_adapt.retrieval.staging import Goal, Staging
from rag_adapt.retrieval.stamp import write_stamp

__all__ = ["BATCH", "BuildReport", "build_collection", "sync_collection"]


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
    parsed: int = 0
    """Files that were read."""
    removed: int = 0
    """Documents that went because their files did."""
    forgotten: int = 0
    """Vectors that embedders remembered of texts that no chunk has any more."""
    notes: Mapping[str, tuple[str, ...]]
    """What parsers changed or left out in the documents, by path."""


def build_collection(
    folder: Path,
    source_dir: Path,
    embedder: Embedder,
    *,
    chunk_tokens: int = DEFAULT_TOKENS,
    chunker: Chunker | str = DEFAULT,
    links: Sequence[LinkKind] | None = None,
    remembered: Path | None = None,
    reader: Reader | None = None,
    progress: Progress | None = None,
) -> BuildReport:
    """Build the collection in `folder` from the documents in `source_dir`, or bring it up to date.

    Every file's bytes and the whole record are compared with what was built; words of text that
    is gone leave the index of words.

    Args:
        folder: the collection's folder; its name is the collection's name.
        source_dir: documents, read with their sub-folders.
        embedder: makes the vectors.
        chunk_tokens: estimated tokens of a chunk, at most, where the chunker is named.
        chunker: cuts the texts; one of ours by its name, or any other.
        links: kinds of links that are found between the units, beside their levels; none at all
            where it is empty, None for those that the collection has.
        remembered: the file of what embedders remember: vectors of texts that no chunk has any
            more leave it. None leaves them to the next build, sync or rebuild that knows it.
        reader: reads the files; None for ours.
        progress: told of the stages `parsing` and `embedding`.

    Raises:
        CollectionError: no usable document, a damaged record, or vectors that are not normalised.
        LockedError: another process writes to the folder.
        StorageError: the folder cannot be written.
    """
    goal = Goal(
        source_dir=source_dir,
        embedder=embedder,
        chunker=_made(chunker, chunk_tokens, embedder),
        thorough=True,
        links=None if links is None else tuple(links),
        remembered=remembered,
    )
    return _update(folder, goal, reader, progress)


def sync_collection(
    folder: Path,
    source_dir: Path,
    embedder: Embedder,
    *,
    chunker: Chunker | None = None,
    remembered: Path | None = None,
    reader: Reader | None = None,
    progress: Progress | None = None,
) -> BuildReport:
    """Bring a collection up to date with its folder; what it costs grows with what changed.

    A file whose size and time are those of before is taken for unchanged; others are compared
    by hash. Files that failed are tried again.

    Args:
        folder: the collection's folder.
        source_dir: documents, read with their sub-folders.
        embedder: makes the vectors; another one than before embeds everything anew.
        chunker: cuts the texts; None for the one that the collection was built with.
        remembered: see `build_collection`.
        reader: reads the files; None for ours.
        progress: told of the stages `parsing` and `embedding`.

    Raises:
        CollectionError: no such collection, no usable document, a damaged record.
        LockedError: another process writes to the folder.
        StorageError: the folder cannot be written.
    """
    goal = Goal(
        source_dir=source_dir,
        embedder=embedder,
        chunker=None if chunker is None else _made(chunker, DEFAULT_TOKENS, embedder),
        thorough=False,
        remembered=remembered,
    )
    return _update(folder, goal, reader, progress)


def _made(chunker: Chunker | str, tokens: int, embedder: Embedder) -> Callable[[Embedder], Chunker]:
    """What makes the chunker.

    Raises:
        CollectionError: there is none of that name, or `tokens` is out of range.
    """
    if not isinstance(chunker, str):
        return lambda _: chunker
    chunker_named(chunker, tokens=tokens, embedder=embedder)
    return lambda model: chunker_named(chunker, tokens=tokens, embedder=model)


def _update(
    folder: Path, goal: Goal, reader: Reader | None, progress: Progress | None
) -> BuildReport:
    started = time.monotonic()
    watched = progress or Silent()
    scan = scan_folder(goal.source_dir)
    if not scan.files:
        raise nothing_usable(goal.source_dir, scan.failed)
    with ExitStack() as held:
        if not goal.thorough:
            _check_built(folder)
        held.enter_context(writing(folder))
        record = Record.write(folder)
        held.callback(record.close)
        staging = Staging(record, goal)
        mine = reader or held.enter_context(FileReader())
        parsed = staging.read(scan, mine, watched)
        return _finish(folder, staging, scan, parsed, watched, started)


def _finish(
    folder: Path,
    staging: Staging,
    scan: Scan,
    parsed: int,
    progress: Progress,
    started: float,
) -> BuildReport:
    """Cut, embed and put in place what is staged."""
    record, goal = staging.record, staging.goal
    embedded = 0
    change = staging.change(scan)
    if change is not None:
        note(record, staging.lacking(change))
        embedded = embed_missing(record, change.documents, staging.text, goal.embedder, progress)
        staging.put(change)
    elif staging.relinks:
        staging.relink()
    fresh = change is not None or staging.relinks
    if fresh:
        drop_caches(folder)
    outcome = staging.outcome()
    meta = record.meta()
    assert meta is not None  # it was put in place, now or before
    write_stamp(folder, meta)
    forgotten = forget_gone(record, goal.remembered, everywhere=goal.thorough)
    return BuildReport(
        documents=outcome.documents,
        chunks=record.count("chunks"),
        failed=outcome.failed,
        embedded=embedded,
        unchanged=not fresh,
        seconds=time.monotonic() - started,
        bytes=record.size(),
        content_hash=meta.content_hash,
        parsed=parsed,
        removed=0 if change is None else len(change.gone),
        forgotten=forgotten,
        notes=outcome.notes,
    )


def _check_built(folder: Path) -> None:
    record = Record.read(folder)
    try:
        if record.meta() is None:
            raise CollectionError(
                f"collection {folder.name!r} is not finished: its build is running or was "
                "interrupted",
                hint=f"Wait for it, or go on with it: `rag-adapt index build {folder.name} DIR`.",
            )
    finally:
        record.close()
