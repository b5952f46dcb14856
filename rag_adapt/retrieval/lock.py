"""One writer per folder: a file lock that dies with its process.

It does not know what is written. Readers never ask for it.
"""

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Final

from rag_adapt.core.errors import LockedError

if TYPE_CHECKING:
    from filelock import BaseFileLock

LOCK_NAME: Final = "lock"
PATIENCE: Final = 0.3
"""Seconds that a second writer waits before it is refused."""


def acquire(folder: Path) -> "BaseFileLock":
    """Take the folder's lock, making the folder if need be; the caller releases it.

    Raises:
        LockedError: another process (or another part of this one) holds it.
    """
    from filelock import FileLock, Timeout

    folder.mkdir(parents=True, exist_ok=True)
    path = folder / LOCK_NAME
    lock = FileLock(path, thread_local=False)
    try:
        lock.acquire(timeout=PATIENCE, poll_interval=0.05)
    except Timeout as exc:
        raise _locked(folder, path) from exc
    path.write_text(f"{os.getpid()}\n")
    return lock


@contextmanager
def writing(folder: Path) -> Iterator[None]:
    """Hold the folder's lock during the block.

    Raises:
        LockedError: somebody else holds it.
    """
    lock = acquire(folder)
    try:
        yield
    finally:
        lock.release()


def _locked(folder: Path, path: Path) -> LockedError:
    owner = path.read_text().strip()
    who = f"process {owner}" if owner.isdigit() else "another process"
    return LockedError(
        f"collection {folder.name!r} is held by {who}, which builds it or has Chroma open on it",
        hint="Wait until that process ends, then run the same command again. Searching with "
        "`--backend exact` needs no lock.",
    )
