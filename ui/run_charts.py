"""The charts of a run's report, each with its title, its sentence and its data.

They do not know the page, nor how anything is measured.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from rag_adapt.schemas.records import AnswerRow, Comparison, Report
from ui.run_marks import (
    BLUE,
    GREY,
    Axis,
    Spec,
    colours,
    curves,
    dots,
    intervals,
    is_wide,
    places,
    steps,
)
from ui.wording import Row

VERDICTS: Final = {
    "better": "#1f9d55",
    "non-inferior": "#0e9aa7",
    "worse": "#d64545",
    "undecided": GREY,
}
KINDS: Final = {"route": BLUE, "control": GREY}
SCORE: Final = Axis(field="score", title="score (%)", domain=(0, 100))


@dataclass(frozen=True, kw_only=True)
class Chart:
    """One chart and what stands around it."""

    title: str
    """What it shows, with its unit."""
    sentence: str
    """How to read it."""
    drawing: Spec
    """A Vega-Lite specification with its data."""
    rows: Sequence[Row]
    """Its data, in the units that it shows."""
    file: str
    """Name of the data's download."""


def scores(report: Report, skill: str) -> Chart | None:
    """Score with interval per arm."""
    rows: list[Row] = [
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
        drawing=intervals(rows, name="arm", value="score", x=SCORE, colour=colours("kind", KINDS)),
        rows=rows,
        file=f"{skill}-scores.csv",
    )


def differences(report: Report, skill: str) -> Chart | None:
    """Paired differences with intervals, around zero."""
    rows: list[Row] = [
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
    return Chart(
        title="Paired differences (points), with 95 % interval",
        sentence="Right of zero the first arm of the contrast is better, on the same items.",
        drawing=_around_zero(rows, "contrast", colours("verdict", VERDICTS)),
        rows=rows,
        file=f"{skill}-differences.csv",
    )


def costs(report: Report, skill: str) -> Chart | None:
    """Score against what an answer costs; the routes that no other beats in both are joined."""
    rows: list[Row] = [
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
    rows = [{**row, "front": row["arm"] in front} for row in rows]
    unit = ", ".join(sorted({str(row["unit"]) for row in rows}))
    wide = is_wide([row["cost"] for row in rows])
    x = Axis(field="cost", title=f"cost ({unit})", zero=True, log=wide)
    return Chart(
        title="Score (%) against the cost of an answer",
        sentence="The dashed line joins the routes that no other route beats in both."
        + (" The scale of costs is logarithmic." if wide else ""),
        drawing=places(rows, name="arm", x=x, y=SCORE, colour=colours("kind", KINDS)),
        rows=rows,
        file=f"{skill}-costs.csv",
    )


def latencies(answers: Sequence[AnswerRow], skill: str) -> Chart | None:
    """How many of an arm's answers were ready after so many seconds.

    Args:
        answers: Those that were computed alone and not read from the cache.
        skill: Whose answers they are.
    """
    times: dict[str, list[float]] = {}
    for row in answers:
        if row.total is not None:
            times.setdefault(row.arm, []).append(row.total)
    rows: list[Row] = [
        {"arm": arm, "seconds": round(value, 4), "share": 100 * place / len(found)}
        for arm, found in times.items()
        for place, value in enumerate(sorted(found), start=1)
    ]
    if not rows:
        return None
    fewest, most = min(map(len, times.values())), max(map(len, times.values()))
    each = f"{fewest}" if fewest == most else f"{fewest} to {most}"
    wide = is_wide([row["seconds"] for row in rows])
    return Chart(
        title="Answers (%) that were whole after so many seconds",
        sentence=f"{each} answers of each arm, computed alone and none of them from the cache; "
        "further left is faster." + (" The scale of seconds is logarithmic." if wide else ""),
        drawing=steps(
            rows,
            x=Axis(field="seconds", title="seconds to the whole answer", zero=True, log=wide),
            y=Axis(field="share", title="answers (%)", domain=(0, 100)),
            colour=colours("arm"),
        ),
        rows=rows,
        file=f"{skill}-latency.csv",
    )


def retrieval(report: Report, skill: str) -> Chart | None:
    """Score where a gold passage was found, and where none was."""
    rows: list[Row] = [
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
    kinds = colours("kind", {"found": BLUE, "missed": GREY})
    return Chart(
        title="Score (%) where the evidence was retrieved and where it was missed",
        sentence="Evidence is the passage that an item names; others are not counted here.",
        drawing=intervals(rows, name="arm", value="score", x=SCORE, colour=kinds),
        rows=rows,
        file=f"{skill}-retrieval.csv",
    )


def doses(report: Report, skill: str) -> Chart | None:
    """Score by how many examples a route was given, a line for each way of giving them."""
    rows: list[Row] = [
        {
            "channel": one.channel,
            "examples": one.examples,
            "score": _hundred(one.score),
            "low": _hundred(one.ci_low),
            "high": _hundred(one.ci_high),
            "items": one.n,
        }
        for one in report.doses
        if one.skill == skill and one.measured and one.score is not None
    ]
    if not rows:
        return None
    sizes = [row["examples"] for row in rows]
    wide = min(sizes) > 0 and max(sizes) > min(sizes)
    return Chart(
        title="Score (%) by the number of examples, with 95 % interval",
        sentence="Smaller doses are parts of larger ones, and every dose answered the same items. "
        "Nothing is tested here." + (" The scale of examples is logarithmic." if wide else ""),
        drawing=curves(
            rows,
            x=Axis(field="examples", title="training examples", log=wide, whole=True),
            y=SCORE,
            colour=colours("channel"),
        ),
        rows=rows,
        file=f"{skill}-doses.csv",
    )


def learning(report: Report, skill: str) -> Chart | None:
    """Held-out code length before and after training, per adapter."""
    found = {
        adapter.version: adapter
        for arm in report.arms
        if arm.skill == skill
        for adapter in arm.adapters
    }
    rows: list[Row] = [
        {"adapter": version, "figure": figure, "bits": value, "examples": adapter.examples}
        for version, adapter in found.items()
        for figure, value in (
            ("before training", adapter.dev_bits_before),
            ("after", adapter.dev_bits_after),
        )
        if value is not None
    ]
    if not rows:
        return None
    x = Axis(field="bits", title="bits per answer token", zero=True)
    return Chart(
        title="What training taught (bits per answer token, held out)",
        sentence="Fewer bits: the adapter expects the right answers more.",
        drawing=dots(rows, name="adapter", x=x, kind="figure"),
        rows=rows,
        file=f"{skill}-learning.csv",
    )


def changes(compared: Comparison, skill: str) -> Chart | None:
    """How every arm's score changed from one run to the other."""
    rows: list[Row] = [
        {
            "arm": arm.arm,
            "kind": "both runs",
            "difference": _hundred(arm.change.delta),
            "low": _hundred(arm.change.ci_low),
            "high": _hundred(arm.change.ci_high),
            "items": arm.change.n,
        }
        for arm in compared.arms
        if arm.skill == skill and arm.change is not None
    ]
    if not rows:
        return None
    return Chart(
        title=f"{skill}: change of score (points), with 95 % interval",
        sentence="Right of zero the later run is better, on the items that both answered.",
        drawing=_around_zero(rows, "arm", {"value": BLUE}),
        rows=rows,
        file=f"{skill}-changes.csv",
    )


def training_loss(steps: Sequence[tuple[int, float]], bits: Sequence[tuple[int, float]]) -> Chart:
    """Training loss and held-out code length by step, for an adapter's card.

    Args:
        steps: Step and loss in nats per answer token.
        bits: Step and held-out bits per answer token.
    """
    rows: list[Row] = [
        {"step": step, "figure": figure, "value": value}
        for figure, curve in (
            ("training loss", [(step, bits_of(loss)) for step, loss in steps]),
            ("held out", bits),
        )
        for step, value in curve
    ]
    return Chart(
        title="Loss and held-out code length by step (bits per answer token)",
        sentence="Held-out bits that rise again while the loss falls: it learnt by heart.",
        drawing=curves(
            rows,
            x=Axis(field="step", title="step", whole=True),
            y=Axis(field="value", title="bits per answer token"),
            colour=colours("figure"),
        ),
        rows=rows,
        file="training.csv",
    )


def bits_of(nats: float) -> float:
    """The same amount in bits, the unit of held-out code length.

    >>> bits_of(math.log(8))
    3.0
    """
    return round(nats / math.log(2), 4)


def _around_zero(rows: Sequence[Row], name: str, colour: Spec) -> Spec:
    x = Axis(field="difference", title="difference of scores (points)")
    return intervals(rows, name=name, value="difference", x=x, colour=colour, zero=True)


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
