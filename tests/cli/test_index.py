"""The command `rag-adapt index`."""

import io
import json
import sqlite3
from pathlib import Path
from typing import Any

import pytest

from rag_adapt.cli.app import run
from rag_adapt.retrieval.chunkers.registry import CHUNKERS
from rag_adapt.retrieval.lock import writing
from tests.retrieval.fakes import write_corpus

SEARCH = ("index", "search", "manual", "how many litres", "--embedder", "hashing")


@pytest.fixture(autouse=True)
def source() -> Path:
    return write_corpus(Path("source"))


@pytest.fixture
def built(capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["index", "build", "manual", "source", "--embedder", "hashing"]) == 0
    capsys.readouterr()


def printed(capsys: pytest.CaptureFixture[str]) -> Any:
    return json.loads(capsys.readouterr().out)


def test_build_says_what_it_made_and_what_it_left_out(
    capsys: pytest.CaptureFixture[str], source: Path
) -> None:
    write_corpus(source, {"photo.png": "x"})
    assert run(["index", "build", "manual", "source", "--embedder", "hashing"]) == 0
    shown = capsys.readouterr()
    assert "collection manual built: 3 documents, 4 chunks (4 texts embedded)" in shown.out
    assert "photo.png" in shown.out
    assert "embedding: 4/4" in shown.err


@pytest.mark.usefixtures("built")
def test_building_again_says_that_nothing_was_to_do(capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["index", "build", "manual", "source", "--embedder", "hashing", "--json"]) == 0
    report = printed(capsys)
    assert (report["unchanged"], report["embedded"], report["failed"]) == (True, 0, [])


@pytest.mark.usefixtures("built")
def test_another_chunker_is_another_collection(capsys: pytest.CaptureFixture[str]) -> None:
    build = ["index", "build", "manual", "source", "--embedder", "hashing", "--json"]
    hashes = set()
    for name in CHUNKERS:
        assert run([*build, "--chunker", name]) == 0
        hashes.add(printed(capsys)["content_hash"])
    assert len(hashes) == len(CHUNKERS)


def test_an_unknown_chunker_is_refused(capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["index", "build", "manual", "source", "--chunker", "semantic"]) != 0
    assert "there is no chunker 'semantic'" in capsys.readouterr().err


@pytest.mark.usefixtures("built")
@pytest.mark.parametrize("mode", ["dense", "lexical", "fused"])
@pytest.mark.parametrize("backend", ["exact", "chroma"])
def test_search_prints_hits_as_json(
    capsys: pytest.CaptureFixture[str], mode: str, backend: str
) -> None:
    options = ["--k", "2", "--mode", mode, "--backend", backend, "--json"]
    assert run([*SEARCH, *options]) == 0
    found = printed(capsys)
    assert (found["collection"], found["mode"]) == ("manual", mode)
    hit = found["hits"][0]
    assert hit.keys() == {"document", "start", "end", "text", "score", "page", "last_page"}
    text = Path("source", hit["document"]).read_text()
    assert (hit["document"], text[hit["start"] : hit["end"]]) == ("filling.md", hit["text"])


@pytest.mark.usefixtures("built")
def test_search_prints_a_table_or_that_nothing_was_found(
    capsys: pytest.CaptureFixture[str],
) -> None:
    assert run([*SEARCH]) == 0
    assert "filling.md:0-" in capsys.readouterr().out
    assert run(["index", "search", "manual", "zebra", "--mode", "lexical"]) == 0
    assert capsys.readouterr().out == "nothing found\n"


@pytest.mark.usefixtures("built")
def test_check_and_list_know_a_sound_collection(capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["index", "check", "manual"]) == 0
    assert capsys.readouterr().out == "collection manual: nothing wrong\n"
    assert run(["index", "list", "--json"]) == 0
    [listed] = printed(capsys)
    assert (listed["name"], listed["state"], listed["chunks"]) == ("manual", "ready", 4)
    assert run(["index", "list"]) == 0
    assert "hashing" in capsys.readouterr().out


@pytest.mark.usefixtures("built")
def test_check_prints_what_is_wrong_and_exits_with_1(capsys: pytest.CaptureFixture[str]) -> None:
    connection = sqlite3.connect("indexes/manual/record.db")
    connection.execute("UPDATE documents SET text = 'x' WHERE path = 'warranty.txt'")
    connection.commit()
    connection.close()
    assert run(["index", "check", "manual"]) == 1
    assert "warranty.txt" in capsys.readouterr().out
    assert run(["index", "check", "manual", "--json"]) == 1
    assert printed(capsys)["findings"][0]["subject"] == "warranty.txt"


def test_an_empty_list_says_how_to_begin(capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["index", "list"]) == 0
    assert "rag-adapt index build NAME DIR" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("arguments", "problem"),
    [
        (["build", "NO", "source"], "'NO' cannot name a collection"),
        (["build", "manual", "missing"], "corpus 'missing' is not a folder"),
        (
            ["build", "manual", "source", "--chunk-tokens", "0"],
            "chunks of 0 tokens are out of range",
        ),
        (["search", "absent", "x"], "there is no collection 'absent'"),
        (["search", "manual", "x", "--mode", "odd"], "'odd' is not one of"),
        (["check", "absent"], "there is no collection 'absent'"),
    ],
)
def test_a_mistake_is_named_and_exits_with_2(
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
    arguments: list[str],
    problem: str,
) -> None:
    monkeypatch.setenv("RAG_ADAPT_EMBEDDER", "hashing")
    assert run(["index", *arguments]) == 2
    shown = capsys.readouterr()
    assert "error: " in shown.err
    assert problem in shown.err
    assert "  try: " in shown.err


@pytest.mark.usefixtures("built")
def test_a_second_writer_is_told_who_writes(
    capsys: pytest.CaptureFixture[str], source: Path
) -> None:
    with writing(Path("indexes/manual")):
        assert run(["index", "build", "manual", "source", "--embedder", "hashing"]) == 2
        assert "is held by process" in capsys.readouterr().err
        assert run([*SEARCH]) == 0


@pytest.mark.usefixtures("built")
def test_remove_deletes_a_collection_and_leaves_the_documents(
    capsys: pytest.CaptureFixture[str], source: Path
) -> None:
    assert run(["index", "remove", "manual", "--yes", "--json"]) == 0
    gone = printed(capsys)
    assert (gone["collection"], gone["vectors"]) == ("manual", 4)
    assert gone["bytes"] > 1000
    assert not Path("indexes/manual").exists()
    assert list(source.rglob("*.md"))
    assert run(["index", "remove", "manual", "--yes"]) == 2
    assert "rag-adapt index list" in capsys.readouterr().err


@pytest.mark.usefixtures("built")
def test_remove_asks_first(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    for answer, left in (("n\n", True), ("y\n", False)):
        monkeypatch.setattr("sys.stdin", io.StringIO(answer))
        assert run(["index", "remove", "manual"]) == 0
        assert Path("indexes/manual").exists() is left
    assert "removed manual: " in capsys.readouterr().out


@pytest.fixture
def questions() -> Path:
    path = Path("questions.jsonl")
    text = Path("source/filling.md").read_text()
    start = text.index("The kettle holds")
    place = {"document": "filling.md", "start": start, "end": len(text) - 1}
    path.write_text(json.dumps({"question": "how many litres", "references": [place]}))
    return path


EVAL = ("index", "eval", "manual", "--embedder", "hashing", "--questions", "questions.jsonl")


@pytest.mark.usefixtures("built", "questions")
def test_eval_measures_every_mode_and_pair(capsys: pytest.CaptureFixture[str]) -> None:
    assert run([*EVAL, "--k", "2", "--json"]) == 0
    found = printed(capsys)
    assert (found["collection"], found["k"], found["questions"]) == ("manual", 2, 1)
    assert [each["name"] for each in found["measured"]] == ["dense", "lexical", "fused"]
    assert found["measured"][1]["metrics"]["token_recall"]["value"] == 1.0
    assert [(each["a"], each["b"]) for each in found["differences"]] == [
        ("dense", "lexical"),
        ("dense", "fused"),
        ("lexical", "fused"),
    ]


@pytest.mark.usefixtures("built", "questions")
def test_eval_prints_tables(capsys: pytest.CaptureFixture[str]) -> None:
    options = ["--mode", "lexical", "--mode", "fused", "--budget-tokens", "30"]
    assert run([*EVAL, *options, "--lexical-weight", "2"]) == 0
    shown = capsys.readouterr().out
    assert "paired differences" in shown
    assert "nDCG" in shown


@pytest.mark.usefixtures("built")
def test_eval_names_the_line_of_a_question_that_is_wrong(
    capsys: pytest.CaptureFixture[str], questions: Path
) -> None:
    questions.write_text('\n{"question": 1}')
    assert run([*EVAL, "--mode", "lexical"]) == 2
    assert "questions.jsonl:2: question: Input should be a valid string" in capsys.readouterr().err


@pytest.mark.usefixtures("built")
def test_search_keeps_to_a_budget(capsys: pytest.CaptureFixture[str]) -> None:
    assert run([*SEARCH, "--budget-tokens", "20", "--json"]) == 0
    everything = printed(capsys)["hits"]
    assert run([*SEARCH, "--budget-tokens", "8", "--lexical-weight", "0", "--json"]) == 0
    hits = printed(capsys)["hits"]
    assert len(hits) < len(everything)


@pytest.mark.usefixtures("built")
def test_weights_that_order_nothing_are_refused(capsys: pytest.CaptureFixture[str]) -> None:
    assert run([*SEARCH, "--dense-weight", "0", "--lexical-weight", "0"]) == 2
    assert "rankings cannot be joined" in capsys.readouterr().err


@pytest.mark.usefixtures("built")
def test_search_keeps_to_some_documents(capsys: pytest.CaptureFixture[str]) -> None:
    only = ["--only", "care/*", "--diversity", "0.2"]
    assert run([*SEARCH, *only, "--k", "9", "--json"]) == 0
    assert {hit["document"] for hit in printed(capsys)["hits"]} == {"care/cleaning.md"}


@pytest.mark.usefixtures("built")
def test_a_folder_without_a_reranker_is_refused(capsys: pytest.CaptureFixture[str]) -> None:
    assert run([*SEARCH, "--reranker", "source"]) == 2
    assert "cannot be loaded as a cross-encoder" in capsys.readouterr().err
