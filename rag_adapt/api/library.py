"""The documents that were uploaded for collections, one folder per collection in the home.

It does not know HTTP or how documents become a collection. A name that a client chose is never
used as a path before it was made a plain file name.
"""

import asyncio
import shutil
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Annotated, Final

from fastapi import UploadFile
from pydantic import Field

from rag_adapt.api.imports import safe_name
from rag_adapt.core.errors import CollectionError
from rag_adapt.limited.call import call
from rag_adapt.retrieval.catalog import NAME, collection_folder
from rag_adapt.retrieval.parse import SUFFIXES
from rag_adapt.retrieval.uploaded import BOUNDS, check_documents
from rag_adapt.schemas.wire import Wire

FOLDER: Final = "documents"
SKILLS: Final = "skill-"
"""Begins the names of the collections that skills make of their own documents."""
MOST: Final = 10_000
"""Documents of one collection."""


class DocumentsForm(Wire):
    """The field of an upload, as `multipart/form-data`."""

    documents: Annotated[list[UploadFile], Field(min_length=1, max_length=500)]
    """Documents of every kind that is read."""


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
        self._folder, self._indexes = home / FOLDER, indexes

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

    async def add(self, name: str, uploads: Sequence[UploadFile]) -> None:
        """Keep documents, all of them or none; one of the same name is replaced.

        Raises:
            NotOursError: the collection was built from another folder.
            UnreadableError: a limited process could not read one of them.
            ParserError: to read them would take more than it may.
            CollectionError: a file is of no kind that is read, two have one name, or too many.
        """
        names = [safe_name(upload.filename) for upload in uploads]
        self._check_names(names)
        await asyncio.to_thread(self._check_ours, name)
        self._folder.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(prefix=".upload-", dir=self._folder) as private:
            place = Path(private)
            asked = await asyncio.to_thread(_kept, uploads, names, place)
            await call(check_documents, asked, refused_as=UnreadableError, bounds=BOUNDS)
            await asyncio.to_thread(self._put, name, names, place)

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

    def _check_names(self, names: Sequence[str]) -> None:
        if len(set(names)) < len(names):
            raise CollectionError(
                "two of the uploaded documents have one name",
                hint="Give each a name of its own; only letters, digits, dots and hyphens count.",
            )
        for name in names:
            if Path(name).suffix.lower() not in SUFFIXES:
                raise CollectionError(
                    f"document {name!r} is of no kind that is read",
                    hint=f"Upload files that end in {', '.join(sorted(SUFFIXES))}.",
                )


def _no_document(name: str, document: str) -> DocumentNotFoundError:
    return DocumentNotFoundError(
        f"collection {name!r} has no document {document[:80]!r}",
        hint=f"GET /v1/collections/{name}/files lists them.",
    )


def _kept(uploads: Sequence[UploadFile], names: Sequence[str], place: Path) -> dict[str, str]:
    """What the limited process is told; the documents are in the folder then."""
    for file, upload in zip(names, uploads, strict=True):
        with (place / file).open("xb") as kept:
            shutil.copyfileobj(upload.file, kept)
    return {"folder": str(place.absolute())}
