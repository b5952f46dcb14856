"""Deletes a whole collection, so that nothing of it is left on the disk.

It does not know who wants that. **When it returns, no process holds a byte of it**: a file that
somebody still reads keeps its blocks, so a collection that is open anywhere is refused.
"""

import shutil
import sqlite3
import time
from collections.abc import Iterator
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from rag_adapt.core.errors import CollectionError, LockedError
from rag_adapt.retrieval.catalog import collection_folder
from rag_adapt.retrieval.chroma import CHROMA_FOLDER
from rag_adapt.retrieval.chroma_server import SERVER_FOLDER, wait_for_servers
from rag_adapt.retrieval.lock import LOCK_NAME, writing
from rag_adapt.retrieval.query_log import QUERY_LOG
from rag_adapt.retrieval.quoting import Quotations, quotations
from rag_adapt.retrieval.record import RECORD_NAME, Record
from rag_adapt.retrieval.remembered import VECTORS, forget, forget_all
from rag_adapt.retrieval.sqlite import open_writer, translated
from rag_adapt.retrieval.stamp import STAMP

DOCUMENTS: Final = "documents"
"""Below a home, by collection: what was uploaded for it."""
OURS: Final = frozenset(
    {
        CHROMA_FOLDER,
        SERVER_FOLDER,
        LOCK_NAME,
        STAMP,
        f"{STAMP}.new",
        QUERY_LOG,
        f"{QUERY_LOG}.new",
        *(f"{RECORD_NAME}{end}" for end in ("", "-wal", "-shm", "-journal")),
    }
)
"""What may lie in a collection's folder."""
READER_SECONDS: Final = 2.0
"""How long readers may take to close: a search takes less, a route that is served holds on."""
POLL: Final = 0.05


@dataclass(frozen=True, kw_only=True)
class Removal(Quotations):
    """What is gone, and what still quotes it."""

    collection: str
    bytes: int
    """Of its record, its indexes and its uploaded documents."""
    vectors: int
    """That embedders remembered of its texts, those of documents that it had before included;
    where its record cannot be read, all that they remembered. Other collections keep their own
    vectors, and embed the same text again when they next need it."""


def remove_collection(indexes: Path, name: str, *, home: Path) -> Removal:
    """Delete a collection, damaged and unfinished ones too, and what the home keeps for it.

    Documents that lie elsewhere stay where they are.

    Args:
        indexes: Where collections lie.
        name: Which one.
        home: Where its uploaded documents and the embedders' memory lie.

    Raises:
        CollectionError: there is none, or its folder is a link or holds what is not ours.
        LockedError: somebody builds or reads it.
        StorageError: something cannot be opened or written.
    """
    folder, uploaded = collection_folder(indexes, name), home / DOCUMENTS / name
    if not folder.is_dir() and not uploaded.is_dir():
        raise CollectionError(
            f"there is no collection {name!r}",
            hint="`rag-adapt index list` shows what is there.",
        )
    _check_ours(folder, uploaded)
    with writing(folder):
        size = _size(folder) + _size(uploaded)
        hashes = _text_hashes(folder)
        _wait_for_readers(folder)
        wait_for_servers(folder)
        quoted = quotations(home, name)
        cache = home / VECTORS
        vectors = forget_all(cache) if hashes is None else forget(cache, hashes)
        if uploaded.is_dir():
            shutil.rmtree(uploaded)
        (folder / RECORD_NAME).unlink(missing_ok=True)  # from here on there is no collection
        shutil.rmtree(folder)
    return Removal(
        collection=name,
        bytes=size,
        vectors=vectors,
        runs=quoted.runs,
        traces=quoted.traces,
        conversations=quoted.conversations,
    )


def _check_ours(folder: Path, uploaded: Path) -> None:
    for path in (folder, uploaded):
        if path.is_symlink():
            raise CollectionError(
                f"{str(path)!r} is a link to another place", hint=f"Remove it: `rm {path}`."
            )
    found = {path.name for path in folder.iterdir()} if folder.is_dir() else set()
    if strange := sorted(found - OURS):
        raise CollectionError(
            f"{str(folder)!r} holds {strange[0]!r}, which is no part of a collection",
            hint="Move it elsewhere, then run the same command again.",
        )


def _size(folder: Path) -> int:
    return sum(path.stat().st_size for path in folder.rglob("*") if path.is_file())


def _text_hashes(folder: Path) -> list[str] | None:
    """Of the texts that were embedded, in order; None where a record is there and damaged."""
    if not (folder / RECORD_NAME).is_file():
        return []
    try:
        with closing(Record.read(folder)) as record, translated(record.path):
            return sorted(set(_noted(record)))
    except (CollectionError, sqlite3.DatabaseError):
        return None


def _noted(record: Record) -> Iterator[str]:
    for table in ("chunks", "embeddings", "loose"):
        if record.has(table):
            for row in record.connection.execute(f"SELECT text_hash FROM {table}"):
                yield row[0]


def _wait_for_readers(folder: Path) -> None:
    """Return once nobody has the record open.

    Raises:
        LockedError: somebody still has, after `READER_SECONDS`.
    """
    path, end = folder / RECORD_NAME, time.monotonic() + READER_SECONDS
    while path.is_file() and not _is_alone(path):
        if time.monotonic() > end:
            raise LockedError(
                f"collection {folder.name!r} is open for reading",
                hint="Wait until whoever reads it has ended (a benchmark, a search), or stop the "
                "service that answers from it, then ask again.",
            )
        time.sleep(POLL)


def _is_alone(path: Path) -> bool:
    """Whether no other connection of any process has the file open: SQLite leaves the mode in
    which readers and a writer share it only then."""
    try:
        with translated(path), closing(open_writer(path)) as connection:
            connection.execute("PRAGMA busy_timeout = 0")
            connection.execute("PRAGMA journal_mode = DELETE")
    except LockedError:
        return False
    except CollectionError:  # damaged: nobody can read it either
        return True
    return True
