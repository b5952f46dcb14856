"""The OpenAPI document: complete, and true under a few hundred generated requests."""

from typing import Any

import pytest
import schemathesis
from fastapi import FastAPI
from hypothesis import HealthCheck, Phase, given, settings
from schemathesis.checks import not_a_server_error
from schemathesis.core.result import Ok
from schemathesis.specs.openapi.checks import (
    content_type_conformance,
    negative_data_rejection,
    response_headers_conformance,
    response_schema_conformance,
    status_code_conformance,
    unsupported_method,
)

from rag_adapt.keys.store import KeyStore
from tests.api.authorisation import check_authorisation
from tests.api.parts import ADDRESS, app_of
from tests.serving.parts import HOME, imported

CHECKS = [
    not_a_server_error,
    content_type_conformance,
    negative_data_rejection,
    response_headers_conformance,
    response_schema_conformance,
    status_code_conformance,
    unsupported_method,
]
CASES = {"post": 8, "put": 4, "patch": 4, "get": 3, "delete": 3}
"""Requests per operation; a thousand more are asked as sequences (test_sequences.py)."""
ASKED = ("/v1/chat/completions", "/v1/completions", "/v1/comparisons", "/v1/conversations")
"""What is asked again with models that answer."""


def operations() -> list[tuple[str, dict[str, Any]]]:
    document = app_of().openapi()
    return [
        (f"{method} {path}", operation)
        for path, methods in document["paths"].items()
        for method, operation in methods.items()
    ]


def test_every_operation_says_what_it_does_and_who_may_ask_for_it() -> None:
    for name, operation in operations():
        assert operation["summary"], name
        assert operation["description"], name
        assert operation["tags"], name
        assert operation["x-scope"] in ("none", "chat", "bench", "admin"), name


def test_every_operation_shows_an_answer_and_the_shape_of_its_errors() -> None:
    for name, operation in operations():
        (good,) = [one for status, one in operation["responses"].items() if status < "300"]
        answered = good["content"]
        assert all("example" in content for content in answered.values()), name
        assert {"400", "401", "403", "429", "500"} <= set(operation["responses"]), name
        for parameter in operation.get("parameters", ()):
            assert parameter["schema"].get("examples"), (name, parameter["name"])


def test_every_body_has_an_example() -> None:
    bodies = [op["requestBody"] for _, op in operations() if "requestBody" in op]
    assert len(bodies) >= 2
    for body in bodies:
        for content in body["content"].values():
            assert content["examples"]


def test_the_examples_are_valid() -> None:
    from rag_adapt.api import catalog, chat, completions
    from rag_adapt.schemas.answers import ChatResponse, CompletionResponse
    from rag_adapt.schemas.catalog import AdapterInfo, Model, Readiness, SkillInfo, TraceDocument
    from rag_adapt.schemas.requests import ChatRequest, CompletionRequest

    for kind, example in (
        (ChatRequest, chat.REQUEST),
        (ChatResponse, chat.RESPONSE),
        (CompletionRequest, completions.REQUEST),
        (CompletionResponse, completions.RESPONSE),
        (Model, catalog.MODEL),
        (SkillInfo, catalog.SKILL),
        (AdapterInfo, catalog.ADAPTER),
        (TraceDocument, catalog.TRACE),
        (Readiness, catalog.NOT_READY),
    ):
        assert kind.model_validate(example)


def checked(app: FastAPI, model: str | None = None) -> int:
    """Ask every operation what its schema allows and forbids; how many requests that were.

    A generated model name leads nowhere, so answers are only seen where `model` is put in.
    """
    schema = schemathesis.openapi.from_asgi("/openapi.json", app, headers={"Host": "127.0.0.1"})
    asked = 0

    def check(case: schemathesis.Case[Any]) -> None:
        nonlocal asked
        asked += 1
        if model is not None and isinstance(case.body, dict) and "model" in case.body:
            case.body["model"] = model
        if model is not None and isinstance(case.body, dict) and "models" in case.body:
            case.body["models"] = [model]
        case.call_and_validate(base_url=ADDRESS, checks=CHECKS)

    for result in schema.get_all_operations():
        assert isinstance(result, Ok)
        operation = result.ok()
        if model is None or operation.path in ASKED:
            limited = settings(
                max_examples=CASES[operation.method],
                deadline=None,
                database=None,
                derandomize=True,
                phases=[Phase.explicit, Phase.generate],
                suppress_health_check=list(HealthCheck),
            )
            limited(given(case=operation.as_strategy())(check))()
    return asked


def test_generated_requests_find_no_fault_of_ours_and_no_answer_outside_of_the_schema() -> None:
    imported(corpus=False)
    app = app_of()
    assert checked(app) + checked(app, "scripted") + checked(app, "route:prompt/colours") >= 200


def test_every_operation_lets_in_whom_it_says() -> None:
    store = KeyStore(HOME)
    app = app_of()
    assert len(check_authorisation(app, store)) > 50


@pytest.mark.parametrize("path", ["/docs", "/redoc"])
def test_no_page_of_somebody_elses_scripts_is_served(path: str) -> None:
    from tests.api.parts import client_of

    assert client_of().get(path).status_code == 404
