"""Every error has one shape, says what to do, and shows nothing of the inside."""

import asyncio
import errno
import logging
from collections.abc import Iterator

import pytest
from fastapi import FastAPI
from fastapi.testclient import TestClient
from pydantic import BaseModel, ConfigDict, field_validator

from rag_adapt.api import problems
from rag_adapt.api.problems import MEDIA_TYPE, ApiProblem, Problem, clipped, responses
from rag_adapt.core.errors import EngineError, RagAdaptError, UserError


class Order(BaseModel):
    model_config = ConfigDict(extra="forbid")

    count: int = 1
    name: str = ""

    @field_validator("name")
    @classmethod
    def _quoted(cls, value: str) -> str:
        if value:
            raise ValueError(f"{value} is no name")
        return value


class ThrottledError(UserError):
    """For the test of Retry-After."""

    code = "throttled-for-a-test"
    status = 429
    retryable = True


def tree(root: type[RagAdaptError]) -> Iterator[type[RagAdaptError]]:
    for child in root.__subclasses__():
        yield child
        yield from tree(child)


def raising(error: BaseException) -> TestClient:
    app = FastAPI()
    problems.install(app)

    @app.post("/do", responses=responses(404))
    async def do(order: Order) -> Order:
        raise error

    return TestClient(app, raise_server_exceptions=False)


def problem(client: TestClient, **sent: object) -> Problem:
    response = client.post("/do", **({"json": {}} | sent))  # type: ignore[arg-type]
    assert response.headers["content-type"] == MEDIA_TYPE
    document = Problem.model_validate(response.json())
    assert document.status == response.status_code
    assert document.type == f"urn:rag-adapt:problem:{document.code}"
    assert document.hint
    assert document.instance.startswith("urn:uuid:")
    return document


@pytest.mark.parametrize("kind", [*tree(RagAdaptError)], ids=lambda kind: kind.__name__)
def test_every_error_of_ours_is_a_problem_of_its_status(kind: type[RagAdaptError]) -> None:
    found = problem(raising(kind("the fact 'x'", hint="the remedy")))
    assert (found.status, found.code, found.retryable) == (kind.status, kind.code, kind.retryable)
    assert (found.detail, found.hint) == ("the fact 'x'", "the remedy")


def test_a_refusal_of_the_api_itself_keeps_its_headers() -> None:
    refusal = ApiProblem(
        status=409, code="taken", detail="d", hint="h", retryable=True, headers={"X-Who": "me"}
    )
    response = raising(refusal).post("/do", json={})
    assert (response.status_code, response.headers["x-who"]) == (409, "me")
    assert response.json()["title"] == "Conflict"


def test_an_error_that_passes_says_when_to_come_back() -> None:
    response = raising(ThrottledError("f", hint="h")).post("/do", json={})
    assert response.headers["retry-after"] == "5"


def test_each_occurrence_has_its_own_name() -> None:
    client = raising(UserError("f", hint="h"))
    assert problem(client).instance != problem(client).instance


@pytest.mark.parametrize(
    ("sent", "named"),
    [
        ({"json": {"count": "many"}}, "body.count: "),
        ({"json": {"size": 1}}, "body.size: "),
        ({"json": []}, "body: "),
        ({"content": b"{", "headers": {"content-type": "application/json"}}, "body.1: "),
        ({"content": b"\xff", "headers": {"content-type": "application/json"}}, "parsing"),
    ],
    ids=["a wrong type", "an unknown field", "no object", "no JSON", "no text"],
)
def test_an_invalid_request_is_400_and_names_the_field(sent: dict[str, object], named: str) -> None:
    found = problem(raising(AssertionError("not reached")), **sent)
    assert found.status == 400
    assert named in found.detail


@pytest.mark.parametrize(
    "body",
    [{"x" * 5000: 1}, {"name": "y" * 5000}, {f"field{n}" + "z" * 300: 1 for n in range(400)}],
    ids=["a long name", "a long value", "many fields"],
)
def test_little_of_what_was_sent_comes_back(body: dict[str, object]) -> None:
    found = problem(raising(AssertionError("not reached")), json=body)
    assert max(len(part) for part in found.detail.split("; ")) <= 200
    assert len(found.detail) < 1100


def test_control_characters_come_back_harmless() -> None:
    assert clipped("a\r\nb\x1b[31m") == "a\\r\\nb\\x1b[31m"
    assert clipped("x" * 201) == "x" * 199 + "…"
    assert len(clipped("\x00" * 200)) <= 200


def test_no_such_path_and_a_wrong_method_have_the_same_shape() -> None:
    client = raising(AssertionError("not reached"))
    lost = client.get("/" + "p" * 3000)
    assert (lost.status_code, lost.json()["code"]) == (404, "not-found")
    assert len(lost.json()["detail"]) < 450
    wrong = client.get("/do")
    assert (wrong.status_code, wrong.json()["code"]) == (405, "method-not-allowed")
    assert wrong.headers["allow"] == "POST"
    assert wrong.headers["content-type"] == MEDIA_TYPE


def test_an_unexpected_error_shows_nothing_and_is_found_in_the_log(
    caplog: pytest.LogCaptureFixture,
) -> None:
    with caplog.at_level(logging.ERROR, logger="rag_adapt.api"):
        found = problem(raising(RuntimeError("password=hunter2 in /srv/secret.py")))
    assert (found.status, found.code) == (500, "internal")
    assert "hunter2" not in found.model_dump_json()
    assert "secret.py" not in found.model_dump_json()
    assert found.instance in caplog.text


@pytest.mark.parametrize(
    ("number", "status"),
    [(errno.ENOSPC, 507), (errno.EROFS, 507), (errno.EDQUOT, 507), (errno.EIO, 500)],
)
def test_a_full_disk_is_507_without_its_path(number: int, status: int) -> None:
    found = problem(raising(OSError(number, "x", "/srv/secret")))
    assert found.status == status
    assert "/srv" not in found.model_dump_json()


@pytest.mark.parametrize(
    ("leaf", "status"),
    [
        (EngineError("f", hint="h"), 502),
        (ApiProblem(status=404, code="c", detail="d", hint="h"), 404),
        (RuntimeError("odd"), 500),
    ],
    ids=["ours", "the API's", "unexpected"],
)
def test_a_group_of_errors_is_told_by_its_first(leaf: Exception, status: int) -> None:
    group = ExceptionGroup("outer", [ExceptionGroup("inner", [leaf])])
    assert problem(raising(group)).status == status


def test_the_document_describes_problems_and_no_shape_that_never_comes() -> None:
    app = raising(AssertionError("not reached")).app
    assert isinstance(app, FastAPI)
    document = app.openapi()
    described = document["paths"]["/do"]["post"]["responses"]
    assert {"200", "400", "401", "403", "404", "429", "500", "503"} == set(described)
    reference = described["404"]["content"][MEDIA_TYPE]["schema"]["$ref"]
    assert document["components"]["schemas"][reference.rsplit("/", 1)[1]]["title"] == "Problem"
    assert "HTTPValidationError" not in str(document)
    assert app.openapi() is document


def test_routes_added_later_are_described_too() -> None:
    app = raising(AssertionError("not reached")).app
    assert isinstance(app, FastAPI)
    app.openapi()
    app.add_api_route("/later", asyncio.sleep, methods=["POST"], responses=responses(410))
    document = app.openapi()
    assert "410" in document["paths"]["/later"]["post"]["responses"]
    assert "Problem" in document["components"]["schemas"]
