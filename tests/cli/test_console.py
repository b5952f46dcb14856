"""What commands print."""

import pytest

from rag_adapt.cli.console import bars, print_table


def test_cells_are_shown_as_text_not_as_markup(capsys: pytest.CaptureFixture[str]) -> None:
    print_table(("a", "b"), [("[bold]x[/bold]", "y")], title="[red]t")
    printed = capsys.readouterr().out
    assert "[bold]x[/bold]" in printed
    assert "[red]t" in printed


def test_progress_without_a_terminal_is_a_line_per_tenth(
    capsys: pytest.CaptureFixture[str],
) -> None:
    with bars() as progress:
        for done in range(101):
            progress.update("work", done, 100, "note")
    lines = [line for line in capsys.readouterr().err.splitlines() if line.startswith("work:")]
    assert len(lines) == 11
    assert lines[-1] == "work: 100/100 note"


def test_progress_on_a_terminal_is_a_bar(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("FORCE_COLOR", "1")
    monkeypatch.setenv("TERM", "xterm")
    with bars() as progress:
        progress.update("work", 1, 2)
        progress.update("work", 2, 2)
        assert [task.completed for task in progress.progress.tasks] == [2]
    assert "work" in capsys.readouterr().err
