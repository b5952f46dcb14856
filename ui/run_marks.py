"""The drawings of charts as Vega-Lite specifications: intervals, dots, steps, lines, cells.

It does not know what is drawn. They are plain JSON: making one through Altair's classes takes
90 ms of a processor, which a page with six of them would spend at every click. The theme is the
page's own; colours of marks are such as suit light and dark.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

from ui.wording import Row

Spec = dict[str, Any]
FRAME: Final = 120
"""Pixels for the axis and for the names of colours, which stand below it."""
ROW_HEIGHT: Final = 34
"""Pixels per line of a chart that has a line for every name."""
GREY: Final = "#8a8f98"
BLUE: Final = "#2f80ed"
HEIGHT: Final = 380
"""Pixels of a chart with two scales."""
WIDE: Final = 15.0
"""Ratio of the largest to the smallest value from which on a scale is logarithmic."""


@dataclass(frozen=True, kw_only=True)
class Axis:
    """A scale of numbers and what stands beside it."""

    field: str
    title: str
    """With the unit."""
    domain: tuple[float, float] | None = None
    zero: bool = False
    log: bool = False
    whole: bool = False
    """Whether only whole numbers are meant."""

    def encoding(self) -> Spec:
        """As Vega-Lite reads it."""
        scale: Spec = {"zero": self.zero}
        if self.domain is not None:
            scale = {"domain": list(self.domain)}
        elif self.log:
            scale = {"type": "log"}
        axis: Spec = {"titlePadding": 8, "labelOverlap": True}
        if self.whole:
            axis |= {"format": "d", "tickMinStep": 1}
        return {
            **{"field": self.field, "type": "quantitative"},
            **{"title": self.title, "scale": scale, "axis": axis},
        }


def colours(
    field: str, named: Mapping[str, str] | None = None, *, columns: int | None = None
) -> Spec:
    """Colour by a field, its names below the chart; by the theme's own colours without a table.

    Args:
        field: Of the rows.
        named: Colours by value.
        columns: Names beside each other: one where they are long, for a narrow screen.
    """
    found: Spec = {
        **{"field": field, "type": "nominal", "title": None},
        "legend": {
            "orient": "bottom",
            "columns": columns or (2 if named else 3),
            "labelLimit": 220,
        },
    }
    return found if named is None else found | {"scale": _table(named)}


def intervals(
    rows: Sequence[Row], *, name: str, value: str, x: Axis, colour: Spec, zero: bool = False
) -> Spec:
    """A point and its interval (`low` to `high`) for each name; a line at zero where wanted."""
    y = _names(rows, name)
    rule = {"mark": {"type": "rule", "strokeWidth": 2.5}}
    point = {"mark": {"type": "point", "size": 85, "filled": True, "opacity": 1}}
    layers = [
        {**rule, "encoding": {"x": {**x.encoding(), "field": "low"}, "x2": {"field": "high"}}},
        {**point, "encoding": {"x": x.encoding(), "tooltip": _tips(rows)}},
    ]
    for layer in layers:
        layer["encoding"] |= {"y": y, "color": colour}  # type: ignore[operator]
    line = {
        "data": {"values": [{value: 0}]},
        "mark": {"type": "rule", "color": GREY},
        "encoding": {"x": x.encoding()},
    }
    height = ROW_HEIGHT * len(_order(rows, name)) + FRAME
    return {**_data(rows), "height": height, "layer": [*([line] if zero else []), *layers]}


def dots(rows: Sequence[Row], *, name: str, x: Axis, kind: str) -> Spec:
    """Several figures for each name on one line, told apart by colour and shape."""
    return {
        **_data(rows),
        "height": ROW_HEIGHT * len(_order(rows, name)) + FRAME,
        "mark": {"type": "point", "size": 85, "filled": True, "opacity": 1},
        "encoding": {
            "x": x.encoding(),
            "y": _names(rows, name),
            "color": colours(kind),
            "shape": {"field": kind, "type": "nominal", "title": None},
            "tooltip": _tips(rows),
        },
    }


def steps(rows: Sequence[Row], *, x: Axis, y: Axis, colour: Spec) -> Spec:
    """Shares that grow by steps, with a mark at every measured value."""
    line = {"type": "line", "interpolate": "step-after", "strokeWidth": 2}
    point = {"type": "point", "size": 30, "filled": True, "opacity": 1}
    shared = {"x": x.encoding(), "y": y.encoding(), "color": colour}
    return {
        **_data(rows),
        "height": HEIGHT,
        "encoding": shared,
        "layer": [{"mark": line}, {"mark": point, "encoding": {"tooltip": _tips(rows)}}],
    }


def curves(rows: Sequence[Row], *, x: Axis, y: Axis, colour: Spec) -> Spec:
    """Lines through points, each with its interval (`low` to `high`) where there is one."""
    point = {"type": "point", "size": 70, "filled": True, "opacity": 1}
    layers: list[Spec] = [
        {"mark": {"type": "line", "strokeWidth": 2}, "encoding": {"y": y.encoding()}},
        {"mark": point, "encoding": {"y": y.encoding(), "tooltip": _tips(rows)}},
    ]
    if any("low" in row for row in rows):
        bounds = {"y": {**y.encoding(), "field": "low"}, "y2": {"field": "high"}}
        layers.insert(0, {"mark": {"type": "rule", "opacity": 0.5}, "encoding": bounds})
    return {
        **_data(rows),
        "height": HEIGHT,
        "encoding": {"x": x.encoding(), "color": colour},
        "layer": layers,
    }


def places(rows: Sequence[Row], *, name: str, x: Axis, y: Axis, colour: Spec) -> Spec:
    """Named points in two scales; those of which `front` is true are joined by a dashed line."""
    line = {"type": "line", "interpolate": "step-after", "strokeDash": [4, 4], "color": GREY}
    point = {"type": "point", "size": 90, "filled": True, "opacity": 1}
    return {
        **_data(_with_sides(rows, x, y)),
        "height": HEIGHT,
        "encoding": {"x": x.encoding(), "y": y.encoding()},
        "layer": [
            {"transform": [{"filter": "datum.front"}], "mark": line},
            {"mark": point, "encoding": {"color": colour, "tooltip": _tips(rows)}},
            _label(name),
        ],
    }


def cells(rows: Sequence[Row], *, x: str, y: str, value: str, order: Sequence[str]) -> Spec:
    """A matrix: a stronger colour is a larger count, and the count stands in its cell."""
    across = {"field": x, "type": "nominal", "sort": list(order)}
    down = {"field": y, "type": "nominal", "sort": list(order)}
    most = max((row[value] for row in rows), default=1)
    ink = {"condition": {"test": f"datum['{value}'] > {most / 2}", "value": "white"}}
    return {
        **_data(rows),
        "height": max(160, ROW_HEIGHT * len({row[y] for row in rows}) + 80),
        "encoding": {
            "x": {**across, "axis": {"labelAngle": -40, "labelLimit": 120, "labelOverlap": False}},
            "y": {**down, "axis": {"labelLimit": 120, "labelOverlap": False}},
        },
        "layer": [
            {
                "mark": "rect",
                "encoding": {
                    "color": {
                        **{"field": value, "type": "quantitative"},
                        **{"scale": {"range": ["#dbe9fd", "#1b5fc1"]}, "legend": None},
                    },
                    "tooltip": _tips(rows),
                },
            },
            {
                "mark": {"type": "text", "fontSize": 12},
                "encoding": {
                    "text": {"field": value, "type": "quantitative"},
                    "color": {**ink, "value": "#123"},
                },
            },
        ],
    }


def is_wide(values: Sequence[float]) -> bool:
    """Whether values differ so much that only a logarithmic scale shows them all."""
    return bool(values) and min(values) > 0 and max(values) > WIDE * min(values)


def _data(rows: Sequence[Row]) -> Spec:
    return {"data": {"values": [dict(row) for row in rows]}}


def _table(named: Mapping[str, str]) -> Spec:
    return {"domain": list(named), "range": list(named.values())}


def _order(rows: Sequence[Row], name: str) -> list[Any]:
    return list(dict.fromkeys(row[name] for row in rows))


def _names(rows: Sequence[Row], name: str) -> Spec:
    axis = {"labelLimit": 170, "labelOverlap": False}
    return {
        **{"field": name, "type": "nominal", "title": None},
        **{"sort": _order(rows, name), "axis": axis},
    }


def _tips(rows: Sequence[Row]) -> list[Spec]:
    return [
        {"field": field, "type": "nominal" if isinstance(value, str) else "quantitative"}
        for field, value in (rows[0] if rows else {}).items()
        if not isinstance(value, bool)
    ]


def _label(name: str) -> Spec:
    """Names to one side of their points: two that lie close get different sides."""
    mark = {
        **{"type": "text", "color": GREY, "fontSize": 12},
        "align": {"expr": "datum.left ? 'right' : 'left'"},
        "dx": {"expr": "datum.left ? -8 : 8"},
        "dy": {"expr": "datum.below ? 11 : -9"},
    }
    return {"mark": mark, "encoding": {"text": {"field": name, "type": "nominal"}}}


def _with_sides(rows: Sequence[Row], x: Axis, y: Axis) -> list[Row]:
    """Names of points in the right half stand to their left; neighbours by turns above, below."""
    known = sorted(rows, key=lambda row: (row[x.field], row[y.field]))
    middle = known[len(known) // 2][x.field] if known else 0
    sided = [
        {**row, "left": row[x.field] > middle, "below": number % 2 == 1}
        for number, row in enumerate(known)
    ]
    return [next(one for one in sided if _is_same(one, row)) for row in rows]


def _is_same(one: Row, row: Row) -> bool:
    return all(one[field] == value for field, value in row.items())
