"""Documents: collections listed, searched, read, filled.

It does not know how documents are kept, indexed or searched.
"""

from collections.abc import Iterator, Sequence

from rag_adapt.client.connection import Connection, Request, Upload, fresh_key, nested, path
from rag_adapt.client.pages import entries
from rag_adapt.schemas.collections import (
    ChunkInfo,
    ChunkList,
    CollectionEntry,
    CollectionList,
    CollectionQuotations,
    CollectionRemoved,
    DocumentList,
    DocumentsAdded,
    DocumentText,
    FileList,
    FileState,
    SearchRequest,
    SearchResult,
    TextOrder,
)
from rag_adapt.schemas.jobs import JobInfo


class Collections:
    """`client.collections`."""

    def __init__(self, connection: Connection) -> None:
        self._connection = connection

    def all(self) -> list[CollectionEntry]:
        """All of them, those of skills included; damaged ones are listed as such.

        Raises:
            ApiError: the service gave no list.
        """
        return self._connection.fetch(CollectionList, Request(path="/v1/collections")).data

    def kinds(self) -> list[str]:
        """How the names of files end that can be uploaded as documents, such as `.md`.

        Raises:
            ApiError: the service gave no list.
        """
        return self._connection.fetch(CollectionList, Request(path="/v1/collections")).kinds

    def search(self, name: str, query: SearchRequest) -> SearchResult:
        """The best passages, best first.

        Raises:
            ApiError: `document-not-found`: there is no such collection; or it cannot be searched.
        """
        request = Request(
            method="POST",
            path=path("collections", name, "search"),
            body=query,
            patience="work",
            repeatable=True,
        )
        return self._connection.fetch(SearchResult, request)

    def documents_page(
        self, name: str, *, limit: int | None = None, cursor: str | None = None
    ) -> DocumentList:
        """One page of the paths that are indexed, in order.

        Raises:
            ApiError: there is no such collection.
        """
        query = {"limit": limit, "cursor": cursor}
        request = Request(path=path("collections", name, "documents"), query=query)
        return self._connection.fetch(DocumentList, request)

    def documents(self, name: str) -> Iterator[str]:
        """All paths that are indexed, in order, fetched page by page.

        Raises:
            ApiError: a page did not come.
        """
        return entries(lambda cursor: self.documents_page(name, limit=1000, cursor=cursor))

    def document(self, name: str, document: str) -> DocumentText:
        """A document as it was parsed: spans of passages count its characters.

        Raises:
            ApiError: `document-not-found`.
        """
        request = Request(path=f"{path('collections', name, 'documents')}/{nested(document)}")
        return self._connection.fetch(DocumentText, request)

    def files_page(
        self,
        name: str,
        *,
        state: FileState | None = None,
        limit: int | None = None,
        cursor: str | None = None,
    ) -> FileList:
        """One page of all documents by path, each with its state, and how many are in which.

        Raises:
            ApiError: there is no such collection.
        """
        query = {"state": state, "limit": limit, "cursor": cursor}
        request = Request(path=path("collections", name, "files"), query=query)
        return self._connection.fetch(FileList, request)

    def chunks_page(
        self, name: str, document: str, *, limit: int | None = None, cursor: int | None = None
    ) -> ChunkList:
        """One page of a document's chunks, in order.

        Raises:
            ApiError: `document-not-found`: it is not indexed.
        """
        query = {"document": document, "limit": limit, "cursor": cursor}
        request = Request(path=path("collections", name, "chunks"), query=query)
        return self._connection.fetch(ChunkList, request)

    def chunks(self, name: str, document: str) -> Iterator[ChunkInfo]:
        """All chunks of a document, in order, fetched page by page.

        Raises:
            ApiError: a page did not come.
        """
        cursor: int | None = None
        while True:
            page = self.chunks_page(name, document, limit=1000, cursor=cursor)
            yield from page.data
            if page.next is None:
                return
            cursor = page.next

    def retry(self, name: str, document: str, *, key: str | None = None) -> JobInfo:
        """Index an uploaded document again; the others stay as they are.

        Raises:
            ApiError: there is none of that name, or it lies elsewhere.
        """
        place = f"{path('collections', name, 'documents')}/{nested(document)}"
        request = Request(method="POST", path=place, key=key or fresh_key())
        return self._connection.fetch(JobInfo, request)

    def add(
        self, name: str, documents: Sequence[Upload], *, key: str | None = None
    ) -> DocumentsAdded:
        """Upload documents; a job indexes them, and makes the collection if it is new.

        Those that cannot be read are left out: `left_out` names them with the reason.

        Args:
            name: Of the collection.
            documents: At most 500; one of the same name is replaced.
            key: One key makes one job, however often it is sent; a new one by default.

        Raises:
            ApiError: not one of them can be read, or the collection's documents lie elsewhere.
        """
        request = Request(
            method="POST",
            path=path("collections", name, "documents"),
            files=[("documents", one) for one in documents],
            patience="upload",
            key=key or fresh_key(),
        )
        return self._connection.fetch(DocumentsAdded, request)

    def add_text(self, name: str, text: TextOrder, *, key: str | None = None) -> DocumentsAdded:
        """Keep a text as a document; a job indexes it, and makes the collection if it is new.

        Args:
            name: Of the collection.
            text: With the name that the document is to have; `kept` says what became of it.
            key: One key makes one job, however often it is sent; a new one by default.

        Raises:
            ApiError: there is nothing to read in it, or the collection's documents lie elsewhere.
        """
        request = Request(
            method="POST",
            path=path("collections", name, "texts"),
            body=text,
            patience="upload",
            key=key or fresh_key(),
        )
        return self._connection.fetch(DocumentsAdded, request)

    def remove(self, name: str, document: str) -> JobInfo:
        """Delete an uploaded document; a job takes it out of the index.

        Raises:
            ApiError: there is none of that name, or it is the last one.
        """
        place = f"{path('collections', name, 'documents')}/{nested(document)}"
        return self._connection.fetch(JobInfo, Request(method="DELETE", path=place))

    def quotations(self, name: str) -> CollectionQuotations:
        """What quotes it and keeps its text, and stays when it is deleted.

        Raises:
            ApiError: there is none.
        """
        request = Request(path=path("collections", name, "quotations"), patience="work")
        return self._connection.fetch(CollectionQuotations, request)

    def delete(self, name: str) -> CollectionRemoved:
        """Delete its record, its indexes and the documents that were uploaded for it.

        Raises:
            ApiError: there is none, or a job or a route works with it.
        """
        request = Request(method="DELETE", path=path("collections", name))
        return self._connection.fetch(CollectionRemoved, request)
