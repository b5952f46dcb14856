"""`rag-adapt runs`: the page again, two runs compared, and reports of another schema."""

import json
from pathlib import Path

import pytest

from rag_adapt.bench.figures import Report
from rag_adapt.bench.store import REPORT, AnswerRow, RunWriter, open_run
from rag_adapt.cli.app import run
from tests.bench.page_samples import report
from tests.samples import row

Captured = pytest.CaptureFixture[str]


def keep(name: str, found: Report | None, rows: list[AnswerRow], weights: str = "aaaa") -> Path:
    """A run in the home of the test."""
    folder = open_run(
        Path(".rag-adapt/runs"),
        Path(".rag-adapt/runs") / name,
        plan_hash=name,
        command="rag-adapt bench orders",
        plan={"skills": {"orders": "1111", "colours": "2222"}, "arms": ["prompt", "rag"]},
        fingerprint={"weights": weights},
    )
    with RunWriter(folder) as writer:
        for one in rows:
            writer.append(one)
        if found is not None:
            writer.finish(found.model_dump(mode="json"))
    return folder.path


@pytest.fixture
def kept(own_folder: Path) -> Path:
    found, rows = report(["orders"], n=12)
    return keep("20260101-one", found, rows)


def test_the_page_is_written_into_the_runs_folder(kept: Path, capsys: Captured) -> None:
    assert run(["runs", "page", "last"]) == 0
    page = kept / "report.html"
    assert "Use rag+lora" in page.read_text()
    assert str(page) in capsys.readouterr().out


def test_the_page_is_written_where_it_is_asked_for(kept: Path, own_folder: Path) -> None:
    assert run(["runs", "page", "20260101-one", "--out", "mine.html"]) == 0
    assert (own_folder / "mine.html").read_text().startswith("<!doctype html>")
    assert not (kept / "report.html").exists()


def test_a_report_is_shown_as_tables(kept: Path, capsys: Captured) -> None:
    assert run(["runs", "show"]) == 0
    assert "rag+lora" in capsys.readouterr().out


@pytest.mark.parametrize("command", [["show"], ["show", "--markdown"], ["page"]], ids=" ".join)
def test_a_report_of_another_schema_is_refused_with_a_remedy(
    kept: Path, command: list[str], capsys: Captured
) -> None:
    old = json.loads((kept / REPORT).read_text()) | {"schema_version": "1.0"}
    (kept / REPORT).write_text(json.dumps(old))
    assert run(["runs", command[0], "last", *command[1:]]) == 2
    shown = capsys.readouterr().err
    assert "written under schema '1.0'" in shown
    assert "--json" in shown
    assert "rag-adapt bench orders" in shown
    assert run(["runs", "show", "--json"]) == 0
    assert json.loads(capsys.readouterr().out) == old


def test_a_damaged_report_names_the_place(kept: Path, capsys: Captured) -> None:
    odd = json.loads((kept / REPORT).read_text())
    odd["arms"][0]["n"] = "many"
    (kept / REPORT).write_text(json.dumps(odd))
    assert run(["runs", "show"]) == 2
    assert "damaged at 'arms.0.n'" in capsys.readouterr().err


def test_an_unfinished_run_has_no_page(own_folder: Path, capsys: Captured) -> None:
    keep("20260101-half", None, [row(1)])
    assert run(["runs", "page"]) == 2
    assert "not finished" in capsys.readouterr().err


def test_two_runs_are_compared_in_tables(own_folder: Path, capsys: Captured) -> None:
    before = [row(n, score=0.0) for n in range(14)] + [row(1, arm="bare")]
    keep("20260101-a", None, before)
    keep("20260102-b", None, [row(n, score=float(n > 0)) for n in range(14)])
    assert run(["runs", "compare", "20260101", "last"]) == 0
    shown = capsys.readouterr().out
    assert "Comparable: the same skills and model." in shown
    assert "13 fixed, 0 broken" in shown
    assert "prompt fixed: i1, i10" in shown
    assert "and 3 more (see --json)" in shown
    assert "+92.9 [" in shown
    assert "what differs" not in shown


def test_runs_that_are_not_comparable_say_so_and_are_shown(
    own_folder: Path, capsys: Captured
) -> None:
    keep("20260101-a", None, [row(1)])
    keep("20260102-b", None, [row(1)], weights="bbbb")
    assert run(["runs", "compare", "20260101", "20260102"]) == 0
    shown = capsys.readouterr().out
    assert "NOT comparable" in shown
    assert "model.weights differs: aaaa in a, bbbb in b" in shown
    assert "100.0 [" in shown
    assert "what differs" in shown


def test_a_comparison_is_json_when_asked(own_folder: Path, capsys: Captured) -> None:
    keep("20260101-a", None, [row(1)])
    keep("20260102-b", None, [row(1)])
    assert run(["runs", "compare", "20260101-a", "20260102-b", "--json"]) == 0
    found = json.loads(capsys.readouterr().out)
    assert (found["a"], found["b"]) == ("20260101-a", "20260102-b")
    assert found["arms"][0]["change"]["n"] == 1


def test_list_and_export_read_past_runs(kept: Path, own_folder: Path, capsys: Captured) -> None:
    assert run(["runs", "list"]) == 0
    assert "20260101-one" in capsys.readouterr().out
    assert run(["runs", "list", "--json"]) == 0
    assert json.loads(capsys.readouterr().out)[0]["state"] == "complete"
    assert run(["runs", "export", "--out", "answers.csv"]) == 0
    assert "72 answers written" in capsys.readouterr().out
    assert run(["runs", "export"]) == 0
    assert capsys.readouterr().out.startswith("skill,arm,item")
