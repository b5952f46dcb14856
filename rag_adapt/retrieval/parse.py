"""Reads documents into texts whose characters can be counted; whatever parses is confined.

It does not know chunks, embeddings or where the texts go.
"""

import hashlib
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Final, Protocol, Self

from rag_adapt.core.errors import CollectionError
from rag_adapt.limited.bounds import Bounds, ParserError
from rag_adapt.limited.worker import Worker
from rag_adapt.retrieval.parsers.kinds import PLAIN, parse_bytes, parse_file
from rag_adapt.retrieval.parsers.parsed import Parsed, UnusableError
from rag_adapt.retrieval.scan import (
    SUFFIXES,
    FailedDocument,
    FoundFile,
    nothing_usable,
    scan_folder,
)

__all__ = [
    "SUFFIXES",
    "Corpus",
    "Document",
    "FailedDocument",
    "FileReader",
    "ReadFile",
    "Reader",
    "read_corpus",
]

BOUNDS: Final = Bounds(seconds=60, cpu_seconds=30, memory_bytes=1 << 30, result_bytes=128 << 20)
"""Of one document."""


@dataclass(frozen=True, kw_only=True)
class Document:
    """A file as it was parsed."""

    path: str
    """Relative to the corpus folder, with forward slashes."""
    text: str
    """Without byte order mark, lines ended by `\\n`; offsets count its characters."""
    pages: tuple[int, ...] = ()
    """Where each page begins, in characters; empty where there are none."""
    notes: tuple[str, ...] = ()
    """What was changed or left out on the way."""

    @property
    def sha256(self) -> str:
        """Of the text in UTF-8, as 64 hex digits."""
        return hashlib.sha256(self.text.encode()).hexdigest()


@dataclass(frozen=True, kw_only=True)
class Corpus:
    """What a folder holds, both in order of path."""

    documents: tuple[Document, ...]
    failed: tuple[FailedDocument, ...]


@dataclass(frozen=True, kw_only=True)
class ReadFile:
    """A file that was parsed."""

    parsed: Parsed
    raw: str
    """SHA-256 of the bytes that were parsed, as 64 hex digits."""


class Reader(Protocol):
    """Turns a file into text."""

    def read(self, file: FoundFile) -> ReadFile:
        """The file's text.

        Raises:
            UnusableError: it cannot be used, and why.
        """
        ...


class FileReader:
    """Reads files of every kind, all that need a parser in one confined process.

    Markdown and text in UTF-8 need none: they are decoded here.

    Args:
        confined: Whether this process is such a one already, and may begin no other.
    """

    def __init__(self, *, confined: bool = False, bounds: Bounds = BOUNDS) -> None:
        self._confined = confined
        self._worker = Worker(parse_file, bounds=bounds, refused_as=CollectionError)

    def read(self, file: FoundFile) -> ReadFile:
        """See `Reader.read`."""
        asked = {"path": str(file.path), "suffix": file.suffix}
        try:
            if file.kind is PLAIN and (plain := _plain(file)) is not None:
                return plain
            found = parse_file(asked) if self._confined else self._worker.ask(asked)
        except (CollectionError, ParserError) as error:
            raise UnusableError(error.fact) from error
        except OSError as error:
            raise UnusableError(f"cannot be read: {error.strerror}") from error
        return ReadFile(parsed=Parsed.from_json(found), raw=found["raw"])

    def close(self) -> None:
        """End the process that parses, where there is one."""
        self._worker.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()


def read_corpus(folder: Path, *, max_bytes: int | None = None, confined: bool = False) -> Corpus:
    """Read every file below `folder`; hidden files and folders are passed over in silence.

    A file that cannot be used (other suffix, no text in it, too large, broken, a link that
    leaves the folder) is reported and does not stop the others.

    Args:
        folder: Read with its sub-folders.
        max_bytes: Of one file, whatever its kind; None for each kind's own limit.
        confined: See `FileReader`.

    Raises:
        CollectionError: the folder does not exist, or holds no usable document.
    """
    scan = scan_folder(folder, max_bytes=max_bytes)
    documents: list[Document] = []
    failed = list(scan.failed)
    with FileReader(confined=confined) as reader:
        for file in scan.files:
            try:
                parsed = reader.read(file).parsed
            except UnusableError as error:
                failed.append(FailedDocument(path=file.name, reason=str(error)))
            else:
                documents.append(
                    Document(
                        path=file.name, text=parsed.text, pages=parsed.pages, notes=parsed.notes
                    )
                )
    reasons = tuple(sorted(failed, key=lambda each: each.path))
    if not documents:
        raise nothing_usable(folder, reasons)
    return Corpus(documents=tuple(documents), failed=reasons)


def fingerprint(file: FoundFile) -> str:
    """SHA-256 of a file's bytes, as 64 hex digits.

    Raises:
        UnusableError: it cannot be read.
    """
    try:
        with file.path.open("rb") as opened:
            return hashlib.file_digest(opened, "sha256").hexdigest()
    except OSError as error:
        raise UnusableError(f"cannot be read: {error.strerror}") from error


def _plain(file: FoundFile) -> ReadFile | None:
    """Text in UTF-8; None where its encoding must be found first."""
    with file.path.open("rb") as opened:
        raw = opened.read(PLAIN.most_bytes + 1)
    if len(raw) > PLAIN.most_bytes:
        raise UnusableError(f"larger than {PLAIN.most_bytes} bytes")
    try:
        raw.decode()
    except UnicodeDecodeError:
        return None
    return ReadFile(parsed=parse_bytes(PLAIN, raw), raw=hashlib.sha256(raw).hexdigest())
