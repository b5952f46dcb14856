"""`rag-adapt skills`: what is printed, and how mistakes end."""

import json
from pathlib import Path

import pytest

from rag_adapt.cli.app import run
from tests.skills.folders import HEAD, changed, skill_folder

ROWS = "".join(f"text {n},{'red' if n % 2 else 'blue'}\n" for n in range(20))


@pytest.fixture
def rows(tmp_path: Path) -> str:
    path = tmp_path / "rows.csv"
    path.write_text(f"text,label\n{ROWS}")
    return str(path)


def imported(rows: str, *flags: str) -> int:
    columns = ["--input", "text", "--target", "label"]
    return run(["skills", "import", rows, "--name", "made", *columns, *flags])


def test_import_list_and_check_work_together(rows: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert imported(rows) == 0
    told = capsys.readouterr().out
    assert "imported 20 of 20 rows (csv) as 'made': train 12, dev 4, test 4" in told
    assert "rag-adapt skills check made" in told

    assert run(["skills", "list"]) == 0
    assert "made" in capsys.readouterr().out

    assert run(["skills", "check", "made"]) == 0
    told = capsys.readouterr().out
    assert "classification, scored by label" in told
    assert "warning: test has 4 clusters" in told


def test_the_list_as_json_tells_sizes_and_faults(
    rows: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    imported(rows)
    skill_folder(tmp_path / ".rag-adapt" / "skills", head={**HEAD, "max_tokens": 0})
    capsys.readouterr()

    assert run(["skills", "list", "--json"]) == 0

    listed = {entry["name"]: entry for entry in json.loads(capsys.readouterr().out)}
    assert (listed["made"]["train"], listed["made"]["test"]) == (12, 4)
    assert listed["orders"]["origin"] == "bundled"
    assert listed["colours"]["fault"].startswith("skill.toml:7: max_tokens")
    assert run(["skills", "list"]) == 0
    assert "faulty" in capsys.readouterr().out


def test_the_check_as_json_holds_splits_and_near_duplicates(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    folder = skill_folder(tmp_path, lines=changed(3, input="Sea!"))

    assert run(["skills", "check", str(folder), "--json"]) == 0

    told = json.loads(capsys.readouterr().out)
    assert [split["items"] for split in told["splits"]] == [2, 1, 1]
    assert told["near_duplicates"] == [{"left": "d", "right": "b", "similarity": 1.0}]


def test_many_near_duplicates_are_counted_and_the_first_shown(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    lines = [
        {"id": f"{s}{n}", "input": "same", "targets": ["red"], "split": s, "cluster": f"{s}{n}"}
        for s in ("train", "test")
        for n in range(4)
    ]

    assert run(["skills", "check", str(skill_folder(tmp_path, lines=lines))]) == 0

    told = capsys.readouterr().out
    assert told.count(" ~ ") == 10
    assert "... and 6 more pairs" in told


def test_every_fault_of_a_broken_skill_is_printed_and_the_exit_code_is_2(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    lines = [{"id": str(n)} for n in range(10)]
    folder = skill_folder(tmp_path, lines=lines)

    assert run(["skills", "check", str(folder)]) == 2

    told = capsys.readouterr()
    assert told.out.count("Field required") == 40
    assert "has 40 faults:" in told.err
    assert "... and 20 more" in told.err


def test_bad_lines_end_with_2_and_are_listed_when_skipped(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = tmp_path / "rows.csv"
    path.write_text(f"text,label\nbad,\n{ROWS}")

    assert imported(str(path)) == 2
    assert "rows.csv:2: 'label' is empty" in capsys.readouterr().err
    assert imported(str(path), "--skip-bad") == 0
    assert "left out rows.csv:2: 'label' is empty" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("flags", "message"),
    [
        (["--split-ratio", "1/2"], "--split-ratio '1/2' is not three shares"),
        (["--scorer", "vibes"], "--scorer"),
        (["--format", "xml"], "--format"),
        (["--limit", "0"], "--limit"),
        (["--labels", "green"], "'green'"),
        (["--corpus", "nowhere"], "'nowhere'"),
    ],
)
def test_a_wrong_flag_is_named_with_exit_code_2(
    rows: str, flags: list[str], message: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert imported(rows, *flags) == 2

    told = capsys.readouterr().err
    assert message in told
    assert "  try: " in told


def test_notes_of_an_import_are_printed(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = tmp_path / "rows.csv"
    path.write_text(f"text,label\n{ROWS}TEXT 1,red\n")

    assert imported(str(path), "--max-labels", "2", "--limit", "21") == 0

    assert "note: 2 rows share a cluster" in capsys.readouterr().out


def test_a_new_skill_passes_its_check(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["skills", "new", "fresh"]) == 0
    assert run(["skills", "new", "fresh", "--in", str(tmp_path)]) == 0
    assert run(["skills", "check", "fresh"]) == 0
    assert run(["skills", "check", str(tmp_path / "fresh")]) == 0
    assert run(["skills", "new", "fresh"]) == 2
    assert "there is a skill 'fresh' already" in capsys.readouterr().err


def test_an_unknown_skill_is_named(capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["skills", "check", "nosuch"]) == 2
    assert "there is no skill 'nosuch'; known: " in capsys.readouterr().err
