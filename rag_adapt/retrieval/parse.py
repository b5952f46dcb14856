"""Reads a folder of markdown and text files into texts whose characters can be counted.

It does not know chunks, embeddings or where the texts go.
"""

import hashlib
import os
import stat
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from rag_adapt.core.errors import CollectionError

SUFFIXES: Final = frozenset({".md", ".markdown", ".txt", ".text"})
MAX_BYTES: Final = 20 * 2**20
"""Size of the largest file that is read, in bytes."""


@dataclass(frozen=True, kw_only=True)
class Document:
    """A file as it was parsed."""

    path: str
    """Relative to the corpus folder, with forward slashes."""
    text: str
    """Without byte order mark, lines ended by `\\n`; offsets count its characters."""

    @property
    def sha256(self) -> str:
        """Of the text in UTF-8, as 64 hex digits."""
        return hashlib.sha256(self.text.encode()).hexdigest()


@dataclass(frozen=True, kw_only=True)
class FailedDocument:
    """A file that was left out."""

    path: str
    reason: str


@dataclass(frozen=True, kw_only=True)
class Corpus:
    """What a folder holds, both in order of path."""

    documents: tuple[Document, ...]
    failed: tuple[FailedDocument, ...]


def read_corpus(folder: Path, *, max_bytes: int = MAX_BYTES) -> Corpus:
    """Read every file below `folder`; hidden files and folders are passed over in silence.

    A file that cannot be used (other suffix, not UTF-8, empty, too large, unreadable, a link
    that leaves the folder) is reported and does not stop the others.

    Raises:
        CollectionError: the folder does not exist, or holds no usable document.
    """
    if not folder.is_dir():
        raise CollectionError(
            f"corpus {str(folder)!r} is not a folder",
            hint="Name a folder with markdown or text files: `rag-adapt index build NAME DIR`.",
        )
    root = folder.resolve()
    documents: list[Document] = []
    failed: list[FailedDocument] = []
    for path in sorted(_files(root), key=lambda path: path.relative_to(root).as_posix()):
        name = _printable(path.relative_to(root).as_posix())
        try:
            documents.append(Document(path=name, text=_read(path, root, max_bytes)))
        except _UnusableError as exc:
            failed.append(FailedDocument(path=name, reason=str(exc)))
    if not documents:
        raise _empty(folder, failed)
    return Corpus(documents=tuple(documents), failed=tuple(failed))


def decode(raw: bytes) -> str:
    """Text of a file: UTF-8, byte order mark stripped, `\\r\\n` and `\\r` turned into `\\n`.

    Raises:
        UnicodeDecodeError: the bytes are not UTF-8.
    """
    return raw.decode("utf-8-sig").replace("\r\n", "\n").replace("\r", "\n")


class _UnusableError(Exception):
    """Why one file is left out."""


def _files(root: Path) -> Iterator[Path]:
    for parent, folders, names in os.walk(root):
        folders[:] = [name for name in folders if not name.startswith(".")]
        here = Path(parent)
        yield from (here / name for name in folders if (here / name).is_symlink())
        yield from (here / name for name in names if not name.startswith("."))


def _read(path: Path, root: Path, max_bytes: int) -> str:
    _check_name(path)
    target = _resolved(path, root)
    try:
        status = target.stat()
        _check_kind(status, path, max_bytes)
        with target.open("rb") as file:
            raw = file.read(max_bytes + 1)
    except OSError as exc:
        raise _UnusableError(f"cannot be read: {exc.strerror}") from exc
    if len(raw) > max_bytes:
        raise _UnusableError(f"larger than {max_bytes} bytes")
    return _text(raw)


def _check_name(path: Path) -> None:
    try:
        str(path).encode()
    except UnicodeEncodeError as exc:
        raise _UnusableError("its name is not UTF-8") from exc


def _resolved(path: Path, root: Path) -> Path:
    if not path.is_symlink():
        return path
    try:
        target = path.resolve(strict=True)
    except (OSError, RuntimeError) as exc:  # a loop is a RuntimeError before Python 3.13
        raise _UnusableError("a link that leads nowhere") from exc
    if not target.is_relative_to(root):
        raise _UnusableError("a link that leaves the folder")
    return target


def _check_kind(status: os.stat_result, path: Path, max_bytes: int) -> None:
    if stat.S_ISDIR(status.st_mode):
        raise _UnusableError("a link to a folder; its files are read where they lie")
    if not stat.S_ISREG(status.st_mode):
        raise _UnusableError("not a regular file")
    if path.suffix.lower() not in SUFFIXES:
        kinds = ", ".join(sorted(SUFFIXES))
        raise _UnusableError(f"suffix {path.suffix!r} is not one of {kinds}")
    if status.st_size > max_bytes:
        raise _UnusableError(f"{status.st_size} bytes, more than {max_bytes}")


def _text(raw: bytes) -> str:
    try:
        text = decode(raw)
    except UnicodeDecodeError as exc:
        raise _UnusableError(f"not UTF-8: byte {exc.start} is {raw[exc.start]:#04x}") from exc
    if "\0" in text:
        raise _UnusableError("binary: it holds a NUL character")
    if not text.strip():
        raise _UnusableError("empty")
    return text


def _printable(name: str) -> str:
    return name.encode("utf-8", "surrogateescape").decode("utf-8", "backslashreplace")


def _empty(folder: Path, failed: list[FailedDocument]) -> CollectionError:
    shown = "; ".join(f"{document.path}: {document.reason}" for document in failed[:5])
    more = f"; and {len(failed) - 5} more" if len(failed) > 5 else ""
    detail = f" ({shown}{more})" if shown else ""
    return CollectionError(
        f"corpus {str(folder)!r} holds no usable document{detail}",
        hint=f"Put UTF-8 files ending in {', '.join(sorted(SUFFIXES))} into it.",
    )
