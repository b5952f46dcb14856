"""`/v1/collections`: list, search, read; documents and whole collections out again.

It does not know how documents are kept, indexed or searched.
"""

import asyncio
from dataclasses import asdict
from pathlib import Path as Folder
from typing import Annotated, Any, Final, cast

from fastapi import APIRouter, Body, Path, Query, Request, Response

from rag_adapt.api.desk import (
    BENCH,
    CHAT,
    Desk,
    accept,
    accepted,
    desk_of,
    shown,
)
from rag_adapt.api.library import DocumentNotFoundError, Library
from rag_adapt.api.problems import ApiProblem
from rag_adapt.api.run_orders import own_flags
from rag_adapt.jobs.job import Job
from rag_adapt.retrieval.catalog import (
    SKILLS,
    CollectionInfo,
    collection_folder,
    list_collections,
)
from rag_adapt.retrieval.collection import Collection
from rag_adapt.retrieval.fuse import FusionWeights
from rag_adapt.retrieval.parse import SUFFIXES
from rag_adapt.retrieval.protocols import Embedder
from rag_adapt.retrieval.quoting import Quotations, quotations
from rag_adapt.retrieval.removal import Removal, remove_collection
from rag_adapt.schemas.collections import (
    CollectionEntry,
    CollectionList,
    CollectionQuotations,
    CollectionRemoved,
    DocumentList,
    DocumentText,
    Hit,
    SearchRequest,
    SearchResult,
)
from rag_adapt.schemas.jobs import JobInfo
from rag_adapt.serving.service import Service

router = APIRouter(tags=["collections"])
ENTRY: Final[dict[str, Any]] = {
    "name": "manual",
    "state": "ready",
    "documents": 12,
    "chunks": 96,
    "failed": 0,
    "embedder": "default",
    "content_hash": "1f3a9c2e7b04",
    "changeable": True,
}
QUERY: Final[dict[str, Any]] = {"query": "how bright is the lamp", "k": 2}
HIT: Final[dict[str, Any]] = {
    "document": "borage-light.md",
    "start": 120,
    "end": 141,
    "text": "The lamp gives 900 lm",
    "score": 0.24,
}
FOUND: Final[dict[str, Any]] = {
    "collection": "manual",
    "content_hash": "1f3a9c2e7b04",
    "data": [HIT],
}
QUOTED: Final[dict[str, Any]] = {
    "name": "manual",
    "runs": ["20261122-063619-9e7c1e"],
    "traces": 2,
    "conversations": 1,
}
ADMIN: Final[dict[str, Any]] = {"x-scope": "admin"}
READERS: Final = frozenset({"adapters", "bench"})
"""Commands that may read the collections of skills."""
Name = Annotated[str, Path(pattern=r"^[a-z0-9-]{3,48}$", examples=["manual"])]
Document = Annotated[str, Path(min_length=1, max_length=300, examples=["borage-light.md"])]


@router.get(
    "/v1/collections",
    summary="List collections",
    operation_id="collections",
    response_model=CollectionList,
    responses=shown({"data": [ENTRY], "kinds": [".md", ".txt"]}),
    openapi_extra=CHAT,
)
async def collections(request: Request) -> CollectionList:
    """All collections, those of skills included; damaged ones are listed as such."""
    return await asyncio.to_thread(_listed, desk_of(request))


@router.post(
    "/v1/collections/{name}/search",
    summary="Search a collection",
    operation_id="search",
    response_model=SearchResult,
    responses=shown(FOUND, 404, 413, 415, 507),
    openapi_extra=CHAT,
)
async def search(
    request: Request,
    name: Name,
    body: Annotated[
        SearchRequest, Body(openapi_examples={"words": {"summary": "In words", "value": QUERY}})
    ],
) -> SearchResult:
    """The best passages, best first; fused as the service's settings say."""
    service: Service = request.app.state.service
    # it is a whole embedder; its type says only what routes need of it
    live = cast(Embedder, service.live.embedder)
    embedder = None if body.mode == "lexical" else live
    desk = desk_of(request)
    folder, settings = folder_of(desk, name), desk.settings
    weights = FusionWeights(
        rank_constant=settings.search_rank_constant, neighbours=settings.search_neighbours
    )

    def found() -> SearchResult:
        with Collection.open(folder, embedder) as open_:
            hits = open_.search(body.query, body.k, body.mode, weights=weights)
            data = [Hit(**asdict(hit)) for hit in hits]
            return SearchResult(collection=name, content_hash=open_.content_hash, data=data)

    return await asyncio.to_thread(found)


@router.get(
    "/v1/collections/{name}/documents",
    summary="List a collection's documents",
    operation_id="documents",
    response_model=DocumentList,
    responses=shown({"data": [HIT["document"]], "next": None}, 404, 507),
    openapi_extra=CHAT,
)
async def documents(
    request: Request,
    name: Name,
    limit: Annotated[int, Query(ge=1, le=1000, examples=[100])] = 100,
    cursor: Annotated[str | None, Query(max_length=300, examples=["borage-light.md"])] = None,
) -> DocumentList:
    """Paths of the documents that are indexed, in order."""

    def page() -> DocumentList:
        with Collection.open(folder_of(desk_of(request), name)) as open_:
            known = [path for path in sorted(open_.documents()) if cursor is None or path > cursor]
        more = known[limit - 1] if len(known) > limit else None
        return DocumentList(data=known[:limit], next=more)

    return await asyncio.to_thread(page)


@router.get(
    "/v1/collections/{name}/documents/{document:path}",
    summary="Read a document",
    operation_id="document",
    response_model=DocumentText,
    responses=shown({"document": HIT["document"], "text": "# Borage light"}, 404, 507),
    openapi_extra=CHAT,
)
async def document(request: Request, name: Name, document: Document) -> DocumentText:
    """Its text as it was parsed, which the spans of passages count in."""

    def read() -> DocumentText:
        with Collection.open(folder_of(desk_of(request), name)) as open_:
            if document not in open_.documents():
                raise DocumentNotFoundError(
                    f"collection {name!r} has no document {document[:80]!r}",
                    hint=f"GET /v1/collections/{name}/documents lists them.",
                )
            return DocumentText(document=document, text=open_.text(document))

    return await asyncio.to_thread(read)


@router.delete(
    "/v1/collections/{name}/documents/{document:path}",
    summary="Delete a document",
    operation_id="delete_document",
    status_code=202,
    response_model=JobInfo,
    responses=accepted(404),
    openapi_extra=BENCH,
)
async def delete(
    request: Request,
    response: Response,
    name: Name,
    document: Document,
) -> JobInfo:
    """Delete an uploaded document; a job takes it out of the index."""
    desk = desk_of(request)
    await asyncio.to_thread(library_of(desk).remove, name, document)
    return await accept(request, response, build_command(desk, name), None)


@router.get(
    "/v1/collections/{name}/quotations",
    summary="Show what quotes a collection",
    operation_id="quotations",
    response_model=CollectionQuotations,
    responses=shown(QUOTED, 404),
    openapi_extra=ADMIN,
)
async def quoting(request: Request, name: Name) -> CollectionQuotations:
    """The runs that keep its text, and how many traces and conversations do.

    They stay when it is deleted. All answers that are kept are looked through: it may take seconds.
    """
    desk = desk_of(request)

    def found() -> Quotations:
        _check_there(desk, name)
        return quotations(desk.home, name)

    return CollectionQuotations(name=name, **_told(await asyncio.to_thread(found)))


@router.delete(
    "/v1/collections/{name}",
    summary="Delete a collection",
    operation_id="delete_collection",
    response_model=CollectionRemoved,
    responses=shown({**QUOTED, "bytes": 430080}, 404, 409, 507),
    openapi_extra=ADMIN,
)
async def remove(request: Request, name: Name) -> CollectionRemoved:
    """Delete its record, its indexes and the documents that were uploaded for it.

    Documents that lie elsewhere stay. So do runs that quote it, which are named, and traces and
    conversations, which are counted. Refused while a job or a route works with it; a skill's
    collection is made again as soon as one of its routes reads it.
    """
    gone = await asyncio.to_thread(_removed, desk_of(request), name)
    return CollectionRemoved(name=gone.collection, bytes=gone.bytes, **_told(gone))


def _told(quoted: Quotations) -> dict[str, Any]:
    """On the wire."""
    return {
        "runs": list(quoted.runs),
        "traces": quoted.traces,
        "conversations": quoted.conversations,
    }


def _check_there(desk: Desk, name: str) -> None:
    """Stop unless there is such a collection; uploads without an index are one.

    Raises:
        DocumentNotFoundError: there is none of that name.
    """
    if not library_of(desk).holds(name):
        folder_of(desk, name)


def _removed(desk: Desk, name: str) -> Removal:
    """Delete it.

    Raises:
        DocumentNotFoundError: there is none of that name.
        ApiProblem: 409, a job works with it.
        LockedError: somebody else does.
    """
    _check_there(desk, name)
    if users := [job for job in desk.jobs.list("queued", "running") if _uses(job, name)]:
        raise ApiProblem(
            status=409,
            code="collection-in-use",
            detail=f"job {users[0].id} ({users[0].state}) runs `{users[0].argv[0]}` and works with "
            f"{name!r}",
            hint="Wait until it has ended, or cancel it: POST /v1/jobs/ID/cancel.",
            retryable=True,
        )
    return remove_collection(desk.settings.indexes, name, home=desk.home)


def _uses(job: Job, name: str) -> bool:
    """Whether a job may read or write the collection; those of skills by what reads skills."""
    if name.startswith(SKILLS) and job.argv[0] in READERS:
        return True
    return job.argv[0] == "index" and name in job.argv


def library_of(desk: Desk) -> Library:
    return Library(desk.home, desk.settings.indexes)


def build_command(desk: Desk, name: str) -> list[str]:
    """The command that brings a collection up to date with its uploaded documents."""
    flags = own_flags(desk.settings, ("embedder",))
    folder = str(library_of(desk).folder(name))
    return ["index", "build", "--json", *flags, "--", name, folder]


def folder_of(desk: Desk, name: str) -> Folder:
    """Where a collection lies.

    Raises:
        DocumentNotFoundError: there is none of that name.
    """
    folder = collection_folder(desk.settings.indexes, name)
    if not folder.is_dir():
        raise DocumentNotFoundError(
            f"there is no collection {name!r}", hint="GET /v1/collections lists them."
        )
    return folder


def _listed(desk: Desk) -> CollectionList:
    library = library_of(desk)
    built = {one.name: one for one in list_collections(desk.settings.indexes)}
    # uploads whose first job has not ended, or failed, are a collection already
    young = {name: CollectionInfo(name=name, state="unfinished") for name in library.names()}
    every = young | built
    return CollectionList(
        data=[_entry(every[name], library) for name in sorted(every)], kinds=sorted(SUFFIXES)
    )


def _entry(one: CollectionInfo, library: Library) -> CollectionEntry:
    return CollectionEntry(
        name=one.name,
        state=one.state,
        documents=one.documents,
        chunks=one.chunks,
        failed=one.failed,
        embedder=one.embedder,
        content_hash=one.content_hash,
        changeable=library.holds(one.name),
    )
