"""The page's charts as Vega-Lite specifications, through Altair.

They do not know the page. Colours are names of its style sheet's variables, so that one drawing
serves light, dark and paper.
"""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

from rag_adapt.bench.figures import AdapterFigures, ArmReport, Pair, VerdictName
from rag_adapt.bench.page.evidence import NO_LABEL, Confusion

Row = Mapping[str, Any]
Spec = dict[str, Any]

ROW_HEIGHT: Final = 30
"""Pixels per arm."""
LEVELS: Final = 6
"""Shades of a confusion matrix."""
MAX_LABELS: Final = 100
"""Labels of a confusion matrix that is drawn; above it a table must do."""
VERDICT_COLOURS: Final[dict[VerdictName, str]] = {
    "better": "var(--better)",
    "non-inferior": "var(--held)",
    "worse": "var(--worse)",
    "undecided": "var(--undecided)",
}
CONFIG: Final[Spec] = {
    "background": "transparent",
    "font": "system-ui, -apple-system, 'Segoe UI', Roboto, sans-serif",
    "view": {"stroke": None},
    "axis": {
        "domain": False,
        "ticks": False,
        "grid": False,
        "labelColor": "var(--muted)",
        "labelFontSize": 12,
        "labelLimit": 150,
        "labelPadding": 8,
        "gridColor": "var(--line)",
        "titleColor": "var(--muted)",
        "titleFontSize": 12,
        "titleFontWeight": "normal",
        "titlePadding": 12,
    },
    "axisX": {"grid": True, "labelFlush": False, "tickCount": 6},
    "axisY": {"labelColor": "var(--text)", "labelFontSize": 13, "labelPadding": 12},
    "legend": {
        "orient": "top",
        "title": None,
        "labelColor": "var(--muted)",
        "labelFontSize": 12,
        "offset": 12,
        "symbolSize": 70,
    },
    "text": {"color": "var(--text)", "fontSize": 12},
}
"""What all charts share; handed to the drawing library once."""


@dataclass(frozen=True, kw_only=True)
class Chart:
    """One chart, what it says in words, and its data."""

    title: str
    sentence: str
    spec: Spec
    file: str
    """Name of its downloads, without ending."""
    rows: tuple[Row, ...]
    """Its data, for the download."""


def scores(arms: Sequence[ArmReport]) -> Spec:
    """Score with interval per arm; controls hollow, below the routes."""
    import altair as alt

    rows = [
        {
            "arm": arm.arm,
            "kind": "control" if arm.control else "route",
            "score": in_percent(arm.score),
            "low": in_percent(arm.ci_low),
            "high": in_percent(arm.ci_high),
            "items": arm.n,
        }
        for arm in arms
    ]
    routes = [row["arm"] for row in rows if row["kind"] == "route"]
    controls = [row["arm"] for row in rows if row["kind"] == "control"]
    order = [*routes, *([" "] if routes and controls else []), *controls]
    y = alt.Y("arm:N", title=None, scale=alt.Scale(domain=order))
    x = alt.X("low:Q", title="score %, 95 % interval", scale=alt.Scale(domain=[0, 100]))
    return sized(_intervals(rows, x, y), len(order))


def _intervals(rows: Sequence[Row], x: Any, y: Any) -> Any:
    """A point and its interval per row, hollow where its kind is `control`."""
    import altair as alt

    base = drawn_from(rows).encode(y=y, color=_kind_colour())
    bar = base.mark_rule(strokeWidth=2.5, strokeCap="round").encode(x=x, x2="high:Q")
    point = base.mark_point(size=85, strokeWidth=2, opacity=1).encode(
        x=alt.X("score:Q"), fill=_kind_fill(), tooltip=tips("arm", "score", "low", "high", "items")
    )
    return alt.layer(bar, point)


def found(rows: Sequence[Row]) -> Spec:
    """Score where the evidence was found (filled) and where it was missed (hollow)."""
    import altair as alt

    drawn = [
        {
            "arm": f"{row['arm']}, {row['evidence']}",
            "kind": "control" if row["missed"] else "route",
            "score": in_percent(row["score"]),
            "low": in_percent(row["ci_low"]),
            "high": in_percent(row["ci_high"]),
            "items": row["n"],
        }
        for row in rows
    ]
    y = alt.Y("arm:N", title=None, scale=alt.Scale(domain=[row["arm"] for row in drawn]))
    x = alt.X("low:Q", title="score %, 95 % interval", scale=alt.Scale(domain=[0, 100]))
    return sized(_intervals(drawn, x, y), len(drawn))


def differences(pairs: Sequence[Pair]) -> Spec:
    """Paired differences with intervals, coloured by verdict, around zero."""
    import altair as alt

    rows: list[Row] = [
        {
            "pair": pair_name(pair),
            "difference": in_percent(pair.delta),
            "low": in_percent(pair.ci_low),
            "high": in_percent(pair.ci_high),
            "verdict": pair.verdict,
        }
        for pair in pairs
    ]
    present = [v for v in VERDICT_COLOURS if any(row["verdict"] == v for row in rows)]
    colours = alt.Scale(domain=present, range=[VERDICT_COLOURS[v] for v in present])
    ends = [min(-5.0, *(row["low"] for row in rows)), max(5.0, *(row["high"] for row in rows))]
    x = alt.X("low:Q", title="points, 95 % interval", scale=alt.Scale(domain=ends, nice=True))
    order = [row["pair"] for row in rows]
    base = drawn_from(rows).encode(
        y=alt.Y("pair:N", title=None, scale=alt.Scale(domain=order)),
        color=alt.Color("verdict:N", scale=colours),
    )
    zero = (
        drawn_from([{"zero": 0}])
        .mark_rule(strokeWidth=1, color="var(--muted)")
        .encode(x=alt.X("zero:Q"))
    )
    bar = base.mark_rule(strokeWidth=2.5, strokeCap="round").encode(x=x, x2="high:Q")
    point = base.mark_point(size=85, filled=True, opacity=1).encode(
        x=alt.X("difference:Q"), tooltip=tips("pair", "difference", "low", "high", "verdict")
    )
    return sized(alt.layer(zero, bar, point), len(order))


def pair_name(pair: Pair) -> str:
    """What a contrast asks: whether b does better than a."""
    return f"{pair.b} over {pair.a}"


def costs(arms: Sequence[ArmReport], front: Sequence[str], unit: str) -> Spec:
    """Score against cost; the line joins the routes that no other beats in both."""
    import altair as alt

    values = [arm.cost.value for arm in arms if arm.cost is not None]
    rows: list[Row] = [
        {
            "arm": arm.arm,
            "kind": "control" if arm.control else "route",
            "cost": arm.cost.value,
            "score": in_percent(arm.score),
            "low": in_percent(arm.ci_low),
            "high": in_percent(arm.ci_high),
            "front": arm.arm in front,
            "side": "left" if _is_dear(arm.cost.value, values) else "right",
        }
        for arm in arms
        if arm.cost is not None
    ]
    x = alt.X("cost:Q", title=f"cost, {unit}", scale=_cost_scale(values), axis=_cost_axis(values))
    y = alt.Y("score:Q", title="score %", scale=alt.Scale(domain=[0, 100]), axis=gridded())
    base = drawn_from(rows).encode(x=x, y=y)
    line = (
        base.transform_filter("datum.front")
        .mark_line(interpolate="step-after", strokeWidth=1.5, strokeDash=[4, 4])
        .encode(color=alt.value("var(--accent)"))
    )
    bar = base.mark_rule(strokeWidth=1.5, opacity=0.45).encode(
        y=alt.Y("low:Q"), y2="high:Q", color=_kind_colour()
    )
    point = base.mark_point(size=95, strokeWidth=2, opacity=1).encode(
        color=_kind_colour(),
        fill=_kind_fill(),
        tooltip=tips("arm", "cost", "score", "low", "high"),
    )
    right, left = (
        base.transform_filter(f"datum.side == '{side}'")
        .mark_text(align=align, dx=shift, dy=-9)
        .encode(text="arm:N")
        for side, align, shift in (("right", "left", 10), ("left", "right", -10))
    )
    return sized(alt.layer(line, bar, point, right, left), 10)


def _is_logarithmic(values: Sequence[float]) -> bool:
    """Where costs differ thirtyfold."""
    return min(values) > 0 and max(values) / min(values) >= 30


def _is_dear(cost: float, values: Sequence[float]) -> bool:
    """Whether it stands in the right half of the chart, so that its name goes to its left."""
    if _is_logarithmic(values):
        return cost > math.sqrt(min(values) * max(values))
    return cost > max(values) / 2


def _cost_scale(values: Sequence[float]) -> Any:
    import altair as alt

    low, high = min(values), max(values)
    if _is_logarithmic(values):
        return alt.Scale(type="log", domain=[low / 1.5, high * 1.5], nice=False)
    return alt.Scale(domain=[0, high * 1.1 or 1.0], nice=False)


def _cost_axis(values: Sequence[float]) -> Any:
    """On a logarithmic scale a line at 1, 2 and 5 of each power of ten, at most eight."""
    import altair as alt

    if not _is_logarithmic(values):
        return alt.Axis()
    low, high = min(values) / 1.5, max(values) * 1.5
    powers = range(math.floor(math.log10(low)), math.ceil(math.log10(high)) + 1)
    for steps in ((1, 2, 5), (1, 3), (1,)):
        marks = [step * 10.0**power for power in powers for step in steps]
        marks = [mark for mark in marks if low <= mark <= high]
        if len(marks) <= 8:
            break
    return alt.Axis(values=marks, format="~g")


def latencies(arms: Sequence[ArmReport]) -> Spec:
    """Median and 95th percentile of an answer's time, per arm."""
    rows = [
        {"name": arm.arm, "figure": figure, "seconds": value}
        for arm in arms
        for figure, value in (("p50", arm.latency_p50), ("p95", arm.latency_p95))
        if value is not None
    ]
    return _dumbbells(rows, value="seconds", title="seconds per answer", hollow="p95")


def learning(adapters: Sequence[AdapterFigures]) -> Spec:
    """Held-out code length under the base and under each adapter."""
    rows = [
        {"name": adapter_name(adapter), "figure": figure, "bits": value}
        for adapter in adapters
        for figure, value in (
            ("after training", adapter.dev_bits_after),
            ("before", adapter.dev_bits_before),
        )
        if value is not None
    ]
    title = "held-out bits per answer token; fewer is better"
    return _dumbbells(rows, value="bits", title=title, hollow="before")


def adapter_name(adapter: AdapterFigures) -> str:
    """An adapter by what sets it apart from the others of its skill."""
    fold = "" if adapter.fold is None else f", fold {adapter.fold}"
    context = ", with context" if adapter.with_context else ""
    return f"seed {adapter.seed}{fold}{context}"


def _dumbbells(rows: Sequence[Row], *, value: str, title: str, hollow: str) -> Spec:
    """Two figures per name, joined: one filled, one hollow."""
    import altair as alt

    order = list(dict.fromkeys(row["name"] for row in rows))
    figures = list(dict.fromkeys(row["figure"] for row in rows))
    fills = ["var(--card)" if figure == hollow else "var(--accent)" for figure in figures]
    y = alt.Y("name:N", title=None, scale=alt.Scale(domain=order))
    x = alt.X(f"{value}:Q", title=title, scale=alt.Scale(zero=True))
    base = drawn_from(rows).encode(y=y, x=x)
    line = base.mark_line(strokeWidth=2, color="var(--accent)", opacity=0.5).encode(detail="name:N")
    point = base.mark_point(size=85, strokeWidth=2, opacity=1, color="var(--accent)").encode(
        fill=alt.Fill("figure:N", scale=alt.Scale(domain=figures, range=fills)),
        tooltip=tips("name", "figure", value),
    )
    return sized(alt.layer(line, point), len(order))


def confusion(found: Confusion) -> Spec:
    """Targets down, answers across; a cell is as dark as its share of the target's answers."""
    import altair as alt

    rows = confusion_rows(found)
    answers = [*found.labels, NO_LABEL]
    ramp = [f"var(--ramp-{level})" for level in range(LEVELS)]
    shade = alt.Scale(domain=list(range(LEVELS)), range=ramp)
    few = len(answers) <= 20
    across = alt.Axis(labelAngle=-45, orient="top", grid=False, labelOverlap=True, labelLimit=120)
    base = drawn_from(rows).encode(
        x=alt.X("answered:N", title="answered", scale=alt.Scale(domain=answers), axis=across),
        y=alt.Y("target:N", title="target", scale=alt.Scale(domain=list(found.labels))),
    )
    cells = base.mark_rect().encode(
        color=alt.Color("level:O", scale=shade, legend=None),
        tooltip=tips("target", "answered", "answers", "share"),
    )
    if not few:
        return sized(cells, len(found.labels), row_height=14)
    pale = base.transform_filter("datum.level < 4").mark_text().encode(text="answers:Q")
    strong = (
        base.transform_filter("datum.level >= 4")
        .mark_text(color="var(--on-ramp)")
        .encode(text="answers:Q")
    )
    return sized(alt.layer(cells, pale, strong), len(found.labels))


def confusion_rows(found: Confusion) -> tuple[Row, ...]:
    """The cells that are not empty, with each one's share of its target's answers."""
    totals: dict[str, int] = {}
    for (target, _), count in found.counts.items():
        totals[target] = totals.get(target, 0) + count
    return tuple(
        {
            "target": target,
            "answered": answered,
            "answers": count,
            "share": round(count / totals[target], 3),
            "level": min(LEVELS - 1, count * LEVELS // totals[target]),
        }
        for (target, answered), count in sorted(found.counts.items())
    )


def in_percent(value: float | None) -> float:
    """A share in percent, 0 for None."""
    return round(100.0 * (value or 0.0), 2)


def drawn_from(rows: Sequence[Row]) -> Any:
    """A chart with its data inside."""
    import altair as alt

    return alt.Chart(alt.Data(values=[dict(row) for row in rows]))


def tips(*names: str) -> list[Any]:
    """What is told of a mark that is pointed at."""
    import altair as alt

    return [alt.Tooltip(field=name, type="nominal") for name in names]


def gridded() -> Any:
    """A vertical axis of figures."""
    import altair as alt

    return alt.Axis(grid=True, labelColor="var(--muted)", labelFontSize=12, tickCount=5)


def _kind_colour() -> Any:
    import altair as alt

    colours = alt.Scale(domain=["route", "control"], range=["var(--accent)", "var(--muted)"])
    return alt.Color("kind:N", scale=colours, legend=None)


def _kind_fill() -> Any:
    import altair as alt

    fills = alt.Scale(domain=["route", "control"], range=["var(--accent)", "var(--card)"])
    return alt.Fill("kind:N", scale=fills, legend=None)


def sized(chart: Any, rows: int, *, row_height: int = ROW_HEIGHT) -> Spec:
    """The specification: as wide as its place, as high as its rows, naming no address."""
    import altair as alt

    spec: Spec = chart.properties(
        width="container",
        height=rows * row_height,
        autosize=alt.AutoSizeParams(type="fit-x", contains="padding"),
    ).to_dict()
    return {key: value for key, value in spec.items() if key not in {"$schema", "config"}}
