"""`--progress-json` tells a program how far a command is, and how it ended."""

import json
from pathlib import Path

import pytest

from rag_adapt.cli.app import main
from rag_adapt.cli.console import JsonLines, bars, progress_for_programs
from tests.samples import write_skill


def lines(printed: str) -> list[dict[str, object]]:
    return [json.loads(line) for line in printed.splitlines()]


def test_a_command_writes_its_progress_and_its_exit_code(
    own_folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    write_skill(own_folder / "colours", test=20)
    scripted = ["--engine", "scripted", "--embedder", "hashing", "--arms", "prompt,bare"]
    with pytest.raises(SystemExit) as ended:
        main(["--progress-json", "bench", str(own_folder / "colours"), *scripted])
    assert ended.value.code == 0
    *progress, last = lines(capsys.readouterr().err)
    assert last == {"exit": 0}
    assert progress
    assert {tuple(line) for line in progress} == {("stage", "done", "total", "note")}


def test_a_mistake_ends_with_its_exit_code(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as ended:
        main(["--progress-json", "runs", "show", "nosuch"])
    assert ended.value.code == 2
    assert json.loads(capsys.readouterr().err.splitlines()[-1]) == {"exit": 2}


def test_without_the_option_nothing_of_it_is_printed(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        main(["--progress-json", "skills", "check", "orders"])
    capsys.readouterr()
    with pytest.raises(SystemExit):
        main(["skills", "check", "orders"])
    assert "exit" not in capsys.readouterr().err


def test_bars_become_lines_also_on_a_terminal(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("FORCE_COLOR", "1")
    progress_for_programs(True)
    with bars() as progress:
        progress.update("work", 1, 1, "done")
    progress_for_programs(False)
    expected = {"stage": "work", "done": 1, "total": 1, "note": "done"}
    assert lines(capsys.readouterr().err) == [expected]


def test_a_stage_writes_ten_lines_a_second_and_always_its_last(
    capsys: pytest.CaptureFixture[str],
) -> None:
    now = [0.0]
    progress = JsonLines(clock=lambda: now[0])
    for done in range(1, 1001):
        now[0] += 0.001
        progress.update("work", done, 1000)
    written = lines(capsys.readouterr().err)
    assert 9 <= len(written) <= 12
    assert written[0]["done"] == 1
    assert written[-1]["done"] == 1000
