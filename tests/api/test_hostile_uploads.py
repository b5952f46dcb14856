"""Files of examples and documents that are made to hurt: each a problem, none a fault of ours."""

import ast
import asyncio
import io
import json
import threading
import time
import zipfile
from pathlib import Path
from typing import Any

import pytest
from fastapi import UploadFile
from fastapi.testclient import TestClient

import rag_adapt
from rag_adapt.api.imports import ImportForm, import_upload
from rag_adapt.api.library import UnreadableError
from rag_adapt.limited.bounds import Bounds, ParserError
from rag_adapt.skills import uploaded
from tests.api.parts import client_of
from tests.api.working import idle_desk
from tests.serving.parts import HOME

UPLOADED = {"X-Rag-Adapt": "1"}
ENTITIES = (
    '<?xml version="1.0"?><!DOCTYPE x [<!ENTITY a SYSTEM "file:///etc/passwd">'
    '<!ENTITY b "&a;&a;&a;&a;">]><x>&b;&b;</x>'
)
SVG = '<svg xmlns="http://www.w3.org/2000/svg" onload="alert(1)"><script>alert(2)</script></svg>'
ROWS = "input,target\n" + "".join(f"what is {n} and {n},{2 * n}\n" for n in range(20))


@pytest.fixture
def client() -> TestClient:
    """A client whose jobs wait."""
    return client_of(desk=idle_desk())


def imported(client: TestClient, data: bytes, filename: str = "x.csv", **fields: str) -> Any:
    files = [("file", (filename, data))]
    sent = {"name": "hostile", **fields}
    return client.post("/v1/skills:import", data=sent, files=files, headers=UPLOADED)


def added(client: TestClient, documents: dict[str, bytes]) -> Any:
    files = [("documents", (name, data)) for name, data in documents.items()]
    return client.post("/v1/collections/shop/documents", files=files, headers=UPLOADED)


def nothing_stays() -> bool:
    """Whether neither a skill nor a document is there, nor any part of one."""
    folders = (HOME / "skills", HOME / "documents")
    return not any(path.is_file() for folder in folders for path in folder.rglob("*"))


DEEP = 200_000
EXAMPLES = {
    "one very long line": b"input,target\n" + b"x" * 30_000_000,
    "one very long quoted field": b'input,target\n"' + b"x" * 30_000_000,
    "NUL bytes": b"input,target\n\0\0,\0\n",
    "only NUL bytes": bytes(1_000_000),
    "a million columns": b",".join(b"c%d" % n for n in range(1_000_000)) + b"\n1,2\n",
    "a million empty columns": b"," * 1_000_000 + b"\n",
    "no UTF-8": b"input,target\n\xff\xfe\xfd,\x80\n",
    "UTF-16": "input,target\na,b\n".encode("utf-16"),
    "binary": bytes(range(256)) * 4000,
    "nothing": b"",
    "markup": SVG.encode(),
    "entities": ENTITIES.encode(),
}
JSON_LINES = {
    "deep lists": b"[" * DEEP + b"\n",
    "deep objects": b'{"a":' * DEEP + b"\n",
    "a huge number": b'{"input": "a", "target": ' + b"9" * 1_000_000 + b"}\n",
    "a million keys": json.dumps({f"k{n}": n for n in range(300_000)}).encode(),
    "one key twice": b'{"input": "a", "input": "b", "target": "c"}\n',
    "half a character": b'{"input": "\\ud800", "target": "c"}\n',
    "no object": b'"a"\n1\nnull\n[]\n',
    "not a number": b'{"input": NaN, "target": Infinity}\n' * 3,
}


@pytest.mark.parametrize("data", EXAMPLES.values(), ids=EXAMPLES)
def test_a_hostile_table_is_a_problem(client: TestClient, data: bytes) -> None:
    response = imported(client, data)
    problem = response.json()
    assert (response.status_code, problem["code"]) in ((400, "skill"), (422, "parser"))
    assert len(problem["detail"]) <= 2000
    assert str(HOME.absolute()) not in str(problem)
    assert nothing_stays()


@pytest.mark.parametrize("data", JSON_LINES.values(), ids=JSON_LINES)
@pytest.mark.parametrize("filename", ["x.jsonl", "x.json", "x"])
def test_hostile_json_is_a_problem(client: TestClient, data: bytes, filename: str) -> None:
    response = imported(client, data, filename)
    if response.status_code == 201:  # numbers that JSON has not are taken for their names
        assert b"NaN" in data
        return
    assert response.json()["code"] in ("skill", "parser")
    assert response.status_code in (400, 422)
    assert nothing_stays()


@pytest.mark.parametrize("format", ["bigbench", "squad"])
def test_deep_json_of_whole_files_is_a_problem(client: TestClient, format: str) -> None:
    response = imported(client, b'{"examples": ' + b"[" * DEEP, "x.json", format=format)
    assert response.status_code in (400, 422)


DOCUMENTS = {
    "NUL bytes": b"a\0b",
    "half a character": b"\xff\xfe\x00",
    "another kind": b"%PDF-1.7\n",
    "empty": b"  \n",
    "too large": b"x" * (21 << 20),
}


@pytest.mark.parametrize("data", DOCUMENTS.values(), ids=DOCUMENTS)
def test_a_document_that_is_no_text_is_named_and_nothing_is_kept(
    client: TestClient, data: bytes
) -> None:
    response = added(client, {"bad.md": data})
    problem = response.json()
    assert (response.status_code, problem["code"]) == (422, UnreadableError.code)
    assert "bad.md" in problem["detail"]
    assert "/" not in problem["detail"]
    assert nothing_stays()
    assert client.get("/v1/jobs").json()["data"] == []


def test_beside_documents_that_are_no_text_the_others_are_kept(client: TestClient) -> None:
    bad = {f"{name}.md": data for name, data in DOCUMENTS.items()}
    good = {"good.md": b"# Good\n\nText.", "run.exe": b"text", "a/good.md": b"another"}
    response = added(client, bad | good)
    told = response.json()
    assert (response.status_code, told["kept"]) == (202, ["good.md"])
    reasons = {one["document"]: one["reason"] for one in told["left_out"]}
    named = {"NUL-bytes.md", "half-a-character.md", "another-kind.md", "empty.md", "too-large.md"}
    assert set(reasons) == named | {"run.exe", "good.md"}
    assert reasons["run.exe"] == "it is of no kind that is read"
    assert reasons["good.md"] == "another one of this upload has the same name"
    assert not any("/" in reason for reason in reasons.values())
    kept = [path for path in (HOME / "documents").rglob("*") if path.is_file()]
    assert [(path.name, path.read_bytes()) for path in kept] == [("good.md", good["good.md"])]


def test_a_document_that_breaks_its_reader_is_found_among_the_others(client: TestClient) -> None:
    bomb = io.BytesIO()
    with zipfile.ZipFile(bomb, "w", zipfile.ZIP_DEFLATED) as packed:
        packed.writestr("word/document.xml", b"<a>" * 3_000_000)
    good = {f"{number}.md": b"# Good" for number in range(3)}
    told = added(client, {**good, "bomb.docx": bomb.getvalue()}).json()
    assert (told["kept"], [one["document"] for one in told["left_out"]]) == (
        list(good),
        ["bomb.docx"],
    )


@pytest.mark.parametrize(
    "text",
    ["x" * 10_000_000, "[" * 1_000_000, "#" * 1_000_000, "\n" * 1_000_000 + "x", "a " * 1_000_000],
    ids=["one line", "brackets", "hashes", "lines", "words"],
)
def test_odd_text_is_text(client: TestClient, text: str) -> None:
    assert added(client, {"odd.md": text.encode()}).status_code == 202


@pytest.mark.parametrize("text", [SVG, ENTITIES, "<script>alert(1)</script>"], ids=str)
def test_markup_is_kept_as_the_text_that_it_is(client: TestClient, text: str) -> None:
    from rag_adapt.retrieval.build import build_collection
    from rag_adapt.retrieval.embed import HashingEmbedder

    assert added(client, {"page.md": text.encode()}).status_code == 202
    build_collection(Path("indexes/shop"), HOME / "documents" / "shop", HashingEmbedder())
    response = client.get("/v1/collections/shop/documents/page.md")
    assert response.headers["content-type"] == "application/json"
    assert response.json()["text"] == text


@pytest.mark.parametrize("name", ["a.svg", "a.rtf", "a.xml", "a.md.exe", "a.doc", "a"])
def test_files_of_other_kinds_are_not_taken(client: TestClient, name: str) -> None:
    assert added(client, {name: b"text"}).status_code == 400


@pytest.mark.parametrize(
    "name", ["../../evil.md", "/etc/evil.md", "..\\..\\evil.md", "evil.md\0.md", ".evil.md"]
)
def test_a_name_leads_nowhere(client: TestClient, own_folder: Path, name: str) -> None:
    before = {path.name for path in own_folder.iterdir()}
    response = added(client, {name: b"# Text"})
    assert response.status_code in (202, 400)
    inside = {path.name for path in (HOME / "documents").rglob("*") if path.is_file()}
    assert inside <= {"evil.md", "evil.md-00.md"}
    assert {path.name for path in own_folder.iterdir()} - before <= {HOME.name}


def test_others_are_answered_while_a_file_is_read(client: TestClient) -> None:
    found: list[Any] = []
    rows = ROWS.encode() + b"".join(b"sum %d of it,%d\n" % (n, n) for n in range(8_000))
    with client:
        assert client.get("/v1/skills").status_code == 200  # the first one takes its time
        reading = threading.Thread(target=lambda: found.append(imported(client, rows)))
        reading.start()
        times = []
        while reading.is_alive():
            begun = time.monotonic()
            assert client.get("/v1/skills").status_code == 200
            times.append(time.monotonic() - begun)
        reading.join(60)
    assert found[0].status_code == 201
    assert found[0].json()["rows"] == 8_020
    assert len(times) > 3
    assert sorted(times)[len(times) // 2] < 1.0


def test_a_file_that_takes_too_long_to_read_is_a_problem() -> None:
    rows = ROWS.encode() + b"".join(b"sum %d of it,%d\n" % (n, n) for n in range(100_000))
    form = ImportForm(file=UploadFile(io.BytesIO(rows), filename="x.csv"), name="slow")
    with pytest.raises(ParserError, match="1 s of computing"):
        asyncio.run(import_upload(form, HOME, bounds=Bounds(cpu_seconds=1)))
    form.file.file.seek(0)
    with pytest.raises(ParserError, match="MB of memory"):
        asyncio.run(import_upload(form, HOME, bounds=Bounds(memory_bytes=160 << 20)))
    assert nothing_stays()


def test_a_skill_is_made_by_the_task_as_by_the_command_line(tmp_path: Path) -> None:
    file = tmp_path / "sums.csv"
    file.write_text(ROWS)
    asked: dict[str, Any] = {
        "file": str(file),
        "corpus": None,
        "home": str(tmp_path / "home"),
        "name": "sums",
        "input": "input",
        "target": "target",
        "split": None,
        "format": None,
        "split_ratio": "0.5/0.25/0.25",
        "task": None,
        "scorer": None,
        "labels": "",
        "max_labels": None,
        "limit": None,
        "seed": 0,
        "skip_bad": False,
    }
    told = uploaded.import_uploaded(asked)
    assert (told["rows"], sum(told["items"].values())) == (20, 20)


def test_markup_is_read_by_confined_parsers_alone_and_nothing_evaluates_what_it_reads() -> None:
    parsers = {"xml", "lxml", "xmltodict", "bs4", "html5lib", "pyexpat", "expatbuilder", "sgmllib"}
    loaders = {"pickle", "cPickle", "dill", "marshal", "shelve", "yaml", "joblib"}
    package = Path(rag_adapt.__file__).parent
    confined = package / "retrieval" / "parsers"  # run in a limited process; see its own tests
    for path in package.rglob("*.py"):
        allowed = {"lxml"} if path.is_relative_to(confined) else set()
        for node in ast.walk(ast.parse(path.read_text())):
            names = []
            if isinstance(node, ast.Import):
                names = [alias.name for alias in node.names]
            elif isinstance(node, ast.ImportFrom) and node.module:
                names = [node.module]
            found = {name.split(".")[0] for name in names} & (parsers | loaders)
            assert found <= allowed, f"{path.name} imports {found}"
