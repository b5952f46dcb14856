"""The dose curve on the page: score by number of examples, one line per channel.

It does not know how the figures were obtained.
"""

from collections.abc import Sequence
from itertools import combinations
from typing import Final

from rag_adapt.bench.curve import EXPLORATORY
from rag_adapt.bench.dose_figures import Channel, DoseReport
from rag_adapt.bench.doses import CHANNELS
from rag_adapt.bench.page.charts import (
    Chart,
    Row,
    Spec,
    drawn_from,
    gridded,
    in_percent,
    sized,
    tips,
)
from rag_adapt.bench.page.figure import figure
from rag_adapt.bench.page.markup import Child, Html, el, number_columns, table, text_columns
from rag_adapt.bench.page.subject import Subject
from rag_adapt.bench.page.wording import figure_text, interval, part, points, points_interval
from rag_adapt.bench.table import NOTHING, percent

COLOURS: Final[dict[Channel, str]] = {
    "few-shot": "var(--channel-1)",
    "few-shot-nearest": "var(--channel-2)",
    "lora": "var(--channel-3)",
}
SHAPES: Final[dict[Channel, str]] = {
    "few-shot": "circle",
    "few-shot-nearest": "square",
    "lora": "triangle-up",
}
"""Beside the colour, for those who cannot tell colours apart."""
APART: Final = 0.06
"""Share by which channels stand beside each other, so that intervals do not cover each other."""
HEIGHT: Final = 10
"""In rows of a chart."""


def curve(subject: Subject) -> Html | None:
    """Score by number of examples, with intervals, and where channels cross."""
    if not subject.doses:
        return None
    scored = [dose for dose in subject.doses if dose.measured]
    crossed = [el("li", one.sentence) for one in subject.crossovers]
    return part(
        "Dose curve",
        _chart(subject, scored) if scored else None,
        el("p", f"{EXPLORATORY.capitalize()}.", class_="quiet"),
        el("ul", *crossed) if crossed else None,
        _scores(subject.doses),
        _differences(subject),
        _left_out(subject.doses),
    )


def _chart(subject: Subject, scored: Sequence[DoseReport]) -> Html:
    kept = {"channel", "examples", "score", "ci_low", "ci_high", "n", "failures", "adapter"}
    chart = Chart(
        title="Score by number of examples",
        sentence=(
            "Score with its 95 % interval after the first so many examples of one seeded order, on "
            "a logarithmic scale; marks stand a little apart so that intervals can be told apart."
        ),
        spec=learning_curve(scored),
        file=f"{subject.file}-doses",
        rows=tuple(dose.model_dump(include=kept) for dose in scored),
    )
    return figure(chart)


def learning_curve(doses: Sequence[DoseReport]) -> Spec:
    """One line per channel over the number of examples; the drawn sizes are the axis's marks."""
    import altair as alt

    rows: list[Row] = [
        {
            "channel": dose.channel,
            "examples": dose.examples,
            "place": dose.examples * (1 + APART) ** (CHANNELS.index(dose.channel) - 1),
            "score": in_percent(dose.score),
            "low": in_percent(dose.ci_low),
            "high": in_percent(dose.ci_high),
            "items": dose.n,
        }
        for dose in doses
    ]
    sizes = sorted({dose.examples for dose in doses})
    present = [channel for channel in CHANNELS if any(d.channel == channel for d in doses)]
    x = alt.X(
        "place:Q",
        title="training examples",
        scale=alt.Scale(type="log", domain=[sizes[0] / 1.25, sizes[-1] * 1.25], nice=False),
        axis=alt.Axis(values=sizes, format="~d"),
    )
    y = alt.Y("score:Q", title="score %", scale=alt.Scale(domain=[0, 100]), axis=gridded())
    colours = alt.Scale(domain=present, range=[COLOURS[channel] for channel in present])
    shapes = alt.Scale(domain=present, range=[SHAPES[channel] for channel in present])
    base = drawn_from(rows).encode(x=x, y=y, color=alt.Color("channel:N", scale=colours))
    line = base.mark_line(strokeWidth=1.5, opacity=0.6)
    bar = base.mark_rule(strokeWidth=2, strokeCap="round", opacity=0.55).encode(
        y=alt.Y("low:Q"), y2="high:Q"
    )
    point = base.mark_point(size=85, filled=True, opacity=1).encode(
        shape=alt.Shape("channel:N", scale=shapes),
        tooltip=tips("channel", "examples", "score", "low", "high", "items"),
    )
    return sized(alt.layer(line, bar, point), HEIGHT)


def _scores(doses: Sequence[DoseReport]) -> Html:
    columns = (
        *text_columns("channel"),
        *number_columns("examples", "score %", "95 %", "n", "failed", "seconds per answer"),
        *text_columns("adapter"),
    )
    rows: list[tuple[Child, ...]] = [
        (
            dose.channel,
            f"{dose.examples:,}",
            percent(dose.score),
            interval(dose.ci_low, dose.ci_high),
            dose.n,
            dose.failures,
            NOTHING if dose.cost is None else figure_text(dose.cost),
            el("code", dose.adapter) if dose.adapter else NOTHING,
        )
        for dose in doses
        if dose.measured
    ]
    return table("Scores by number of examples", columns, rows)


def _differences(subject: Subject) -> Html | None:
    columns = (
        *text_columns("difference"),
        *number_columns("examples", "points", "95 %", "n"),
    )
    found = {(one.a, one.b): one.differences for one in subject.crossovers}
    rows: list[tuple[Child, ...]] = [
        (
            f"{b} over {a}",
            f"{one.examples:,}",
            points(one.delta),
            points_interval(one.ci_low, one.ci_high),
            one.n,
        )
        for a, b in combinations(CHANNELS, 2)
        for one in found.get((a, b), ())
    ]
    return table("Differences after the same examples; not tested", columns, rows) if rows else None


def _left_out(doses: Sequence[DoseReport]) -> Html | None:
    lines = [el("li", el("strong", d.arm), f": {d.reason}") for d in doses if not d.measured]
    return el("ul", *lines, class_="quiet") if lines else None
