"""Every error of the service in one shape: RFC 9457 problem documents.

It does not know any endpoint.
"""

import errno
import logging
from collections.abc import Mapping, Sequence
from http import HTTPStatus
from typing import Any, Final
from uuid import uuid4

from fastapi import FastAPI, Request
from fastapi.exceptions import RequestValidationError
from pydantic import BaseModel, ConfigDict, Field
from starlette.exceptions import HTTPException
from starlette.responses import JSONResponse

from rag_adapt.core.errors import RagAdaptError
from rag_adapt.serving.public import told

MEDIA_TYPE: Final = "application/problem+json"
ECHOED: Final = 200
"""At most so many characters of what a client sent come back, per fault."""
SHOWN_FAULTS: Final = 5
"""So many faults of one request are named; the rest is counted."""
RETRY_AFTER: Final = "5"
"""Seconds that a client is asked to wait where nothing says how long it will take."""
EVERYWHERE: Final = (400, 401, 403, 429, 500, 503)
"""What any endpoint may answer, whatever it does: the door's refusals and our own faults."""

log = logging.getLogger("rag_adapt.api")


class Problem(BaseModel):
    """A problem document (RFC 9457) with three members of ours."""

    model_config = ConfigDict(
        extra="forbid",
        json_schema_extra={
            "examples": [
                {
                    "type": "urn:rag-adapt:problem:model-not-found",
                    "title": "Not Found",
                    "status": 404,
                    "detail": "no model 'route:lora/ordres'",
                    "instance": "urn:uuid:6f1c2a3e-8f0b-4b57-9a4e-2d2c3f0f7c11",
                    "code": "model-not-found",
                    "hint": "GET /v1/models lists the names.",
                    "retryable": False,
                }
            ]
        },
    )

    type: str
    """A URN that ends in `code`."""
    title: str
    """The status in words."""
    status: int = Field(ge=400, le=599)
    """The HTTP status once more."""
    detail: str
    """What is wrong, with the offending value."""
    instance: str
    """This occurrence; the server's log names it too."""
    code: str
    """Stable name for programs."""
    hint: str
    """What to do."""
    retryable: bool
    """Whether the same request may succeed later without a change."""


class ApiProblem(Exception):  # noqa: N818 - it is answered, not only raised
    """A refusal of the HTTP layer itself.

    Args:
        status: HTTP status, 400 to 599.
        code: Stable name for programs, in kebab case.
        detail: What is wrong, with the offending value.
        hint: What to do.
        retryable: Whether the same request may succeed later without a change.
        headers: Further headers of the response, such as `Retry-After`.
    """

    def __init__(
        self,
        *,
        status: int,
        code: str,
        detail: str,
        hint: str,
        retryable: bool = False,
        headers: Mapping[str, str] | None = None,
    ) -> None:
        super().__init__(detail)
        self.status = status
        self.code = code
        self.detail = detail
        self.hint = hint
        self.retryable = retryable
        self.headers = dict(headers or {})

    def document(self) -> Problem:
        """The problem document of this occurrence; each call names a new one."""
        return Problem(
            type=f"urn:rag-adapt:problem:{self.code}",
            title=HTTPStatus(self.status).phrase,
            status=self.status,
            detail=self.detail,
            instance=uuid4().urn,
            code=self.code,
            hint=self.hint,
            retryable=self.retryable,
        )

    def response(self) -> JSONResponse:
        """The whole response, for code that stands outside of the endpoints."""
        return JSONResponse(
            self.document().model_dump(),
            status_code=self.status,
            headers=self.headers,
            media_type=MEDIA_TYPE,
        )


def problem_of(error: RagAdaptError) -> ApiProblem:
    """An error of ours as the refusal that a client reads; files are named in the log alone."""
    shown = told(error)
    if shown.fact != error.fact:
        log.warning("%s: %s (%s)", error.code, error.fact, error.hint)
    waits = error.retryable and error.status in (429, 503)
    return ApiProblem(
        status=error.status,
        code=error.code,
        detail=shown.fact,
        hint=shown.hint,
        retryable=error.retryable,
        headers={"Retry-After": RETRY_AFTER} if waits else None,
    )


def clipped(text: str, limit: int = ECHOED) -> str:
    """At most `limit` characters of what a client sent, control characters made visible."""
    shown = "".join(c if c.isprintable() else repr(c)[1:-1] for c in text[: limit + 1])
    return shown if len(shown) <= limit else shown[: limit - 1] + "…"


def install(app: FastAPI) -> None:
    """Answer every error of this app with a problem document, and describe those in OpenAPI."""
    app.add_exception_handler(ApiProblem, _api_problem)
    app.add_exception_handler(RagAdaptError, _ours)
    app.add_exception_handler(RequestValidationError, _invalid)
    app.add_exception_handler(HTTPException, _http)
    app.add_exception_handler(OSError, _system)
    app.add_exception_handler(ExceptionGroup, _group)
    app.add_exception_handler(Exception, _unexpected)
    _describe(app)


def responses(*statuses: int) -> dict[int | str, dict[str, Any]]:
    """The `responses=` of a route: these statuses and those that any route may answer.

    The schema is referred to by name; `install` puts it into the document.
    """
    content = {MEDIA_TYPE: {"schema": {"$ref": "#/components/schemas/Problem"}}}
    return {
        status: {"description": HTTPStatus(status).phrase, "content": content}
        for status in sorted({*statuses, *EVERYWHERE})
    }


async def _api_problem(request: Request, error: Exception) -> JSONResponse:
    assert isinstance(error, ApiProblem)  # registered for it alone
    return error.response()


async def _ours(request: Request, error: Exception) -> JSONResponse:
    assert isinstance(error, RagAdaptError)  # registered for it alone
    problem = problem_of(error)
    if problem.status >= 500:
        log.warning("%s: %s", problem.code, problem.detail)
    return problem.response()


async def _invalid(request: Request, error: Exception) -> JSONResponse:
    assert isinstance(error, RequestValidationError)  # registered for it alone
    return ApiProblem(
        status=400,
        code="invalid-request",
        detail=_faults(error.errors()),
        hint="Correct the named fields; /openapi.json describes this endpoint.",
    ).response()


def _faults(errors: Sequence[Any]) -> str:
    """Which field and why; the values themselves stay out."""
    named = [
        clipped(f"{'.'.join(clipped(str(part), 60) for part in e['loc'])}: {e['msg']}")
        for e in errors[:SHOWN_FAULTS]
    ]
    more = len(errors) - len(named)
    return "; ".join(named) + (f"; and {more} more" if more else "")


async def _http(request: Request, error: Exception) -> JSONResponse:
    """What the framework refuses by itself: no such path, a wrong method, an unreadable body."""
    assert isinstance(error, HTTPException)  # registered for it alone
    phrase = HTTPStatus(error.status_code).phrase
    return ApiProblem(
        status=error.status_code,
        code=phrase.lower().replace(" ", "-"),
        detail=f"{clipped(f'{request.method} {request.url.path}')}: {clipped(str(error.detail))}",
        hint="/openapi.json lists the paths, their methods and their bodies.",
        headers=error.headers,
    ).response()


async def _system(request: Request, error: Exception) -> JSONResponse:
    """A full or read-only disk is something an operator can mend; the rest is our fault."""
    assert isinstance(error, OSError)  # registered for it alone
    facts = {
        errno.ENOSPC: "the server's disk is full",
        errno.EDQUOT: "the server's disk quota is used up",
        errno.EROFS: "the server's folder cannot be written",
        errno.EACCES: "the server's folder cannot be written",
    }
    if (fact := facts.get(error.errno or 0)) is None:
        raise error
    log.error("%s: %s", fact, error)
    hint = "Free some space there, or start the service with another --home that can be written."
    return ApiProblem(status=507, code="storage", detail=fact, hint=hint, retryable=True).response()


async def _group(request: Request, error: Exception) -> JSONResponse:
    """Concurrent work fails as a group; its first error that we know speaks for it."""
    leaf = error
    while isinstance(leaf, ExceptionGroup):
        leaf = leaf.exceptions[0]
    if isinstance(leaf, ApiProblem):
        return leaf.response()
    if isinstance(leaf, RagAdaptError):
        return await _ours(request, leaf)
    raise error


async def _unexpected(request: Request, error: Exception) -> JSONResponse:
    """Nothing of the inside goes out; the server's log has it under the instance."""
    problem = ApiProblem(
        status=500,
        code="internal",
        detail="the service failed in a way that it did not expect",
        hint="The server's log says more; search there for this problem's instance, and report it.",
    )
    document = problem.document()
    log.error("%s: %s %s", document.instance, type(error).__name__, request.url.path)
    return JSONResponse(document.model_dump(), status_code=500, media_type=MEDIA_TYPE)


def _describe(app: FastAPI) -> None:
    """Put `Problem` into the OpenAPI document; drop the shape that we never answer."""
    plain = app.openapi

    def openapi() -> dict[str, Any]:
        document = plain()
        schemas = document.setdefault("components", {}).setdefault("schemas", {})
        if "Problem" in schemas:  # the framework hands out one document until a route is added
            return document
        schemas["Problem"] = Problem.model_json_schema()
        schemas.pop("HTTPValidationError", None)
        schemas.pop("ValidationError", None)
        for path in document.get("paths", {}).values():
            for operation in path.values():
                _without_422(operation)
        return document

    app.openapi = openapi  # type: ignore[method-assign]  # as FastAPI documents it


def _without_422(operation: Any) -> None:
    """Remove the framework's own description of invalid requests: ours are 400."""
    if isinstance(operation, dict) and "HTTPValidationError" in str(operation.get("responses")):
        operation["responses"].pop("422", None)
