"""The charts of a run's report, each with its title, its sentence and its data.

They do not know the page. The theme is the page's own, so colours of marks suit light and dark.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, Final

from rag_adapt.schemas.records import Report
from ui.wording import Row

ROUTE: Final = "#2f80ed"
CONTROL: Final = "#8a8f98"
VERDICTS: Final = {
    "better": "#1f9d55",
    "non-inferior": "#0e9aa7",
    "worse": "#d64545",
    "undecided": "#8a8f98",
}
ROW_HEIGHT: Final = 34
"""Pixels per arm or contrast."""


@dataclass(frozen=True, kw_only=True)
class Chart:
    """One chart and what stands around it."""

    title: str
    sentence: str
    """How to read it."""
    drawing: Any
    """An Altair chart."""
    rows: Sequence[Row]
    """Its data, in the units that it shows."""
    file: str
    """Name of the data's download."""


def charts(report: Report, skill: str) -> list[Chart]:
    """Those charts that this run has figures for."""
    makers: Sequence[Callable[[Report, str], Chart | None]] = (
        scores,
        differences,
        costs,
        latencies,
        retrieval,
        learning,
    )
    return [chart for make in makers if (chart := make(report, skill)) is not None]


def scores(report: Report, skill: str) -> Chart | None:
    """Score with interval per arm."""
    rows = [
        {
            "arm": arm.arm,
            "kind": "control" if arm.control else "route",
            "score": _hundred(arm.score),
            "low": _hundred(arm.ci_low),
            "high": _hundred(arm.ci_high),
            "items": arm.n,
        }
        for arm in report.arms
        if arm.skill == skill and arm.score is not None
    ]
    if not rows:
        return None
    return Chart(
        title="Score of every arm (%), with 95 % interval",
        sentence="Controls are grey: an arm that does not beat them has learnt nothing of use.",
        drawing=_intervals(rows, "arm", "score", _x("score (%)", domain=[0, 100]), _kinds()),
        rows=rows,
        file=f"{skill}-scores.csv",
    )


def differences(report: Report, skill: str) -> Chart | None:
    """Paired differences with intervals, around zero."""
    import altair as alt

    rows = [
        {
            "contrast": f"{pair.b} over {pair.a}",
            "difference": _hundred(pair.delta),
            "low": _hundred(pair.ci_low),
            "high": _hundred(pair.ci_high),
            "verdict": pair.verdict,
            "items": pair.n,
        }
        for pair in report.pairs
        if pair.skill == skill
    ]
    if not rows:
        return None
    colour = alt.Color(
        "verdict:N", scale=alt.Scale(domain=list(VERDICTS), range=list(VERDICTS.values()))
    )
    x = _x("difference of scores (points)")
    zero = alt.Chart(alt.Data(values=[{"zero": 0}])).mark_rule(color=CONTROL).encode(x="zero:Q")
    return Chart(
        title="Paired differences (points), with 95 % interval",
        sentence="Right of zero the first arm of the contrast is better, on the same items.",
        drawing=zero + _intervals(rows, "contrast", "difference", x, colour),
        rows=rows,
        file=f"{skill}-differences.csv",
    )


def costs(report: Report, skill: str) -> Chart | None:
    """Score against what an answer costs; the routes that no other beats in both are joined."""
    import altair as alt

    rows = [
        {
            "arm": arm.arm,
            "kind": "control" if arm.control else "route",
            "cost": arm.cost.value,
            "unit": arm.cost.unit,
            "score": _hundred(arm.score),
        }
        for arm in report.arms
        if arm.skill == skill and arm.score is not None and arm.cost is not None
    ]
    if not rows:
        return None
    front = _front(rows)
    rows = [row | {"front": row["arm"] in front} for row in rows]
    unit = ", ".join(sorted({str(row["unit"]) for row in rows}))
    y = alt.Y("score:Q", title="score (%)", scale=alt.Scale(domain=[0, 100]))
    base = alt.Chart(alt.Data(values=rows)).encode(x=_x(f"cost ({unit})", "cost"), y=y)
    line = base.transform_filter("datum.front").mark_line(
        interpolate="step-after", strokeDash=[4, 4], color=CONTROL
    )
    point = base.mark_point(size=90, filled=True, opacity=1).encode(
        color=_kinds(), tooltip=["arm:N", "cost:Q", "score:Q", "unit:N"]
    )
    name = base.mark_text(align="left", dx=8, dy=-8, color=CONTROL).encode(text="arm:N")
    return Chart(
        title="Score (%) against the cost of an answer",
        sentence="The dashed line joins the routes that no other route beats in both.",
        drawing=(line + point + name).properties(height=320),
        rows=rows,
        file=f"{skill}-costs.csv",
    )


def latencies(report: Report, skill: str) -> Chart | None:
    """Median and 95th percentile of answers computed alone."""
    rows = [
        {"arm": arm.arm, "figure": figure, "seconds": value, "answers": arm.latency_n}
        for arm in report.arms
        if arm.skill == skill
        for figure, value in (
            ("first token, median", arm.first_token_p50),
            ("whole answer, median", arm.latency_p50),
            ("whole answer, 95 %", arm.latency_p95),
        )
        if value is not None
    ]
    if not rows:
        return None
    return Chart(
        title="Time of an answer (seconds)",
        sentence="Of answers that were computed alone, and none of them from the cache.",
        drawing=_dots(rows, "arm", "seconds", "seconds"),
        rows=rows,
        file=f"{skill}-latency.csv",
    )


def retrieval(report: Report, skill: str) -> Chart | None:
    """Score where a gold passage was found, and where none was."""
    rows = [
        {
            "arm": f"{one.arm}: {named}",
            "kind": named,
            "score": _hundred(part.score),
            "low": _hundred(part.ci_low),
            "high": _hundred(part.ci_high),
            "items": part.n,
        }
        for one in report.retrieved
        if one.skill == skill
        for named, part in (("found", one.score_hit), ("missed", one.score_missed))
        if part is not None
    ]
    if not rows:
        return None
    return Chart(
        title="Score (%) where the evidence was retrieved and where it was missed",
        sentence="Evidence is the passage that an item names; others are not counted here.",
        drawing=_intervals(
            rows, "arm", "score", _x("score (%)", domain=[0, 100]), _kinds("found", "missed")
        ),
        rows=rows,
        file=f"{skill}-retrieval.csv",
    )


def learning(report: Report, skill: str) -> Chart | None:
    """Held-out code length before and after training, per adapter."""
    rows = [
        {"adapter": adapter.version, "figure": figure, "bits": value, "examples": adapter.examples}
        for arm in report.arms
        if arm.skill == skill
        for adapter in arm.adapters
        for figure, value in (
            ("before training", adapter.dev_bits_before),
            ("after", adapter.dev_bits_after),
        )
        if value is not None
    ]
    if not rows:
        return None
    return Chart(
        title="What training taught (bits per answer token, held out)",
        sentence="Fewer bits: the adapter expects the right answers more.",
        drawing=_dots(rows, "adapter", "bits", "bits per answer token"),
        rows=rows,
        file=f"{skill}-learning.csv",
    )


def training_loss(steps: Sequence[tuple[int, float]], bits: Sequence[tuple[int, float]]) -> Chart:
    """Training loss and held-out code length by step, for an adapter's card.

    Args:
        steps: Step and loss in nats per answer token.
        bits: Step and held-out bits per answer token.
    """
    import altair as alt

    rows = [
        {"step": step, "figure": figure, "value": value}
        for figure, curve in (("training loss (nats)", steps), ("held out (bits)", bits))
        for step, value in curve
    ]
    drawing = (
        alt.Chart(alt.Data(values=rows))
        .mark_line(point=True)
        .encode(
            x=alt.X("step:Q", title="step", axis=alt.Axis(tickMinStep=1, format="d")),
            y=alt.Y("value:Q", title="per answer token"),
            color=alt.Color("figure:N", title=None),
            tooltip=["step:Q", "figure:N", "value:Q"],
        )
    )
    return Chart(
        title="Loss and held-out code length by step",
        sentence="Held-out bits that rise again while the loss falls: it learnt by heart.",
        drawing=drawing,
        rows=rows,
        file="training.csv",
    )


def _intervals(rows: Sequence[Row], name: str, value: str, x: Any, colour: Any) -> Any:
    """A point and its interval per row."""
    import altair as alt

    y = alt.Y(f"{name}:N", title=None, sort=[row[name] for row in rows], axis=_names())
    base = alt.Chart(alt.Data(values=list(rows))).encode(y=y, color=colour)
    tips = [f"{key}:{'N' if isinstance(rows[0][key], str) else 'Q'}" for key in rows[0]]
    bar = base.mark_rule(strokeWidth=2.5).encode(x=x, x2="high:Q")
    point = base.mark_point(size=85, filled=True, opacity=1).encode(x=f"{value}:Q", tooltip=tips)
    return (bar + point).properties(height=ROW_HEIGHT * len(rows) + 60)


def _dots(rows: Sequence[Row], name: str, value: str, title: str) -> Any:
    """Several figures per name on one line."""
    import altair as alt

    order = list(dict.fromkeys(row[name] for row in rows))
    return (
        alt.Chart(alt.Data(values=list(rows)))
        .mark_point(size=85, filled=True, opacity=1)
        .encode(
            x=alt.X(f"{value}:Q", title=title, scale=alt.Scale(zero=True)),
            y=alt.Y(f"{name}:N", title=None, sort=order, axis=_names()),
            color=alt.Color("figure:N", title=None),
            shape=alt.Shape("figure:N", title=None),
            tooltip=[f"{name}:N", "figure:N", f"{value}:Q"],
        )
        .properties(height=ROW_HEIGHT * len(order) + 60)
    )


def _x(title: str, field: str = "low", domain: list[float] | None = None) -> Any:
    import altair as alt

    scale = alt.Scale(domain=domain) if domain else alt.Scale(zero=field == "cost")
    return alt.X(f"{field}:Q", title=title, scale=scale)


def _names() -> Any:
    """An axis of names, whole ones."""
    import altair as alt

    return alt.Axis(labelLimit=260, labelOverlap=False)


def _kinds(first: str = "route", second: str = "control") -> Any:
    import altair as alt

    scale = alt.Scale(domain=[first, second], range=[ROUTE, CONTROL])
    return alt.Color("kind:N", title=None, scale=scale)


def _front(rows: Sequence[Row]) -> set[str]:
    """Routes that no other route beats in both score and cost."""
    routes = [row for row in rows if row["kind"] == "route"]
    return {
        row["arm"]
        for row in routes
        if not any(
            other["score"] >= row["score"]
            and other["cost"] <= row["cost"]
            and (other["score"], other["cost"]) != (row["score"], row["cost"])
            for other in routes
        )
    }


def _hundred(share: float | None) -> float | None:
    return None if share is None else round(100 * share, 2)
