"""`rag-adapt index check` and `rebuild`, as typed."""

import io
import json
import sqlite3
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

from rag_adapt.cli.app import run
from rag_adapt.retrieval.remembered import VECTORS
from tests.retrieval.fakes import write_corpus
from tests.serving.quoted import quoted_by

BUILD = ["index", "build", "manual", "source", "--embedder", "hashing"]


@pytest.fixture(autouse=True)
def built(capsys: pytest.CaptureFixture[str]) -> None:
    write_corpus(Path("source"))
    assert run(BUILD) == 0
    capsys.readouterr()


def damaged(statement: str) -> None:
    with closing(sqlite3.connect("indexes/manual/record.db")) as connection:
        connection.execute(statement)
        connection.commit()


def printed(capsys: pytest.CaptureFixture[str]) -> Any:
    return json.loads(capsys.readouterr().out)


def test_a_rebuild_mends_what_a_check_finds(capsys: pytest.CaptureFixture[str]) -> None:
    damaged("INSERT INTO lexical(lexical) VALUES ('delete-all')")
    assert run(["index", "check", "manual"]) == 1
    assert "rag-adapt index rebuild manual" in capsys.readouterr().out
    assert run(["index", "rebuild", "manual"]) == 0
    assert capsys.readouterr().out == (
        "rebuilt manual: words of 4 chunks, 0 vectors found again, 0 dropped, 0 forgotten\n"
    )
    assert run(["index", "check", "manual", "--embedder", "hashing"]) == 0
    assert "nothing wrong" in capsys.readouterr().out


def test_what_nobody_remembers_is_left_and_said(
    capsys: pytest.CaptureFixture[str],
) -> None:
    damaged("DELETE FROM embeddings")
    Path(".rag-adapt", VECTORS).unlink(missing_ok=True)
    assert run(["index", "rebuild", "manual", "--json"]) == 1
    rebuilt = printed(capsys)
    assert rebuilt["vectors"] == 0
    assert "rag-adapt index build manual DIR" in rebuilt["left"][0]["remedy"]
    assert run(["index", "rebuild", "manual"]) == 1
    assert "it has no vector" in capsys.readouterr().out
    assert run(BUILD) == 0
    assert run(["index", "rebuild", "manual", "--json"]) == 0


def test_there_is_nothing_to_mend_where_nothing_is(capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["index", "rebuild", "absent"]) == 2
    assert "there is no collection 'absent'" in capsys.readouterr().err


def test_questions_are_kept_shown_and_forgotten(capsys: pytest.CaptureFixture[str]) -> None:
    log = ["index", "log", "manual"]
    assert run(log) == 0
    assert "rag-adapt index log manual --on" in capsys.readouterr().out
    assert run([*log, "--on"]) == 0
    assert run(["index", "search", "manual", "how much water", "--mode", "lexical"]) == 0
    capsys.readouterr()
    assert run(log) == 0
    assert "how much water" in capsys.readouterr().out
    assert run([*log, "--json"]) == 0
    assert printed(capsys)["queries"][0]["mode"] == "lexical"
    assert run([*log, "--off"]) == 0
    assert "not kept" in capsys.readouterr().out
    assert run([*log, "--json"]) == 0
    assert printed(capsys)["queries"] == []


def test_removing_names_what_still_quotes_it_with_the_commands_that_delete_it(
    capsys: pytest.CaptureFixture[str],
) -> None:
    home = Path(".rag-adapt")
    run_folder = home / "runs" / "2026-x"
    quoted_by(home, "manual", skill="manual")
    assert run(["index", "remove", "manual", "--yes"]) == 0
    said = capsys.readouterr().out
    assert "1 run(s) still quote it: 2026-x" in said
    assert f"rm -r {Path.cwd() / run_folder}" in said or f"rm -r {run_folder}" in said
    assert "1 trace(s) and 0 conversation(s) of the service still quote it" in said
    command = ["traces", "remove", "--collection", "manual"]
    assert f"rag-adapt {' '.join(command)}" in said
    assert run([*command, "--yes"]) == 0
    assert "removed 1 trace(s)" in capsys.readouterr().out
    assert run([*command, "--yes", "--json"]) == 0
    assert printed(capsys) == {"collection": "manual", "traces": 0, "conversations": 0}
    assert run(["traces", "remove", "--collection", "../x", "--yes"]) == 2
    assert "cannot name a collection" in capsys.readouterr().err


def test_traces_stay_where_nobody_says_yes(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("sys.stdin", io.StringIO("n\n"))
    assert run(["traces", "remove", "--collection", "manual"]) == 0
    assert "kept them" in capsys.readouterr().out
