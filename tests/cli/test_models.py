"""`rag-adapt models`."""

import json
from pathlib import Path

import pytest

from rag_adapt.cli.app import run


def test_list_shows_both_models(
    tiny_model: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("RAG_ADAPT_MODEL", str(tiny_model))
    monkeypatch.setenv("RAG_ADAPT_EMBEDDER", "no/such")
    assert run(["models", "list"]) == 0
    shown = capsys.readouterr().out
    assert "folder" in shown
    assert "missing" in shown


def test_list_as_json_has_the_whole_hash(
    tiny_model: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("RAG_ADAPT_MODEL", str(tiny_model))
    assert run(["models", "list", "--json"]) == 0
    entries = json.loads(capsys.readouterr().out)
    assert [entry["kind"] for entry in entries] == ["language", "embedder"]
    assert len(entries[0]["weights"]) == 64


def test_show_lists_every_place(capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["models", "show", "no/such"]) == 0
    shown = capsys.readouterr().out
    for source in ("folder", "cache", "package", "hub"):
        assert source in shown
    assert "it is nowhere" in shown


def test_show_as_json_marks_the_place_that_is_used(
    tiny_model: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(["models", "show", str(tiny_model), "--embedder", "--json"]) == 0
    first = json.loads(capsys.readouterr().out)[0]
    assert first["source"] == "folder"
    assert first["found"] is True


def test_fetch_says_what_there_is(tiny_model: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["models", "fetch", str(tiny_model)]) == 0
    assert str(tiny_model) in capsys.readouterr().out


def test_fetch_without_a_connection_is_the_users_to_mend(
    capsys: pytest.CaptureFixture[str],
) -> None:
    assert run(["models", "fetch", "no/such"]) == 2
    assert "cannot be reached" in capsys.readouterr().err
