"""`/v1/collections/{name}/documents` and `/texts`: documents in, by upload or as text.

It does not know how documents are read or indexed: a job does that.
"""

import io
import re
from collections.abc import Sequence
from typing import Annotated, Any, Final, Literal

from fastapi import APIRouter, Body, Form, Header, Request, Response, UploadFile
from pydantic import Field

from rag_adapt.api.collections import Name, build_command, library_of
from rag_adapt.api.desk import BENCH, JOB, LOCATION, IdempotencyKey, accept, accepted, desk_of
from rag_adapt.api.imports import safe_name
from rag_adapt.api.library import Sent
from rag_adapt.core.errors import CollectionError
from rag_adapt.schemas.collections import DocumentsAdded, LeftOut, TextOrder
from rag_adapt.schemas.wire import Wire

router = APIRouter(tags=["collections"])
LAMP: Final = "# Borage light\n\nThe lamp gives 900 lm.\n"
FILES: Final[dict[str, Any]] = {"documents": [LAMP]}
TEXT: Final[dict[str, Any]] = {"name": "Borage light", "text": LAMP}
ADDED: Final[dict[str, Any]] = {
    **JOB,
    "command": ["index", "build", "--json", "--", "manual", "documents/manual"],
    "state": "queued",
    "started": None,
    "progress": None,
    "kept": ["borage-light.md"],
    "left_out": [{"document": "notes.txt", "reason": "empty"}],
}
ENDINGS: Final = (".md", ".txt")
"""Of the names of texts."""


class DocumentsForm(Wire):
    """The field of an upload, as `multipart/form-data`."""

    documents: Annotated[list[UploadFile], Field(min_length=1, max_length=500)]
    """Documents of every kind that is read."""


def _added(example: dict[str, Any], *more: int) -> dict[int | str, dict[str, Any]]:
    """The `responses=` of an operation that adds documents."""
    content = {"application/json": {"example": example}}
    made = {"description": "A job was made.", "content": content, "headers": LOCATION}
    return {**accepted(*more), 202: made}


@router.post(
    "/v1/collections/{name}/documents",
    summary="Add documents",
    operation_id="add_documents",
    status_code=202,
    response_model=DocumentsAdded,
    responses=_added(ADDED, 408, 413, 415, 422),
    openapi_extra=BENCH,
)
async def add(
    request: Request,
    response: Response,
    name: Name,
    body: Annotated[
        DocumentsForm,
        Form(
            media_type="multipart/form-data",
            openapi_examples={"one": {"summary": "One document", "value": FILES}},
        ),
    ],
    x_rag_adapt: Annotated[
        Literal["1"],
        Header(description="Shows that no web page sent it.", examples=["1"]),
    ],
    idempotency_key: IdempotencyKey = None,
) -> DocumentsAdded:
    """Upload documents; a job indexes them, and makes the collection if it is new.

    A document of the same name is replaced. Those that cannot be read are left out and named, each
    with the reason; refused is only an upload of which nothing can be read. The kept ones stay
    where no job could be made of them: send them again, or any others, later.
    """
    sent = [Sent(name=safe_name(one.filename), file=one.file) for one in body.documents]
    return await _taken(request, response, name, sent, idempotency_key)


@router.post(
    "/v1/collections/{name}/texts",
    summary="Add a text as a document",
    operation_id="add_text",
    status_code=202,
    response_model=DocumentsAdded,
    responses=_added({**ADDED, "kept": ["Borage-light.md"], "left_out": []}, 413, 415, 422),
    openapi_extra=BENCH,
)
async def add_text(
    request: Request,
    response: Response,
    name: Name,
    body: Annotated[
        TextOrder,
        Body(openapi_examples={"lamp": {"summary": "A short text", "value": TEXT}}),
    ],
    idempotency_key: IdempotencyKey = None,
) -> DocumentsAdded:
    """Keep a text as a document, as if a file of that name had been uploaded; a job indexes it.

    A document of the same name is replaced; `kept` says what it is called from now on.
    """
    sent = Sent(name=_file_name(body.name), file=io.BytesIO(body.text.encode()))
    return await _taken(request, response, name, [sent], idempotency_key)


async def _taken(
    request: Request, response: Response, name: str, sent: Sequence[Sent], key: str | None
) -> DocumentsAdded:
    """Documents in the library, and the job that indexes them."""
    desk = desk_of(request)
    found = await library_of(desk).add(name, sent)
    job = await accept(request, response, build_command(desk, name), key)
    left_out = [LeftOut(document=document, reason=reason) for document, reason in found.left_out]
    return DocumentsAdded(**job.model_dump(), kept=list(found.kept), left_out=left_out)


def _file_name(name: str) -> str:
    """The file that a text is kept in.

    Raises:
        CollectionError: nothing of the name can be kept.
    """
    if not any(sign.isascii() and sign.isalnum() for sign in name):
        raise CollectionError(
            f"a document cannot be called {name!r}",
            hint="Use at least one letter or digit of a-z, A-Z, 0-9 in its name.",
        )
    plain = safe_name(re.sub(r"[/\\]", "-", name))
    return plain if plain.lower().endswith(ENDINGS) else f"{plain}{ENDINGS[0]}"
