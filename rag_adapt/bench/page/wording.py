"""Figures in words, the same on every part of the page.

It does not know which figure stands where.
"""

from rag_adapt.bench import table
from rag_adapt.bench.page.markup import Child, Html, el
from rag_adapt.bench.table import NOTHING, percent


def part(title: str, *children: Child) -> Html:
    """A titled part of a skill's section."""
    return el("section", el("h3", title), *children, class_="part")


def prose(text: str) -> str:
    """A sentence whose percent signs stay with their figures."""
    return text.replace(" %", "\u00a0%")


def points(value: float) -> str:
    """A difference in points with a true minus sign."""
    return table.points(value).replace("-", "\u2212")


def interval(low: float | None, high: float | None) -> str:
    """An interval of shares, in percent."""
    return NOTHING if low is None or high is None else f"[{percent(low)}, {percent(high)}]"


def points_interval(low: float | None, high: float | None) -> str:
    """An interval of differences, in points."""
    return NOTHING if low is None or high is None else f"[{points(low)}, {points(high)}]"


def p_value(value: float) -> str:
    """A p-value: three decimals, or the bound below which it lies."""
    return "< 0.001" if value < 0.001 else f"{value:.3f}"


def figure_text(value: float | None, digits: int = 3) -> str:
    """A figure of any scale with so many significant digits."""
    return NOTHING if value is None else f"{value:.{digits}g}"


def plural(count: int, one: str, many: str | None = None) -> str:
    """A count with its noun."""
    return f"{count:,} {one if count == 1 else many or f'{one}s'}"


def verdict(name: str) -> Html:
    """A verdict, told apart by word, sign and colour."""
    return el("span", name, class_=f"verdict {name}")
