"""One skill: shown, checked, imported from an upload."""

from collections.abc import Mapping
from typing import Any

import pytest
from fastapi.testclient import TestClient

from rag_adapt.api import skills as endpoints
from rag_adapt.api.imports import safe_name
from rag_adapt.schemas.skills import Imported, SkillCheck, SkillDetail
from rag_adapt.skills.load import find_skill
from tests.api.parts import client_of
from tests.serving.parts import HOME, imported

UPLOAD = {"X-Rag-Adapt": "1"}
ROWS = "question,answer\n" + "".join(f"what is {n} and {n},{2 * n}\n" for n in range(20))
FIELDS = {"name": "sums", "input": "question", "target": "answer"}


@pytest.fixture
def client() -> TestClient:
    return client_of()


def upload(
    client: TestClient,
    text: str = ROWS,
    *,
    filename: str = "sums.csv",
    documents: Mapping[str, str] | None = None,
    headers: Mapping[str, str] = UPLOAD,
    **fields: str,
) -> Any:
    parts = [("documents", (name, body.encode())) for name, body in (documents or {}).items()]
    files = [("file", (filename, text.encode())), *parts]
    data = {**FIELDS, **fields}
    return client.post("/v1/skills:import", data=data, files=files, headers=dict(headers))


def test_a_skill_is_shown_with_its_templates(client: TestClient) -> None:
    imported()
    found = client.get("/v1/skills/colours").json()
    assert found["templates"] == ["context", "prompt"]
    assert (found["origin"], found["fault"], found["max_tokens"]) == ("imported", None, 6)
    assert found["items"] == {"train": 6, "dev": 2, "test": 6}
    assert found["sample"] == {"input": "train thing number 0: red", "output": "red"}
    listed = {s["name"]: s for s in client.get("/v1/skills").json()["data"]}["colours"]
    assert listed.items() <= found.items()


def test_a_faulty_skill_is_shown_with_its_fault_and_checked_with_all_of_them(
    client: TestClient,
) -> None:
    folder = imported()
    (folder / "templates" / "prompt.toml").unlink()
    (folder / "templates" / "context.toml").unlink()
    shown = client.get("/v1/skills/colours").json()
    assert "templates/prompt.toml" in shown["fault"]
    assert shown["title"] is None
    checked = client.get("/v1/skills/colours/check").json()
    assert (checked["sound"], checked["splits"]) == (False, [])
    assert len(checked["faults"]) >= 2
    assert str(HOME.absolute()) not in str(checked)


def test_a_sound_skill_is_checked_in_numbers(client: TestClient) -> None:
    imported()
    checked = client.get("/v1/skills/colours/check").json()
    assert (checked["sound"], checked["faults"], checked["documents"]) == (True, [], 1)
    assert {s["split"]: s["items"] for s in checked["splits"]} == {"train": 6, "dev": 2, "test": 6}
    assert any("below 50" in warning for warning in checked["warnings"])


@pytest.mark.parametrize("part", ["", "/check"])
def test_an_unknown_skill_is_a_problem(client: TestClient, part: str) -> None:
    response = client.get(f"/v1/skills/ghost{part}")
    assert (response.status_code, response.json()["code"]) == (404, "skill-not-found")


def test_an_upload_becomes_a_skill_by_its_columns(client: TestClient) -> None:
    response = upload(client, seed="3", split_ratio="0.5/0.25/0.25")
    told = Imported.model_validate(response.json())
    assert response.status_code == 201
    assert (told.format, told.rows, sum(told.items.values())) == ("csv", 20, 20)
    skill = find_skill("sums", HOME)
    assert (skill.description, skill.source) == ("Imported from sums.csv.", "sums.csv, seed 3")
    assert client.get("/v1/skills/sums").json()["items"] == told.items


def test_documents_come_with_an_upload(client: TestClient) -> None:
    response = upload(client, documents={"../a.md": "# A\n\nOne.", "b.txt": "Two."})
    assert response.status_code == 201
    skill = find_skill("sums", HOME)
    assert skill.corpus is not None
    assert sorted(path.name for path in skill.corpus.iterdir()) == ["a.md", "b.txt"]


@pytest.mark.parametrize(
    "documents",
    [{"a.pdf": "x"}, {"a.md": "x", "b/a.md": "y"}, {"a.md": "  "}],
    ids=["no text", "one name", "empty"],
)
def test_documents_that_cannot_be_kept_are_refused(
    client: TestClient, documents: dict[str, str]
) -> None:
    response = upload(client, documents=documents)
    assert (response.status_code, response.json()["code"]) == (400, "skill")
    assert client.get("/v1/skills/sums").status_code == 404


def test_bad_rows_are_named_by_the_files_own_name_or_left_out(client: TestClient) -> None:
    bad = ROWS + "no answer,\n"
    problem = upload(client, bad).json()
    assert (problem["status"], problem["code"]) == (400, "skill")
    assert "sums.csv:22" in problem["detail"]
    assert "/" not in problem["detail"]
    told = upload(client, bad, skip_bad="true").json()
    assert told["rows"] == 20
    assert told["left_out"][0].startswith("sums.csv:22")


@pytest.mark.parametrize("name", ["sums", "orders"], ids=["imported", "bundled"])
def test_a_skill_that_is_there_is_never_replaced(client: TestClient, name: str) -> None:
    upload(client)
    before = client.get(f"/v1/skills/{name}").json()
    response = upload(client, ROWS.replace("what", "where"), name=name)
    assert (response.status_code, response.json()["code"]) == (409, "skill-exists")
    assert client.get(f"/v1/skills/{name}").json() == before


@pytest.mark.parametrize(
    "fields",
    [
        {"name": "../sums"},
        {"name": "S"},
        {"format": "exe"},
        {"corpus": "/etc"},
        {"max_labels": "1"},
        {"input": "ghost"},
        {"split_ratio": "1/2"},
    ],
    ids=str,
)
def test_what_cannot_be_imported_is_refused(client: TestClient, fields: dict[str, Any]) -> None:
    assert upload(client, **fields).status_code == 400
    assert not (HOME / "skills").exists() or not any((HOME / "skills").iterdir())


def test_an_upload_from_a_web_page_is_refused(client: TestClient) -> None:
    response = upload(client, headers={})
    assert (response.status_code, response.json()["code"]) == (403, "upload-header-missing")


@pytest.mark.parametrize(
    ("sent", "kept"),
    [
        ("a.csv", "a.csv"),
        ("../../etc/passwd", "passwd"),
        ("C:\\data\\my file.csv", "my-file.csv"),
        ("..", "upload"),
        ("", "upload"),
        (None, "upload"),
        ("é.csv", "csv"),
        ("x" * 200 + ".csv", "x" * 76 + ".csv"),
    ],
)
def test_names_of_uploads_become_plain_ones(sent: str | None, kept: str) -> None:
    assert safe_name(sent) == kept


def test_the_examples_are_valid() -> None:
    assert SkillDetail.model_validate(endpoints.DETAIL)
    assert SkillCheck.model_validate(endpoints.CHECK)
    assert Imported.model_validate(endpoints.IMPORTED)
