"""Which scope an operation needs: read from the app's own routes, before any of them runs.

It does not know who is calling.
"""

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Final, Literal

from fastapi import FastAPI, params
from fastapi.routing import RouteContext, iter_route_contexts
from starlette.routing import Mount, compile_path

from rag_adapt.keys.key import SCOPES, Scope

Need = Literal["none", "chat", "bench", "admin"]
"""What `openapi_extra={"x-scope": ...}` of an operation may say; `none` is open to everybody."""
FIELD: Final = "x-scope"
UNMATCHED: Final = "unmatched"
"""Stands for the path of what leads nowhere, so that paths from outside become no label."""


@dataclass(frozen=True, kw_only=True)
class Operation:
    """What a request leads to."""

    path: str
    """The route's template, such as `/v1/traces/{id}`; or `unmatched`."""
    need: Need
    upload: bool = False
    """Whether it reads files: only then may a body be multipart, and large."""


@dataclass(frozen=True, kw_only=True)
class _Entry:
    operation: Operation
    pattern: re.Pattern[str]
    methods: frozenset[str] | None
    """None: all of them."""


class Operations:
    """All operations of an app, looked up by method and path in the router's own order.

    An operation that declares no scope needs `admin`. A path that leads nowhere, or exists for
    other methods only, needs any key: it ends in 404 or 405. Where the app has a route whose
    paths cannot be told, everything unmatched needs `admin`.
    """

    def __init__(self, app: FastAPI) -> None:
        self._app = app
        self._seen = -1
        self._entries: tuple[_Entry, ...] = ()
        self._lost: Need = "admin"

    def find(self, scope: Mapping[str, Any]) -> Operation:
        """The operation of an ASGI HTTP scope."""
        method, path = str(scope["method"]), route_path(scope)
        found = self._match(method, path)
        if found is None:  # routes may have been added since the last look, to any router inside
            self._look()
            found = self._match(method, path)
        return found or self._beside(path)

    def _match(self, method: str, path: str) -> Operation | None:
        for entry in self._entries:
            if entry.pattern.match(path) and (entry.methods is None or method in entry.methods):
                return entry.operation
        return None

    def _beside(self, path: str) -> Operation:
        """What leads to no operation: a known path with another method, or no path of ours."""
        for entry in self._entries:
            if entry.pattern.match(path):
                return Operation(path=entry.operation.path, need=SCOPES[0])
        return Operation(path=UNMATCHED, need=self._lost)

    def _look(self) -> None:
        contexts = list(iter_route_contexts(self._app.router.routes))
        if len(contexts) == self._seen:
            return
        self._entries = tuple(entry for context in contexts for entry in _entries(context))
        self._lost = "admin" if any(not context.path for context in contexts) else SCOPES[0]
        self._seen = len(contexts)


def route_path(scope: Mapping[str, Any]) -> str:
    """The path that the router will match: without the prefix of a server in front."""
    path, root = str(scope["path"]), str(scope.get("root_path", ""))
    return path[len(root) :] if root and path.startswith(root + "/") else path


def _entries(context: RouteContext) -> Iterator[_Entry]:
    if not context.path:
        return
    paths = [context.path]
    if isinstance(context.original_route, Mount):
        paths.append(context.path.rstrip("/") + "/{rest:path}")
    methods = frozenset(context.methods) if context.methods else None
    declared = getattr(context, "openapi_extra", None) or {}
    operation = Operation(
        path=context.path, need=_need(declared.get(FIELD)), upload=_reads_forms(context)
    )
    for path in paths:
        yield _Entry(operation=operation, pattern=compile_path(path)[0], methods=methods)


def _reads_forms(context: RouteContext) -> bool:
    """Whether its endpoint takes form fields or files: nothing else reads a multipart body."""
    field = getattr(context, "body_field", None)
    return isinstance(getattr(field, "field_info", None), params.Form)


def _need(declared: object) -> Need:
    if declared == "none":
        return "none"
    return next((scope for scope in SCOPES if scope == declared), SCOPES[-1])


def satisfies(scope: Scope, need: Need) -> bool:
    """Whether a key of this scope may do what needs `need`."""
    return need == "none" or SCOPES.index(scope) >= SCOPES.index(need)
