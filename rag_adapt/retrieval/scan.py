"""Finds the files below a folder that may be documents, and says why others may not.

It opens none of them, and does not know what is in them.
"""

import os
import stat
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from rag_adapt.core.errors import CollectionError
from rag_adapt.retrieval.parsers.kinds import KINDS, Kind
from rag_adapt.retrieval.parsers.parsed import UnusableError

SUFFIXES: Final = frozenset(KINDS)
"""How the names of documents end, in small letters."""


@dataclass(frozen=True, kw_only=True)
class FoundFile:
    """A file that may be read."""

    name: str
    """Relative to the corpus folder, with forward slashes."""
    path: Path
    """Where it lies; links are followed."""
    suffix: str
    """Of its name, in small letters."""
    size: int
    """Bytes."""
    mtime_ns: int
    """When it was last changed, as the file system says."""

    @property
    def kind(self) -> Kind:
        """What reads it."""
        return KINDS[self.suffix]


@dataclass(frozen=True, kw_only=True)
class FailedDocument:
    """A file that was left out."""

    path: str
    reason: str


@dataclass(frozen=True, kw_only=True)
class Scan:
    """What a folder holds, both in order of name."""

    files: tuple[FoundFile, ...]
    failed: tuple[FailedDocument, ...]


def scan_folder(folder: Path, *, max_bytes: int | None = None) -> Scan:
    """Every file below `folder`; hidden files and folders are passed over in silence.

    A file that cannot be a document (other suffix, too large, a link that leaves the folder) is
    reported and does not stop the others.

    Args:
        folder: Read with its sub-folders.
        max_bytes: Of one file, whatever its kind; None for each kind's own limit.

    Raises:
        CollectionError: the folder does not exist.
    """
    if not folder.is_dir():
        raise CollectionError(
            f"corpus {str(folder)!r} is not a folder",
            hint="Name a folder with documents: `rag-adapt index build NAME DIR`.",
        )
    root = folder.resolve()
    files: list[FoundFile] = []
    failed: list[FailedDocument] = []
    for path, name in sorted(_files(root), key=lambda found: found[1]):
        shown = _printable(name)
        try:
            files.append(_found(path, shown, root, max_bytes))
        except UnusableError as error:
            failed.append(FailedDocument(path=shown, reason=str(error)))
    return Scan(files=tuple(files), failed=tuple(failed))


def nothing_usable(folder: Path, failed: tuple[FailedDocument, ...]) -> CollectionError:
    """What to say of a folder without a document that can be read."""
    shown = "; ".join(f"{document.path}: {document.reason}" for document in failed[:5])
    more = f"; and {len(failed) - 5} more" if len(failed) > 5 else ""
    detail = f" ({shown}{more})" if shown else ""
    return CollectionError(
        f"corpus {str(folder)!r} holds no usable document{detail}",
        hint=f"Put files ending in {', '.join(sorted(SUFFIXES))} into it.",
    )


def _files(root: Path) -> Iterator[tuple[Path, str]]:
    """Files and linked folders, each with its name from the root on."""
    cut = len(str(root)) + (str(root) != os.sep)
    for parent, folders, names in os.walk(root):
        folders[:] = [name for name in folders if not name.startswith(".")]
        here = Path(parent)
        linked = [name for name in folders if (here / name).is_symlink()]
        for name in (*linked, *(name for name in names if not name.startswith("."))):
            path = here / name
            yield path, str(path)[cut:]


def _found(path: Path, name: str, root: Path, max_bytes: int | None) -> FoundFile:
    try:
        str(path).encode()
    except UnicodeEncodeError as exc:
        raise UnusableError("its name is not UTF-8") from exc
    target = _resolved(path, root)
    try:
        status = target.stat()
    except OSError as exc:
        raise UnusableError(f"cannot be read: {exc.strerror}") from exc
    suffix = path.suffix.lower()
    _check_kind(status, path.suffix, max_bytes)
    return FoundFile(
        name=name,
        path=target,
        suffix=suffix,
        size=status.st_size,
        mtime_ns=status.st_mtime_ns,
    )


def _resolved(path: Path, root: Path) -> Path:
    if not path.is_symlink():
        return path
    try:
        target = path.resolve(strict=True)
    except (OSError, RuntimeError) as exc:  # a loop is a RuntimeError before Python 3.13
        raise UnusableError("a link that leads nowhere") from exc
    if not target.is_relative_to(root):
        raise UnusableError("a link that leaves the folder")
    return target


def _check_kind(status: os.stat_result, suffix: str, max_bytes: int | None) -> None:
    if stat.S_ISDIR(status.st_mode):
        raise UnusableError("a link to a folder; its files are read where they lie")
    if not stat.S_ISREG(status.st_mode):
        raise UnusableError("not a regular file")
    if suffix.lower() not in SUFFIXES:
        kinds = ", ".join(sorted(SUFFIXES))
        raise UnusableError(f"suffix {suffix!r} is not one of {kinds}")
    most = KINDS[suffix.lower()].most_bytes if max_bytes is None else max_bytes
    if status.st_size > most:
        raise UnusableError(f"{status.st_size} bytes, more than {most}")


def _printable(name: str) -> str:
    return name.encode("utf-8", "surrogateescape").decode("utf-8", "backslashreplace")
