"""A seal on a folder of files that nobody may change: their sizes and hashes, and what they are of.

It does not know what the files hold. A library whose index lost a file, or had bytes of it
flipped, answers nothing, answers wrongly or takes its process down: so files are looked at before
the library is.
"""

import hashlib
import json
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Final

SEAL: Final = "complete"
"""The seal's own file: where it is missing, the folder was never finished."""


@dataclass(frozen=True, kw_only=True)
class Content:
    """What the files were made from."""

    content_hash: str
    generation: int
    """Of the record: a record that was restored from a backup has another one."""
    chunks: int


@dataclass(frozen=True, kw_only=True)
class Sealed:
    """One file as it was."""

    size: int
    mtime_ns: int
    sha256: str


def seal(place: Path, content: Content, *, living: frozenset[str] = frozenset()) -> None:
    """Seal what lies in a folder and below.

    Args:
        place: The folder.
        content: What its files were made from.
        living: Names of files that are written whenever they are opened; they must only be there.
    """
    files = {
        name: None if name in living else asdict(_sealed(place / name)) for name in _names(place)
    }
    new = place / f"{SEAL}.new"
    new.write_text(json.dumps({"content": asdict(content), "files": files}), encoding="utf-8")
    new.replace(place / SEAL)


def is_sealed(place: Path) -> bool:
    """Whether a folder was finished; not whether it is whole."""
    return (place / SEAL).is_file()


def broken(place: Path, content: Content, *, quick: bool = False) -> Iterator[str]:
    """What is wrong with a sealed folder, one sentence each; nothing where it is as it was.

    Args:
        place: The folder.
        content: What its files ought to be made from.
        quick: Whether a file with its old size and time is believed to be the old one.
    """
    try:
        told = json.loads((place / SEAL).read_text(encoding="utf-8"))
        of = Content(**told["content"])
        files = {
            name: None if kept is None else Sealed(**kept) for name, kept in told["files"].items()
        }
    except (OSError, ValueError, TypeError, KeyError, AttributeError):
        yield "it has no readable seal: it was made by an older version, or cut off"
        return
    if of != content:
        yield (
            f"it is of generation {of.generation} with {of.chunks} chunks ({of.content_hash}), the "
            f"record is of generation {content.generation} with {content.chunks} "
            f"({content.content_hash}): one of them was restored from a backup"
        )
    for name, kept in files.items():
        if (problem := _problem(place / name, kept, quick=quick)) is not None:
            yield f"its file {name!r} {problem}"
    for name in sorted(set(_names(place)) - set(files)):
        if not name.startswith(tuple(files)):  # SQLite's side files of one that lives
            yield f"its file {name!r} was not there when it was made"


def _problem(path: Path, kept: Sealed | None, *, quick: bool) -> str | None:
    try:
        status = path.stat()
    except OSError:
        return "is gone"
    if kept is None:
        return None
    if status.st_size != kept.size:
        return f"has {status.st_size} bytes, not {kept.size}"
    if quick and status.st_mtime_ns == kept.mtime_ns:
        return None
    return None if _hash(path) == kept.sha256 else "has other bytes than it was made with"


def _sealed(path: Path) -> Sealed:
    status = path.stat()
    return Sealed(size=status.st_size, mtime_ns=status.st_mtime_ns, sha256=_hash(path))


def _hash(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _names(place: Path) -> list[str]:
    """Every file below the folder but the seal, by its path from there."""
    found = (path for path in place.rglob("*") if path.is_file())
    names = (path.relative_to(place).as_posix() for path in found)
    return sorted(name for name in names if name not in (SEAL, f"{SEAL}.new"))
