"""The authorisation matrix: every operation of an app, asked by every kind of caller.

It does not know which operations there are: it reads them from the app's own document.
"""

import re
import time
from collections.abc import Iterator
from dataclasses import dataclass

from fastapi import FastAPI
from fastapi.testclient import TestClient

from rag_adapt.api.problems import MEDIA_TYPE, Problem
from rag_adapt.keys.key import SCOPES, Token
from rag_adapt.keys.store import KeyStore

METHODS = ("get", "put", "post", "delete", "patch")


@dataclass(frozen=True, kw_only=True)
class Asked:
    """One cell of the matrix."""

    method: str
    path: str
    need: str
    caller: str
    status: int
    expected: int | None
    """401 or 403; None where the caller may come in."""


def check_authorisation(app: FastAPI, store: KeyStore) -> tuple[Asked, ...]:
    """Ask every operation as every caller and assert who is let in; the app keeps its door.

    Args:
        app: An app behind `security.install(app, store=store, ...)`, also one with no keys yet.
        store: Where this makes its keys.
    """
    callers = dict(_callers(store))
    client = TestClient(app, base_url="http://127.0.0.1", raise_server_exceptions=False)
    asked = tuple(
        _ask(client, method, path, need, name, headers)
        for method, path, need in operations(app)
        for name, headers in callers.items()
    )
    wrong = [cell for cell in asked if not _right(cell)]
    assert not wrong, f"let in or kept out by mistake: {wrong}"
    return asked


def operations(app: FastAPI) -> Iterator[tuple[str, str, str]]:
    """Method, path and declared scope of every documented operation."""
    for path, methods in app.openapi()["paths"].items():
        for method in METHODS:
            if method in methods:
                yield method, path, methods[method].get("x-scope", "admin")


def _callers(store: KeyStore) -> Iterator[tuple[str, dict[str, str]]]:
    for scope in SCOPES:
        yield scope, _bearer(store.create(f"matrix-{scope}", scope).token)
    revoked = store.create("matrix-revoked", "admin").token
    store.revoke("matrix-revoked")
    yield "revoked", _bearer(revoked)
    yield "unknown", _bearer(Token.fresh())
    yield "garbage", {"Authorization": "Bearer sk-123"}
    yield "basic", {"Authorization": "Basic YTpi"}
    yield "nobody", {}


def _bearer(token: Token) -> dict[str, str]:
    return {"Authorization": f"Bearer {token.reveal()}"}


def _ask(
    client: TestClient, method: str, path: str, need: str, caller: str, headers: dict[str, str]
) -> Asked:
    where = re.sub(r"\{[^}]*\}", "matrix", path)
    json: dict[str, str] | None = {} if method in ("post", "put", "patch") else None
    response = client.request(method, where, headers=headers, json=json)
    while response.status_code == 429:  # so many unknown keys are a flood to the door
        time.sleep(0.1)
        response = client.request(method, where, headers=headers, json=json)
    if response.status_code in (401, 403):
        assert response.headers["content-type"] == MEDIA_TYPE
        Problem.model_validate(response.json())
    return Asked(
        method=method,
        path=path,
        need=need,
        caller=caller,
        status=response.status_code,
        expected=_expected(need, caller),
    )


def _expected(need: str, caller: str) -> int | None:
    if need == "none":
        return None
    if caller not in SCOPES:
        return 401
    return None if SCOPES.index(caller) >= SCOPES.index(need) else 403


def _right(cell: Asked) -> bool:
    if cell.expected is None:
        return cell.status not in (401, 403)
    return cell.status == cell.expected
