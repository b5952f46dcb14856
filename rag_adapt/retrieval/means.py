"""Cuts documents into chunks, and leaves out those that would cost too much to index.

It does not know how anything is cut or embedded. One document may hold most of what a build would
ever embed; it fails with a reason, and the others are indexed.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Final

from rag_adapt.core.errors import CollectionError
from rag_adapt.core.protocols import Progress
from rag_adapt.retrieval.chunk import token_starts
from rag_adapt.retrieval.parse import Corpus, Document, FailedDocument
from rag_adapt.retrieval.protocols import Chunker, ChunkSpan

MOST_TOKENS: Final = 1_000_000
"""Estimated tokens of one document: some 6 MB of English, 700 pages of Chinese."""
MOST_CHUNKS: Final = 20_000
"""Of one document: each is a text to be embedded."""
PIECE: Final = 100_000
"""Characters whose tokens are counted at a time."""


@dataclass(frozen=True, kw_only=True)
class Cut:
    """A corpus in chunks."""

    corpus: Corpus
    """What is left of it; the others are among its failed documents."""
    spans: Mapping[str, Sequence[ChunkSpan]]
    """Of every document that is left, by its path."""


class _TooCostlyError(Exception):
    """Why one document is left out."""


def cut(
    corpus: Corpus,
    chunker: Chunker,
    progress: Progress,
    *,
    most_tokens: int = MOST_TOKENS,
    most_chunks: int = MOST_CHUNKS,
) -> Cut:
    """Every document in chunks; one that is too long, or gives too many, is left out.

    Args:
        corpus: What was read.
        chunker: What cuts.
        progress: Told of the stage `parsing`.
        most_tokens: Estimated tokens that a document may have.
        most_chunks: Chunks that a document may give.

    Raises:
        CollectionError: no document is left.
    """
    spans: dict[str, Sequence[ChunkSpan]] = {}
    failed = list(corpus.failed)
    for done, document in enumerate(corpus.documents, start=1):
        try:
            _check_tokens(document, most_tokens)
            spans[document.path] = _chunks(document, chunker, most_chunks)
        except _TooCostlyError as error:
            failed.append(FailedDocument(path=document.path, reason=str(error)))
        progress.update("parsing", done, len(corpus.documents), document.path)
    if not spans:
        raise CollectionError(
            f"no document can be indexed: {failed[-1].path!r}: {failed[-1].reason}",
            hint="Split the documents into smaller files, and build again.",
        )
    kept = tuple(document for document in corpus.documents if document.path in spans)
    left_out = tuple(sorted(failed, key=lambda one: one.path))
    return Cut(corpus=replace(corpus, documents=kept, failed=left_out), spans=spans)


def _check_tokens(document: Document, most: int) -> None:
    """Count no further than needed: tokens cost fifty times the memory of their text.

    Raises:
        _TooCostlyError: there are more.
    """
    counted = 0
    for start in range(0, len(document.text), PIECE):
        counted += len(token_starts(document.text[start : start + PIECE]))
        if counted > most:
            raise _TooCostlyError(f"longer than {most} tokens; split it into smaller files")


def _chunks(document: Document, chunker: Chunker, most: int) -> Sequence[ChunkSpan]:
    """The document in chunks.

    Raises:
        _TooCostlyError: there are too many.
    """
    found = chunker.chunk(document.text)
    if len(found) > most:
        raise _TooCostlyError(f"{len(found)} chunks, more than {most}; split it into smaller files")
    return found
