"""The documents that were uploaded for collections, one folder per collection in the home.

It does not know HTTP or how documents become a collection. A name that a client chose is never
used as a path before it was made a plain file name.
"""

import asyncio
import shutil
import tempfile
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Final

from rag_adapt.core.errors import CollectionError
from rag_adapt.limited.bounds import ParserError
from rag_adapt.limited.call import call
from rag_adapt.retrieval.catalog import NAME, SKILLS, collection_folder
from rag_adapt.retrieval.parse import SUFFIXES
from rag_adapt.retrieval.uploaded import BOUNDS, check_documents

FOLDER: Final = "documents"
MOST: Final = 10_000
"""Documents of one collection."""


SEARCHING: Final = 90.0
"""Seconds in which it is looked for the documents that use up their reader's limits."""
SHOWN: Final = 5
"""Documents that an error names."""


@dataclass(frozen=True, kw_only=True)
class Sent:
    """A document that somebody sent."""

    name: str
    """A plain file name."""
    file: IO[bytes]


@dataclass(frozen=True, kw_only=True)
class Added:
    """What became of documents that were sent."""

    kept: tuple[str, ...]
    """Their names."""
    left_out: tuple[tuple[str, str], ...]
    """Name and reason of each that was not kept."""


class DocumentNotFoundError(CollectionError):
    """There is no such collection, or no such document in it."""

    code = "document-not-found"
    status = 404


class UnreadableError(CollectionError):
    """An uploaded document cannot be read as text."""

    code = "document-unreadable"
    status = 422


class NotOursError(CollectionError):
    """The collection was built from a folder that is not the service's."""

    code = "collection-elsewhere"
    status = 409


class Library:
    """Uploaded documents.

    Args:
        home: They lie in `home/documents/<collection>/`.
        indexes: Where collections lie.
    """

    def __init__(self, home: Path, indexes: Path) -> None:
        self._folder, self._indexes = (home / FOLDER).absolute(), indexes

    def folder(self, name: str) -> Path:
        """Where a collection's documents lie."""
        return self._folder / collection_folder(self._indexes, name).name

    def holds(self, name: str) -> bool:
        """Whether this collection's documents were uploaded."""
        return NAME.fullmatch(name) is not None and (self._folder / name).is_dir()

    def names(self) -> list[str]:
        """Collections for which documents were uploaded."""
        if not self._folder.is_dir():
            return []
        return [path.name for path in self._folder.iterdir() if self.holds(path.name)]

    def files(self, name: str) -> frozenset[str]:
        """Names of the documents that were uploaded for a collection."""
        if not self.holds(name):
            return frozenset()
        found = (path.name for path in self.folder(name).iterdir() if path.is_file())
        return frozenset(file for file in found if not file.startswith("."))

    def check_file(self, name: str, document: str) -> None:
        """Stop unless this document was uploaded for this collection.

        Raises:
            NotOursError: the collection was built from another folder.
            DocumentNotFoundError: there is none of that name.
        """
        self._check_ours(name)
        if document not in self.files(name):
            raise _no_document(name, document)

    async def add(self, name: str, sent: Sequence[Sent]) -> Added:
        """Keep the documents that can be read; one of the same name is replaced.

        Raises:
            NotOursError: the collection was built from another folder.
            UnreadableError: a limited process could read none of them.
            ParserError: to find out which of them can be read would take too long.
            CollectionError: none is of a kind that is read, or there would be too many.
        """
        left_out, taken = _sorted(sent)
        await asyncio.to_thread(self._check_ours, name)
        self._folder.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(prefix=".upload-", dir=self._folder) as private:
            place = Path(private)
            await asyncio.to_thread(_write, taken, place)
            failed = await _unreadable(place, [one.name for one in taken])
            kept = [one.name for one in taken if one.name not in failed]
            if not kept:
                raise _none_readable(failed)
            await asyncio.to_thread(self._put, name, kept, place)
        return Added(kept=tuple(kept), left_out=(*left_out, *failed.items()))

    def _put(self, name: str, names: Sequence[str], place: Path) -> None:
        folder = self.folder(name)
        folder.mkdir(parents=True, exist_ok=True)
        if len({*names, *(path.name for path in folder.iterdir())}) > MOST:
            raise CollectionError(
                f"collection {name!r} would hold more than {MOST} documents",
                hint="Split it, or build it with `rag-adapt index build NAME DIR`.",
            )
        for file in names:
            (place / file).replace(folder / file)

    def remove(self, name: str, document: str) -> None:
        """Delete a document; the next build leaves it out.

        Raises:
            NotOursError: the collection was built from another folder.
            DocumentNotFoundError: there is none of that name.
            CollectionError: it is the last one.
        """
        self.check_file(name, document)
        if len(self.files(name)) == 1:
            raise CollectionError(
                f"{document!r} is the last document of collection {name!r}",
                hint="Add another one first: a collection without documents cannot be searched.",
            )
        (self.folder(name) / document).unlink()

    def _check_ours(self, name: str) -> None:
        elsewhere = collection_folder(self._indexes, name).is_dir() and not self.holds(name)
        if elsewhere or name.startswith(SKILLS):
            raise NotOursError(
                f"the documents of collection {name!r} were not uploaded here",
                hint=f"Change them where they lie and run `rag-adapt index build {name} DIR`, or "
                "choose another name.",
            )


def _no_document(name: str, document: str) -> DocumentNotFoundError:
    return DocumentNotFoundError(
        f"collection {name!r} has no document {document[:80]!r}",
        hint=f"GET /v1/collections/{name}/files lists them.",
    )


def _sorted(sent: Sequence[Sent]) -> tuple[list[tuple[str, str]], list[Sent]]:
    """Those whose name says that they are not kept, with the reason; and the others.

    Raises:
        CollectionError: there are no others.
    """
    left_out: list[tuple[str, str]] = []
    taken: dict[str, Sent] = {}
    for one in sent:
        if Path(one.name).suffix.lower() not in SUFFIXES:
            left_out.append((one.name, "it is of no kind that is read"))
        elif one.name in taken:
            left_out.append((one.name, "another one of this upload has the same name"))
        else:
            taken[one.name] = one
    if not taken:
        raise CollectionError(
            f"document {left_out[0][0]!r} is of no kind that is read",
            hint=f"Upload files that end in {', '.join(sorted(SUFFIXES))}.",
        )
    return left_out, list(taken.values())


def _write(sent: Sequence[Sent], place: Path) -> None:
    for one in sent:
        with (place / one.name).open("xb") as kept:
            shutil.copyfileobj(one.file, kept)


async def _unreadable(
    place: Path, files: Sequence[str], until: float | None = None
) -> dict[str, str]:
    """Why which of the files cannot be read; who breaks the reader is found by halves.

    Raises:
        ParserError: to find them all would take too long.
    """
    end = time.monotonic() + SEARCHING if until is None else until
    asked = {"folder": str(place), "files": list(files)}
    try:
        found: dict[str, str] = (await call(check_documents, asked, bounds=BOUNDS))["failed"]
    except ParserError as error:
        if len(files) == 1:
            return {files[0]: error.fact}
        if time.monotonic() > end:
            raise
    else:
        return found
    half = len(files) // 2
    first = await _unreadable(place, files[:half], end)
    return first | await _unreadable(place, files[half:], end)


def _none_readable(failed: Mapping[str, str]) -> UnreadableError:
    named = "; ".join(f"{name}: {reason}" for name, reason in list(failed.items())[:SHOWN])
    more = f"; and {len(failed) - SHOWN} more" if len(failed) > SHOWN else ""
    return UnreadableError(
        f"no document can be read: {named}{more}",
        hint="Mend them and upload them again; nothing of this upload was kept.",
    )
