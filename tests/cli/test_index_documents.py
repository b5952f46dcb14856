"""The commands `rag-adapt index sync` and `index show`."""

import json
from pathlib import Path
from typing import Any

import pytest

from rag_adapt.cli.app import run
from tests.retrieval.fakes import write_corpus
from tests.retrieval.made import pdf

HASHING = ("--embedder", "hashing")


@pytest.fixture(autouse=True)
def source(capsys: pytest.CaptureFixture[str]) -> Path:
    source = write_corpus(Path("source"))
    write_corpus(source, {"guide.pdf": pdf([["Cover."], ["The spout is blue."]]), "bad.md": b"\0"})
    assert run(["index", "build", "manual", "source", *HASHING]) == 0
    capsys.readouterr()
    return source


def printed(capsys: pytest.CaptureFixture[str]) -> Any:
    return json.loads(capsys.readouterr().out)


def test_sync_follows_the_folder(capsys: pytest.CaptureFixture[str], source: Path) -> None:
    write_corpus(source, {"new.md": "A zebra.\u200b", "bad.md": "Mended."})
    (source / "warranty.txt").unlink()
    assert run(["index", "sync", "manual", "source", *HASHING, "--json"]) == 0
    report = printed(capsys)
    assert (report["parsed"], report["removed"], report["failed"]) == (2, 1, [])
    assert report["notes"]["new.md"] == ["1 invisible characters removed: U+200B x1"]
    assert run(["index", "sync", "manual", "source", *HASHING]) == 0
    shown = capsys.readouterr().out
    assert "collection manual is up to date: 5 documents" in shown
    assert "U+200B" in shown


def test_show_says_how_far_every_document_is(capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["index", "show", "manual", "--json"]) == 0
    found = {each["path"]: each for each in printed(capsys)["documents"]}
    assert (found["guide.pdf"]["state"], found["guide.pdf"]["pages"]) == ("indexed", 2)
    assert found["bad.md"]["reason"] == "binary: it holds a NUL character"
    assert run(["index", "show", "manual"]) == 0
    assert "collection manual: 1 failed, 4 indexed" in capsys.readouterr().out
    assert run(["index", "show", "manual", "--state", "failed", "--json"]) == 0
    assert [each["path"] for each in printed(capsys)["documents"]] == ["bad.md"]


def test_a_hit_says_its_page(capsys: pytest.CaptureFixture[str]) -> None:
    asked = ["index", "search", "manual", "spout blue", "--mode", "lexical", "--k", "1"]
    assert run([*asked, "--json"]) == 0
    hit = printed(capsys)["hits"][0]
    assert (hit["page"], hit["last_page"]) == (1, 2)  # it begins on the cover
    assert run(asked) == 0
    assert "(pages 1-2)" in capsys.readouterr().out


@pytest.mark.parametrize("command", [["sync", "absent", "source"], ["show", "absent"]])
def test_what_is_not_there_is_named(capsys: pytest.CaptureFixture[str], command: list[str]) -> None:
    flags = list(HASHING) if command[0] == "sync" else []
    assert run(["index", *command, *flags]) == 2
    assert "there is no collection 'absent'" in capsys.readouterr().err
