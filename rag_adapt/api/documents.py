"""`/v1/collections/{name}/files` and `/chunks`: every document's state, one document's chunks.

It does not know how documents are parsed, cut or kept.
"""

import asyncio
from collections import Counter
from collections.abc import Sequence
from typing import Annotated, Any, Final

from fastapi import APIRouter, Query, Request, Response

from rag_adapt.api.collections import Document, Name, build_command, folder_of, library_of
from rag_adapt.api.desk import (
    BENCH,
    CHAT,
    Desk,
    IdempotencyKey,
    accept,
    accepted,
    desk_of,
    shown,
)
from rag_adapt.api.library import DocumentNotFoundError
from rag_adapt.retrieval.browse import DocumentState, pieces, states
from rag_adapt.retrieval.catalog import collection_folder
from rag_adapt.retrieval.record import RECORD_NAME
from rag_adapt.schemas.collections import (
    ChunkInfo,
    ChunkList,
    FileCounts,
    FileInfo,
    FileList,
    FileState,
)
from rag_adapt.schemas.jobs import JobInfo

router = APIRouter(tags=["collections"])
DOCUMENT: Final = "borage-light.md"
FILE: Final[dict[str, Any]] = {
    "document": DOCUMENT,
    "state": "indexed",
    "reason": None,
    "notes": [],
    "characters": 2210,
    "chunks": 6,
    "repeatable": True,
}
LEFT_OUT: Final[dict[str, Any]] = {
    "document": "notes.txt",
    "state": "failed",
    "reason": "empty",
    "notes": [],
    "characters": 0,
    "chunks": 0,
    "repeatable": True,
}
FILES: Final[dict[str, Any]] = {
    "data": [FILE, LEFT_OUT],
    "counts": {"indexed": 1, "failed": 1, "waiting": 0},
    "next": None,
}
CHUNKS: Final[dict[str, Any]] = {
    "document": DOCUMENT,
    "data": [{"id": 7, "number": 1, "start": 0, "end": 141, "headings": ["Borage light"]}],
    "next": None,
}


@router.get(
    "/v1/collections/{name}/files",
    summary="List every document with its state",
    operation_id="files",
    response_model=FileList,
    responses=shown(FILES, 404, 507),
    openapi_extra=CHAT,
)
async def files(
    request: Request,
    name: Name,
    state: Annotated[FileState | None, Query(examples=["failed"])] = None,
    limit: Annotated[int, Query(ge=1, le=1000, examples=[100])] = 100,
    cursor: Annotated[str | None, Query(max_length=300, examples=[DOCUMENT])] = None,
) -> FileList:
    """Also those that were left out, with the reason, and uploads that wait for their job."""

    def page() -> FileList:
        known = _files(desk_of(request), name)
        counted = Counter(one.state for one in known)
        found = [one for one in known if state is None or one.state == state]
        found = [one for one in found if cursor is None or one.document > cursor]
        return FileList(
            data=found[:limit],
            counts=FileCounts(
                indexed=counted["indexed"], failed=counted["failed"], waiting=counted["waiting"]
            ),
            next=found[limit - 1].document if len(found) > limit else None,
        )

    return await asyncio.to_thread(page)


@router.get(
    "/v1/collections/{name}/chunks",
    summary="List a document's chunks",
    operation_id="chunks",
    response_model=ChunkList,
    responses=shown(CHUNKS, 404, 507),
    openapi_extra=CHAT,
)
async def chunks(
    request: Request,
    name: Name,
    document: Annotated[str, Query(min_length=1, max_length=300, examples=[DOCUMENT])],
    limit: Annotated[int, Query(ge=1, le=1000, examples=[100])] = 100,
    cursor: Annotated[int, Query(ge=0, le=2**53, examples=[7])] = 0,
) -> ChunkList:
    """Where the document was cut: spans of its parsed text, and the headings above each."""

    def page() -> ChunkList:
        folder = folder_of(desk_of(request), name)
        found = pieces(folder, document, after=cursor, limit=limit + 1)
        if found is None:
            raise DocumentNotFoundError(
                f"collection {name!r} has no indexed document {document[:80]!r}",
                hint=f"GET /v1/collections/{name}/files?state=indexed lists them.",
            )
        data = [
            ChunkInfo(
                id=one.id,
                number=one.number,
                start=one.start,
                end=one.end,
                headings=list(one.headings),
            )
            for one in found[:limit]
        ]
        more = data[-1].id if len(found) > limit else None
        return ChunkList(document=document, data=data, next=more)

    return await asyncio.to_thread(page)


@router.post(
    "/v1/collections/{name}/documents/{document:path}",
    summary="Index a document again",
    operation_id="retry_document",
    status_code=202,
    response_model=JobInfo,
    responses=accepted(404),
    openapi_extra=BENCH,
)
async def retry(
    request: Request,
    response: Response,
    name: Name,
    document: Document,
    idempotency_key: IdempotencyKey = None,
) -> JobInfo:
    """A job reads this uploaded document again; what is indexed already is not computed anew.

    For one that failed or waits: because a reader's package was missing, because it took too long
    beside other work, or because its job was cancelled.
    """
    desk = desk_of(request)
    await asyncio.to_thread(library_of(desk).check_file, name, document)
    return await accept(request, response, build_command(desk, name), idempotency_key)


def _files(desk: Desk, name: str) -> Sequence[FileInfo]:
    """Every document of a collection, those that wait included, in order of path.

    Raises:
        DocumentNotFoundError: there is no such collection.
    """
    uploaded = library_of(desk).files(name)
    folder = collection_folder(desk.settings.indexes, name)
    young = bool(uploaded) and not (folder / RECORD_NAME).is_file()
    known = () if young else states(folder_of(desk, name))
    waiting = [
        DocumentState(path=path, state="waiting", reason=None, notes=(), characters=0, chunks=0)
        for path in uploaded - {one.path for one in known}
    ]
    found = [_file(one, uploaded) for one in (*known, *waiting)]
    return sorted(found, key=lambda one: one.document)


def _file(one: DocumentState, uploaded: frozenset[str]) -> FileInfo:
    return FileInfo(
        document=one.path,
        state=one.state,
        reason=one.reason,
        notes=list(one.notes),
        characters=one.characters,
        chunks=one.chunks,
        repeatable=one.path in uploaded,
    )
