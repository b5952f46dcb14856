"""`rag-adapt doctor`."""

import json
from pathlib import Path

import pytest

from rag_adapt.cli.app import run

SCRIPTED = ["--engine", "scripted", "--embedder", "hashing", "--port", "0"]


def test_a_healthy_installation_exits_with_0(capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["doctor", *SCRIPTED]) == 0
    printed = capsys.readouterr().out
    assert "\nok       embedder " in printed
    assert printed.splitlines()[-1].startswith("0 fault(s), ")


def test_a_fault_exits_with_1_and_shows_its_remedy(capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["doctor", *SCRIPTED, "--embedder", "no/such"]) == 1
    lines = capsys.readouterr().out.splitlines()
    at = next(number for number, line in enumerate(lines) if line.startswith("fault"))
    assert "no/such" in lines[at]
    assert lines[at + 1].strip() == "try: rag-adapt models fetch no/such --embedder"
    assert lines[-1].startswith("1 fault(s), ")


def test_json_has_every_finding(capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["doctor", "--json", *SCRIPTED]) == 0
    found = json.loads(capsys.readouterr().out)
    assert all(set(each) == {"name", "state", "what", "remedy"} for each in found)
    assert {each["state"] for each in found} <= {"ok", "warning"}


def test_nothing_is_left_behind(own_folder: Path) -> None:
    run(["doctor", *SCRIPTED])
    assert list(own_folder.iterdir()) == []


def test_wrong_settings_stop_it_with_2(capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["doctor", "--engine", "magic"]) == 2
    assert "engine" in capsys.readouterr().err
