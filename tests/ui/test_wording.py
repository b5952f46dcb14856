"""Figures in words, tables as CSV."""

import pytest

from ui import wording


@pytest.mark.parametrize(
    ("seconds", "said"),
    [(None, "–"), (0.1234, "0.123 s"), (89, "89 s"), (600, "10 min"), (7200, "2.0 h")],
    ids=str,
)
def test_a_time_is_said_in_a_unit_that_suits_it(seconds: float | None, said: str) -> None:
    assert wording.duration(seconds) == said


def test_sizes_shares_and_differences_are_said_with_their_units() -> None:
    assert [wording.size(n) for n in (9, 1_500, 2_500_000, 3 * 10**9)] == [
        "9 B",
        "1.5 kB",
        "2.5 MB",
        "3.0 GB",
    ]
    assert wording.percent(0.125) == "12.5 %"
    assert wording.percent(None) == wording.between(None, 1) == wording.points(None) == "–"
    assert wording.between(0.1, 0.25) == "10.0 to 25.0 %"
    assert wording.points(-0.05) == "\u22125.0"
    assert wording.points_between(-0.05, 0.05) == "\u22125.0 to +5.0"
    assert wording.points_between(None, None) == "–"
    assert wording.moment(0) == "1970-01-01 00:00 UTC"


def test_a_cell_that_a_spreadsheet_would_run_is_defused() -> None:
    rows: list[wording.Row] = [{"a": "=cmd()", "b": -1.5}, {"a": 'x,"y"', "c": None}]
    assert wording.table_csv(rows).decode().splitlines() == [
        "a,b,c",
        "'=cmd(),-1.5,",
        '"x,""y""",,',
    ]
