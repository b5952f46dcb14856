"""The door of the service: who may come in, before a byte of the body is read.

It does not know what any endpoint does.
"""

import time
from dataclasses import dataclass
from typing import Final, Protocol

from fastapi import FastAPI, Request
from starlette.concurrency import run_in_threadpool
from starlette.datastructures import Headers
from starlette.types import ASGIApp, Receive, Scope, Send

from rag_adapt.api.limits import (
    CLOSE,
    Body,
    Buckets,
    Limits,
    Places,
    Reply,
    Visit,
    byte_limit,
    has_body,
)
from rag_adapt.api.origin import check_content_type, check_origin, is_loopback
from rag_adapt.api.problems import ApiProblem, problem_of
from rag_adapt.api.scopes import Need, Operation, Operations, satisfies
from rag_adapt.core.errors import LockedError, RagAdaptError, SettingsError
from rag_adapt.keys.key import Key, Token
from rag_adapt.keys.store import KeyStore

STRANGERS_RATE: Final = 20.0
"""Keys checked per second that were not seen before: each costs 10 ms of computing."""
STRANGERS_BURST: Final = 40


class Observer(Protocol):
    """Where the door says what went through it."""

    def request(self, *, path: str, method: str, status: int, seconds: float) -> None:
        """One request was answered; `path` is the route's template."""
        ...


@dataclass(frozen=True, kw_only=True)
class Caller:
    """Who sent a request."""

    key: Key | None = None
    """None: nobody needed one."""

    @property
    def name(self) -> str:
        """The key's id, or `local`; to keep one caller's things apart from another's."""
        return self.key.id if self.key else "local"


def require_keys(host: str, store: KeyStore) -> None:
    """Refuse to listen where others can reach the service and no key guards it.

    Raises:
        SettingsError: the address is not loopback, and there is no active key.
    """
    if not is_loopback(host) and not store.any_active():
        raise SettingsError(
            f"will not listen on {host!r} without an API key: everybody who reaches that address "
            "could use the service",
            hint="Run `rag-adapt keys create NAME --scope chat` first, or use --host 127.0.0.1.",
        )


def install(
    app: FastAPI,
    *,
    store: KeyStore,
    host: str = "127.0.0.1",
    limits: Limits | None = None,
    observer: Observer | None = None,
) -> None:
    """Put the door before an app. Nothing added later may stand outside of it.

    Args:
        app: Its operations declare their scope in `openapi_extra={"x-scope": ...}`.
        store: The keys.
        host: The address that the server listens on.
        limits: Bounds; the defaults where None.
        observer: Told of every request.
    """
    app.add_middleware(
        Door,
        operations=Operations(app),
        store=store,
        host=host,
        limits=limits or Limits(),
        observer=observer,
    )


def caller_of(request: Request) -> Caller:
    """Who sent this request, for endpoints: `Depends(caller_of)`."""
    caller = getattr(request.state, "caller", None)
    return caller if isinstance(caller, Caller) else Caller()


class Door:
    """ASGI middleware: authentication, scope, origin, rate, size, number.

    See `install` for the arguments.
    """

    def __init__(
        self,
        app: ASGIApp,
        *,
        operations: Operations,
        store: KeyStore,
        host: str,
        limits: Limits,
        observer: Observer | None,
    ) -> None:
        self._app, self._operations, self._store = app, operations, store
        self._host, self._limits, self._observer = host, limits, observer
        self._open_to_all = is_loopback(host)
        self._rates = Buckets(rate=limits.rate, burst=limits.burst)
        self._strangers = Buckets(rate=STRANGERS_RATE, burst=STRANGERS_BURST)
        self._answering = Places(limits.concurrency)
        self._reading = Places(limits.concurrency)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Let one connection in, or answer it here."""
        if scope["type"] == "lifespan":
            await self._app(scope, receive, send)
        elif scope["type"] == "http":
            await self._http(scope, receive, send)
        else:  # the service has no web sockets, and the checks here are for requests
            await send({"type": "websocket.close", "code": 1008})

    async def _http(self, scope: Scope, receive: Receive, send: Send) -> None:
        begun = time.perf_counter()
        operation = self._operations.find(scope)
        status = 500
        try:
            status = await self._answer(operation, scope, receive, send)
        finally:
            if self._observer is not None:
                self._observer.request(
                    path=operation.path,
                    method=scope["method"],
                    status=status,
                    seconds=time.perf_counter() - begun,
                )

    async def _answer(
        self, operation: Operation, scope: Scope, receive: Receive, send: Send
    ) -> int:
        headers = Headers(scope=scope)
        counted = operation.need != "none"  # a busy service still says that it lives
        try:
            caller = await self._admit(headers, operation.need)
            body = self._body(operation, headers, receive)
            visit = Visit(self._reading, self._answering, name=caller.name)
            if counted:
                visit.enter(announced=body.announced)
                body.visit = visit
        except ApiProblem as problem:
            return await _refuse(problem, scope, receive, send)
        except LockedError:
            return await _refuse(_keys_wait(), scope, receive, send)
        except RagAdaptError as error:  # the state file is damaged, on a full disk
            return await _refuse(problem_of(error), scope, receive, send)
        scope.setdefault("state", {})["caller"] = caller
        reply = Reply(send, body)
        try:
            await self._app(scope, body.receive, reply.send)
        except ApiProblem as problem:
            if problem is not body.refused:
                raise
        finally:
            visit.leave()
        await reply.finish(scope, receive)
        return reply.status or 500

    async def _admit(self, headers: Headers, need: Need) -> Caller:
        """Who is calling, if they may.

        Raises:
            ApiProblem: 401, 403, 421 or 429.
        """
        if self._open_to_all and not self._keys_needed(need):
            check_origin(headers, bound=self._host)
            return Caller()
        if need == "none":
            return Caller()
        key = await self._known(headers)
        if not satisfies(key.scope, need):
            raise ApiProblem(
                status=403,
                code="scope",
                detail=f"the key {key.name!r} has the scope {key.scope}; this needs {need}",
                hint=f"Use a key made with `rag-adapt keys create NAME --scope {need}`.",
            )
        self._rates.take(key.id)
        return Caller(key=key)

    def _keys_needed(self, need: Need) -> bool:
        """Whether this home has keys; where that cannot be read, as strangers see it.

        Raises:
            LockedError: another process holds the keys, and the operation is not open to all.
        """
        try:
            return self._store.any_ever()
        except LockedError:
            if need != "none":
                raise
            return False

    async def _known(self, headers: Headers) -> Key:
        """The key that the request carries.

        Raises:
            ApiProblem: 401 without one, 429 while too many unknown ones are tried.
        """
        token = _bearer(headers)
        if token is None:
            raise _unauthorized("no API key was sent")
        if self._store.remembers(token):
            key = self._store.verify(token)
        else:
            self._strangers.take("all")
            key = await run_in_threadpool(self._store.verify, token)
        if key is None:
            raise _unauthorized("this API key is unknown or revoked")
        return key

    def _body(self, operation: Operation, headers: Headers, receive: Receive) -> Body:
        announced = has_body(headers)
        if announced:
            check_content_type(headers, upload=operation.upload)
        return Body(
            receive,
            limit=byte_limit(headers, self._limits),
            seconds=self._limits.body_seconds,
            announced=announced,
        )


def _bearer(headers: Headers) -> Token | None:
    """The token of `Authorization: Bearer ...`; two such headers are none."""
    sent = headers.getlist("authorization")
    kind, _, token = sent[0].partition(" ") if len(sent) == 1 else ("", "", "")
    return Token.parse(token.strip()) if kind.lower() == "bearer" else None


def _unauthorized(fact: str) -> ApiProblem:
    return ApiProblem(
        status=401,
        code="unauthorized",
        detail=fact,
        hint="Send `Authorization: Bearer <key>`; the operator makes one with "
        "`rag-adapt keys create NAME --scope chat`.",
        headers={"WWW-Authenticate": 'Bearer realm="rag-adapt"'},
    )


def _keys_wait() -> ApiProblem:
    return ApiProblem(
        status=503,
        code="keys-busy",
        detail="the keys cannot be read: another process is writing there at the moment",
        hint="Send it again in a moment; GET /readyz says when it is over.",
        retryable=True,
        headers={"Retry-After": "1", **CLOSE},
    )


async def _refuse(problem: ApiProblem, scope: Scope, receive: Receive, send: Send) -> int:
    await problem.response()(scope, receive, send)
    return problem.status
