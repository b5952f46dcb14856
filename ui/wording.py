"""Figures in words, foreign words as text, and tables as CSV.

It does not know which figure stands where.
"""

import csv
import io
import re
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from typing import Any, Final

Row = Mapping[str, Any]
NOTHING: Final = "–"
"""A figure that was not measured."""
_FORMULA: Final = re.compile(r"^[=+\-@\t\r]")


def percent(value: float | None) -> str:
    """A share in percent."""
    return NOTHING if value is None else f"{100 * value:.1f} %"


def points(value: float | None) -> str:
    """A difference of shares, in points with its sign."""
    return NOTHING if value is None else f"{100 * value:+.1f}".replace("-", "\u2212")


def between(low: float | None, high: float | None) -> str:
    """An interval of shares, in percent."""
    if low is None or high is None:
        return NOTHING
    return f"{100 * low:.1f} to {100 * high:.1f} %"


def points_between(low: float | None, high: float | None) -> str:
    """An interval of differences, in points."""
    return NOTHING if low is None or high is None else f"{points(low)} to {points(high)}"


def duration(seconds: float | None) -> str:
    """A time as somebody would say it."""
    if seconds is None:
        return NOTHING
    if seconds < 90:
        return f"{seconds:.3g} s"
    if seconds < 5400:
        return f"{seconds / 60:.0f} min"
    return f"{seconds / 3600:.1f} h"


def moment(seconds: float) -> str:
    """Seconds since 1970 as a date and a time, UTC."""
    return datetime.fromtimestamp(seconds, UTC).strftime("%Y-%m-%d %H:%M UTC")


def day(text: str) -> str:
    """An ISO 8601 time without its seconds."""
    return text[:16].replace("T", " ")


def size(count: int) -> str:
    """Bytes in a unit that suits them."""
    for unit, step in (("GB", 10**9), ("MB", 10**6), ("kB", 10**3)):
        if count >= step:
            return f"{count / step:.1f} {unit}"
    return f"{count} B"


def plural(count: int, one: str, many: str | None = None) -> str:
    """A count with its noun."""
    return f"{count:,} {one if count == 1 else many or f'{one}s'}"


def table_csv(rows: Sequence[Row]) -> bytes:
    """Rows as CSV; a cell that a spreadsheet would run as a formula is defused."""
    names = list(dict.fromkeys(name for row in rows for name in row))
    file = io.StringIO()
    out = csv.writer(file)
    out.writerow([_cell(name) for name in names])
    out.writerows([_cell(row.get(name)) for name in names] for row in rows)
    return file.getvalue().encode()


def _cell(value: object) -> object:
    return f"'{value}" if isinstance(value, str) and _FORMULA.match(value) else value
