"""What a service or something in its place says becomes one exception with a fact and a hint."""

import json

import pytest

from rag_adapt.client import ApiError, filled
from rag_adapt.client.errors import parsed, problem, refused
from rag_adapt.core.errors import RagAdaptError, UserError
from rag_adapt.schemas.catalog import Health
from rag_adapt.schemas.jobs import JobInfo
from rag_adapt.schemas.records import AnswerRow
from rag_adapt.schemas.runs import RunRequest
from tests.api.test_runs import ORDER
from tests.client.parts import client_of
from tests.serving.parts import imported

DOCUMENT = {
    "type": "urn:rag-adapt:problem:queue-full",
    "title": "Too Many Requests",
    "status": 429,
    "detail": "20 jobs wait",
    "instance": "urn:uuid:6f1c2a3e-8f0b-4b57-9a4e-2d2c3f0f7c11",
    "code": "queue-full",
    "hint": "Cancel one.",
    "retryable": True,
}


def test_a_problem_document_becomes_an_error_of_our_tree() -> None:
    error = refused(429, {"retry-after": "5"}, json.dumps(DOCUMENT).encode())
    assert isinstance(error, UserError)
    assert (error.status, error.code, error.retryable) == (429, "queue-full", True)
    assert (error.fact, error.detail, error.hint) == ("20 jobs wait", "20 jobs wait", "Cancel one.")
    assert (error.request_id, error.retry_after) == (DOCUMENT["instance"], 5.0)
    assert str(error) == "20 jobs wait\nCancel one."
    assert (ApiError.code, RagAdaptError.code) == ("api", "internal")


@pytest.mark.parametrize(
    ("body", "fact"),
    [
        (b"", "the answer was 502 Bad Gateway"),
        (b"<html><h1>502</h1>\n nginx\x00</html>", "502 nginx"),
        (b"[1]", "[1]"),
        (b'{"detail": "only this"}', "only this"),
        (b'{"detail": 5}', "the answer was 502 Bad Gateway"),
        (b"\xff\xfe", "\ufffd\ufffd"),
    ],
    ids=["nothing", "a page", "other JSON", "half a problem", "wrong types", "no text"],
)
def test_what_something_else_says_is_shown_as_far_as_it_can_be(body: bytes, fact: str) -> None:
    error = refused(502, {}, body)
    assert (error.status, error.fact) == (502, fact)
    assert error.hint
    assert not error.retryable


def test_a_long_foreign_body_is_cut() -> None:
    assert len(refused(500, {}, b"word " * 10_000).fact) <= 200


def test_a_status_that_has_no_name_is_shown_by_its_number() -> None:
    assert refused(599, {}, b"").fact == "the answer was 599"
    assert problem({"status": 7}).status == 502


def test_members_that_a_newer_service_added_are_left_out_at_every_depth() -> None:
    assert parsed(Health, b'{"status": "ok", "since": 5}') == Health()
    progress = {"stage": "a", "done": 1, "total": 2, "note": "", "eta": 7}
    nulls = dict.fromkeys(("started", "ended", "exit_code", "result", "error"))
    job = {"id": "x", "command": [], "state": "queued", "created": 1.0, "cancelling": False}
    found = parsed(JobInfo, json.dumps({**job, **nulls, "progress": progress, "by": "me"}))
    assert found.progress is not None
    assert found.progress.total == 2
    row = dict.fromkeys(("skill", "arm", "item", "cluster", "input", "target"), "x")
    kept = {**row, "repeat": 0, "targets": [], "output": "x", "score": 1.0, "trace": {}}
    assert parsed(AnswerRow, json.dumps({**kept, "new": 1})).output == "x"


@pytest.mark.parametrize("body", [b"", b"[]", b"5", b'{"status": "fine"}'])
def test_what_is_not_what_the_schema_says_is_an_error_that_names_the_versions(body: bytes) -> None:
    with pytest.raises(ApiError, match="the answer is no Health") as wrong:
        parsed(Health, body)
    assert (wrong.value.status, wrong.value.code) == (502, "unreadable-answer")
    assert "same version" in wrong.value.hint


def test_a_request_is_made_of_what_somebody_typed_and_says_what_is_wrong_with_it() -> None:
    assert filled(RunRequest, **ORDER).top_k == 2
    with pytest.raises(ApiError) as wrong:
        filled(RunRequest, skills=["../x"], items="5", folds=1, ghost=1, seed=-1, tune=-1)
    error = wrong.value
    assert (error.status, error.code) == (400, "invalid-request")
    assert "skills.0: String should match" in error.fact
    assert "; and 1 more" in error.fact
    with pytest.raises(ApiError, match="body: Value error, has 500 members"):
        filled(RunRequest, **{f"x{n}": 1 for n in range(500)})


def test_a_refusal_of_the_real_service_says_what_it_says_there() -> None:
    imported()
    with client_of() as client, pytest.raises(ApiError) as missing:
        client.runs.plan(filled(RunRequest, **{**ORDER, "skills": ["ghost"]}))
    error = missing.value
    assert (error.status, error.code, error.retryable) == (404, "skill-not-found", False)
    assert "'ghost'" in error.fact
    assert error.hint
    assert (error.request_id or "").startswith("urn:uuid:")
