"""A small app behind the door, and a way to send it what no client library would send."""

from collections.abc import AsyncIterator, Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

from fastapi import APIRouter, Depends, FastAPI, UploadFile
from pydantic import BaseModel, ConfigDict
from starlette.responses import StreamingResponse

from rag_adapt.api import problems, security
from rag_adapt.api.limits import Limits
from rag_adapt.api.problems import responses
from rag_adapt.keys.store import KeyStore


class Question(BaseModel):
    """A body."""

    model_config = ConfigDict(extra="forbid")

    text: str


class Answer(BaseModel):
    """A result."""

    text: str


@dataclass
class Small:
    """The app and what reached its endpoints."""

    app: FastAPI
    store: KeyStore
    reached: list[str] = field(default_factory=list)


def small_app(
    store: KeyStore,
    *,
    host: str = "127.0.0.1",
    limits: Limits | None = None,
    observer: security.Observer | None = None,
) -> Small:
    """One operation of each kind, some of them in an included router."""
    app = FastAPI()
    small = Small(app=app, store=store)
    app.include_router(_router(small), prefix="/v1")

    @app.get("/healthz", openapi_extra={"x-scope": "none"}, responses=responses())
    async def healthz() -> Answer:
        return Answer(text="alive")

    @app.post("/undeclared", responses=responses(404))
    async def undeclared() -> Answer:
        small.reached.append("undeclared")
        return Answer(text="done")

    problems.install(app)
    security.install(app, store=store, host=host, limits=limits, observer=observer)
    return small


def _router(small: Small) -> APIRouter:
    router = APIRouter(responses=responses())

    @router.post("/ask", openapi_extra={"x-scope": "chat"})
    async def ask(question: Question) -> Answer:
        small.reached.append("ask")
        return Answer(text=question.text)

    @router.get("/files/{name:path}", openapi_extra={"x-scope": "bench"})
    async def file(name: str) -> Answer:
        return Answer(text=name)

    @router.delete("/files/{name:path}", openapi_extra={"x-scope": "admin"})
    async def delete(name: str) -> Answer:
        return Answer(text=name)

    @router.post("/uploads", openapi_extra={"x-scope": "bench"})
    async def upload(file: UploadFile) -> Answer:
        return Answer(text=str(len(await file.read())))

    @router.get("/stream", openapi_extra={"x-scope": "chat"})
    async def stream() -> StreamingResponse:
        async def pieces() -> AsyncIterator[bytes]:
            yield b"a"
            yield b"b"

        return StreamingResponse(pieces())

    @router.get("/me", openapi_extra={"x-scope": "chat"})
    async def me(caller: security.Caller = Depends(security.caller_of)) -> Answer:
        return Answer(text=caller.name)

    return router


@dataclass(frozen=True, kw_only=True)
class Got:
    """One raw exchange."""

    status: int
    headers: dict[str, str]
    body: bytes
    taken: int
    """Messages of the request's body that were asked for."""


async def call(
    app: Any,
    method: str,
    path: str,
    *,
    headers: Mapping[str, str] | Iterable[tuple[str, str]] = (),
    pieces: Iterable[bytes] = (b"",),
) -> Got:
    """Send a request piece by piece, as a server hands it over."""
    queue = list(pieces)
    total, sent = len(queue), []
    pairs = headers.items() if isinstance(headers, Mapping) else headers

    async def receive() -> dict[str, Any]:
        if not queue:
            return {"type": "http.disconnect"}
        piece = queue.pop(0)
        return {"type": "http.request", "body": piece, "more_body": bool(queue)}

    async def send(message: dict[str, Any]) -> None:
        sent.append(message)

    scope = {
        "type": "http",
        "asgi": {"version": "3.0"},
        "http_version": "1.1",
        "method": method,
        "scheme": "http",
        "path": path,
        "raw_path": path.encode(),
        "query_string": b"",
        "root_path": "",
        "headers": [(k.lower().encode(), v.encode("latin-1")) for k, v in pairs],
        "client": ("127.0.0.1", 50_000),
        "server": ("127.0.0.1", 8000),
    }
    await app(scope, receive, send)
    return Got(
        status=sent[0]["status"],
        headers={k.decode(): v.decode() for k, v in sent[0]["headers"]},
        body=b"".join(message.get("body", b"") for message in sent[1:]),
        taken=total - len(queue),
    )
