"""Templates: read, rendered as they stand or as they might, stored with care."""

from typing import Any

import pytest
from fastapi.testclient import TestClient

from rag_adapt.api import templates as endpoints
from rag_adapt.engines.scripted import ScriptedEngine
from rag_adapt.schemas.skills import (
    Rendered,
    RenderRequest,
    TemplateOrder,
    TemplateStored,
    TemplateText,
)
from rag_adapt.skills.load import find_skill
from tests.api.parts import client_of
from tests.serving.parts import HOME, imported, published

PROMPT = "/v1/skills/colours/templates/prompt"
DRAFT = {"system": "", "user": "Colour?\r\n{input}"}


@pytest.fixture
def client() -> TestClient:
    imported()
    return client_of()


def test_a_template_is_rendered_as_a_route_would_send_it(client: TestClient) -> None:
    order = {
        "skill": "colours",
        "template": "context",
        "input": "the sky",
        "examples": [{"input": "grass", "output": "green"}],
        "passages": ["The sky is blue."],
    }
    found = client.post("/v1/templates:render", json=order).json()
    assert [m["role"] for m in found["messages"]] == ["user", "assistant", "user"]
    assert found["messages"][-1]["content"] == (
        "[1] <data>The sky is blue.</data>\nOne of red, blue.\nthe sky"
    )
    context = find_skill("colours", HOME).context
    assert context is not None
    assert found["hash"] == context.hash


def test_a_draft_is_rendered_in_its_place_and_not_stored(client: TestClient) -> None:
    before = client.get(PROMPT).json()
    order = {"skill": "colours", "input": "the sky", "draft": DRAFT}
    found = client.post("/v1/templates:render", json=order).json()
    assert [m["content"] for m in found["messages"]] == ["Colour?\nthe sky"]
    assert found["hash"] != before["hash"]
    assert client.get(PROMPT).json() == before


@pytest.mark.parametrize(
    ("wrong", "status", "code"),
    [
        ({"skill": "ghost"}, 404, "skill-not-found"),
        ({"template": "ghost"}, 404, "template-not-found"),
        ({"passages": ["a"]}, 400, "template"),
        ({"template": "../prompt"}, 400, "invalid-request"),
        ({"draft": {"system": "", "user": "no input"}}, 400, "template"),
        ({"draft": {"system": "{input.__class__}", "user": "{input}"}}, 400, "template"),
    ],
    ids=str,
)
def test_what_cannot_be_rendered_is_refused(
    client: TestClient, wrong: dict[str, Any], status: int, code: str
) -> None:
    order = {"skill": "colours", "input": "x", **wrong}
    response = client.post("/v1/templates:render", json=order)
    assert (response.status_code, response.json()["code"]) == (status, code)


def test_a_template_is_changed_by_who_read_it_and_not_by_who_read_the_one_before(
    client: TestClient,
) -> None:
    read = TemplateText.model_validate(client.get(PROMPT).json())
    assert (read.user, read.shows_passages, read.editable) == ("{input}", False, True)
    version = published(ScriptedEngine()).version
    before = find_skill("colours", HOME).data_hash
    stored = client.put(PROMPT, json={**DRAFT, "replaces": read.hash})
    told = TemplateStored.model_validate(stored.json())
    now = find_skill("colours", HOME)
    assert (now.prompt.user, now.prompt.hash) == ("Colour?\n{input}", told.hash)
    assert (told.data_hash_before, told.data_hash) == (before, now.data_hash)
    assert told.adapters == [version]
    assert client.get("/v1/skills/colours").json()["data_hash"] == now.data_hash
    again = client.put(PROMPT, json={**DRAFT, "replaces": read.hash})
    assert (again.status_code, again.json()["code"]) == (409, "template-changed")


def test_bundled_skills_stay_as_they_are_and_say_what_to_do(client: TestClient) -> None:
    path = "/v1/skills/past-tense/templates/prompt"
    read = client.get(path).json()
    assert read["editable"] is False
    refused = client.put(path, json={**DRAFT, "replaces": read["hash"]})
    assert (refused.status_code, refused.json()["code"]) == (409, "skill-bundled")
    assert "rag-adapt skills import" in refused.json()["hint"]
    assert client.get(path).json() == read


@pytest.mark.parametrize(
    ("path", "order", "code"),
    [
        (PROMPT, {"system": "", "user": "x" * 50_001}, "invalid-request"),
        (PROMPT, {"system": "", "user": "{input} {secret}"}, "template"),
        (f"{PROMPT}-two", {"system": "", "user": "{input} {context}"}, "skill"),
        ("/v1/skills/colours/templates/..%2F..%2Fx", DRAFT, "not-found"),
        ("/v1/skills/colours/templates/a.b", DRAFT, "invalid-request"),
        ("/v1/skills/ghost/templates/prompt", DRAFT, "skill-not-found"),
    ],
    ids=["long", "placeholder", "passages", "path", "name", "skill"],
)
def test_what_is_no_template_is_not_stored(
    client: TestClient, path: str, order: dict[str, str], code: str
) -> None:
    before = find_skill("colours", HOME).data_hash
    response = client.put(path, json=order)
    assert response.status_code in (400, 404)
    assert response.json()["code"] == code
    assert find_skill("colours", HOME).data_hash == before


def test_a_faulty_skill_names_its_faults_and_no_folder(client: TestClient) -> None:
    (HOME / "skills" / "colours" / "items.jsonl").write_text("{}\n")
    for response in (client.get(PROMPT), client.put(PROMPT, json={**DRAFT, "replaces": "0" * 12})):
        assert response.status_code == 400
        assert "items.jsonl:1" in response.json()["detail"]
        assert "home" not in response.json()["detail"]


def test_the_examples_are_valid() -> None:
    assert TemplateText.model_validate(endpoints.TEXT)
    assert TemplateOrder.model_validate(endpoints.ORDER)
    assert TemplateStored.model_validate(endpoints.STORED)
    assert RenderRequest.model_validate(endpoints.RENDER)
    assert RenderRequest.model_validate(endpoints.TRIED)
    assert Rendered.model_validate(endpoints.RENDERED)
