"""Finds out what of a folder changed since it was last looked at.

It does not read documents: where size and time are the same, not even their bytes.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

from rag_adapt.retrieval.files import FileRow
from rag_adapt.retrieval.parse import fingerprint
from rag_adapt.retrieval.parsers.parsed import UnusableError
from rag_adapt.retrieval.scan import FailedDocument, FoundFile, Scan

FRESH_NS: Final = 2_000_000_000
"""A file changed so short a time ago may change again without its time changing."""


@dataclass(frozen=True, kw_only=True)
class Survey:
    """What is to be done, in order of path."""

    unread: tuple[FoundFile, ...]
    """New and changed ones, and those that failed before."""
    touched: tuple[FoundFile, ...]
    """The same bytes at another time."""
    refused: tuple[FailedDocument, ...]
    """No documents, which was not known, or for another reason."""


def survey(known: Mapping[str, FileRow], scan: Scan, *, trust_times: bool) -> Survey:
    """Compare a folder with what is known of it.

    Args:
        known: By path.
        scan: The folder now.
        trust_times: Whether a file with the size and time of before is the same, unread.
    """
    unread: list[FoundFile] = []
    touched: list[FoundFile] = []
    for file in scan.files:
        row = known.get(file.name)
        if row is None or not _is_read(row, file):
            unread.append(file)
        elif trust_times and _same_times(row, file):
            continue
        elif _fingerprint(file) == row.raw:
            touched.append(file)
        else:
            unread.append(file)
    return Survey(
        unread=tuple(unread),
        touched=tuple(touched),
        refused=tuple(each for each in scan.failed if _news(known.get(each.path), each)),
    )


def kept_time(file: FoundFile, now_ns: int) -> int:
    """The time by which a later change is known; 0 where it is too fresh for that."""
    return file.mtime_ns if file.mtime_ns < now_ns - FRESH_NS else 0


def _is_read(row: FileRow, file: FoundFile) -> bool:
    return row.state in ("parsed", "embedded", "indexed") and row.parser == file.kind.parser


def _same_times(row: FileRow, file: FoundFile) -> bool:
    return row.mtime_ns != 0 and (row.size, row.mtime_ns) == (file.size, file.mtime_ns)


def _fingerprint(file: FoundFile) -> str | None:
    try:
        return fingerprint(file)
    except UnusableError:
        return None  # reading it says why


def _news(row: FileRow | None, failed: FailedDocument) -> bool:
    return row is None or row.state != "failed" or row.reason != failed.reason
