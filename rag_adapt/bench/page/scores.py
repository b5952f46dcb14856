"""Scores, costs, latencies and control arms of one skill.

It does not know verdicts.
"""

from collections.abc import Sequence

from rag_adapt.bench.arms import ARMS
from rag_adapt.bench.figures import ArmReport
from rag_adapt.bench.page import charts
from rag_adapt.bench.page.charts import Chart
from rag_adapt.bench.page.figure import figure
from rag_adapt.bench.page.markup import Child, Html, el, number_columns, table, text_columns
from rag_adapt.bench.page.subject import Subject
from rag_adapt.bench.page.wording import (
    figure_text,
    interval,
    part,
    plural,
    points,
    points_interval,
)
from rag_adapt.bench.table import NOTHING, percent, seconds


def scores(subject: Subject) -> Html | None:
    """Score with interval per arm, and why the others were not measured."""
    arms = subject.measured
    left_out = [arm for arm in subject.arms if arm not in arms]
    if not subject.arms:
        return None
    drawn: list[Child] = []
    if arms:
        chart = Chart(
            title="Score per arm",
            sentence=_score_sentence(subject),
            spec=charts.scores(arms),
            file=f"{subject.file}-scores",
            rows=tuple(_score_row(arm) for arm in arms),
        )
        drawn = [figure(chart), _score_table(arms), _by_seed(arms), _failures(arms)]
    return part("Scores", *drawn, _not_measured(left_out))


def _score_sentence(subject: Subject) -> str:
    scorer = subject.told("scorers")
    best = max(subject.measured, key=lambda arm: arm.score or 0.0)
    controls = [arm for arm in subject.measured if arm.control]
    hollow = f" Hollow marks are the {plural(len(controls), 'control arm')}." if controls else ""
    judged = f" by {scorer}" if scorer else ""
    return (
        f"Mean score{judged} with its 95 % interval, {plural(best.n, 'item')} in "
        f"{plural(best.clusters, 'cluster')}; highest: {best.arm} with {percent(best.score)} %."
        + hollow
    )


def _score_row(arm: ArmReport) -> dict[str, object]:
    kept = ("arm", "control", "score", "ci_low", "ci_high", "ci_method", "n", "clusters")
    return {**arm.model_dump(include=set(kept)), "failures": arm.failures}


def _score_table(arms: Sequence[ArmReport]) -> Html:
    others = list(dict.fromkeys(name for arm in arms for name in arm.scores))
    columns = (
        *text_columns("arm"),
        *number_columns(
            "score %",
            "95 %",
            *(f"{name} %" for name in others),
            "n",
            "failed",
            "unscored",
            "tokens in",
            "tokens out",
        ),
    )
    rows: list[tuple[Child, ...]] = [
        (
            _arm_name(arm),
            percent(arm.score),
            interval(arm.ci_low, arm.ci_high),
            *(percent(arm.scores.get(name)) for name in others),
            arm.n,
            arm.failures,
            arm.unscored,
            _count(arm.tokens_in),
            _count(arm.tokens_out),
        )
        for arm in arms
    ]
    return table("All arms; tokens are sums over the run", columns, rows)


def _arm_name(arm: ArmReport) -> Child:
    return [arm.arm, el("span", " control", class_="control")] if arm.control else arm.arm


def _count(value: int | None) -> str:
    return NOTHING if value is None else f"{value:,}"


def _by_seed(arms: Sequence[ArmReport]) -> Html | None:
    lines = [
        f"{arm.arm}: " + ", ".join(f"{percent(s)} % (seed {n})" for n, s in arm.seeds.items())
        for arm in arms
        if arm.seeds
    ]
    if not lines:
        return None
    return el("p", f"By training seed: {'; '.join(lines)}.", class_="quiet")


def _failures(arms: Sequence[ArmReport]) -> Html | None:
    lines = [
        f"{arm.arm}: {code} × {count}" for arm in arms for code, count in arm.failure_codes.items()
    ]
    if not lines:
        return None
    said = f"Failures, counted apart and never as wrong answers: {'; '.join(lines)}."
    return el("p", said, class_="quiet")


def _not_measured(arms: Sequence[ArmReport]) -> Html | None:
    if not arms:
        return None
    lines = [el("li", el("strong", arm.arm), f": {_reason(arm)}") for arm in arms]
    return el("div", el("p", "Not measured:"), el("ul", *lines))


def _reason(arm: ArmReport) -> str:
    return (arm.reason or "no reason was kept").removeprefix("not measured: ")


def pareto(arms: Sequence[ArmReport]) -> tuple[str, ...]:
    """Routes that no other route beats in score without costing more, cheapest first."""
    priced = [arm for arm in arms if arm.cost is not None and not arm.control]
    ordered = sorted(priced, key=lambda arm: (_cost(arm), -(arm.score or 0.0)))
    front: list[ArmReport] = []
    for arm in ordered:
        if not front or (arm.score or 0.0) > (front[-1].score or 0.0):
            front.append(arm)
    return tuple(arm.arm for arm in front)


def _cost(arm: ArmReport) -> float:
    return 0.0 if arm.cost is None else arm.cost.value


def costs(subject: Subject) -> Html | None:
    """Score against cost, one chart per unit of cost."""
    priced = [arm for arm in subject.measured if arm.cost is not None]
    units = dict.fromkeys(arm.cost.unit for arm in priced if arm.cost is not None)
    shown = [_cost_chart(subject, priced, unit) for unit in units]
    return part("Score against cost", *shown) if shown else None


def _cost_chart(subject: Subject, priced: Sequence[ArmReport], unit: str) -> Html:
    arms = [arm for arm in priced if arm.cost is not None and arm.cost.unit == unit]
    front = pareto(arms)
    said = "Up and to the left is better. "
    if len(front) > 1:
        said += f"The dashed line joins the routes that none beats in both: {', '.join(front)}."
    elif front:
        said += f"No route beats {front[0]} in score or in cost."
    chart = Chart(
        title="Score and cost per answer",
        sentence=said,
        spec=charts.costs(arms, front, unit.replace("/", " per ")),
        file=f"{subject.file}-cost",
        rows=tuple(
            {
                "arm": arm.arm,
                "control": arm.control,
                "cost": _cost(arm),
                "unit": unit,
                "score": arm.score,
                "ci_low": arm.ci_low,
                "ci_high": arm.ci_high,
                "pareto": arm.arm in front,
            }
            for arm in arms
        ),
    )
    return figure(chart)


def latency(subject: Subject) -> Html | None:
    """Seconds of answers computed alone."""
    arms = [arm for arm in subject.measured if arm.latency_p50 is not None]
    if not arms:
        return None
    least = min(arm.latency_n for arm in arms)
    kept = ("latency_n", "latency_p50", "latency_p95", "first_token_p50", "first_token_p95")
    chart = Chart(
        title="Seconds per answer, alone",
        sentence=(
            "Seconds from the call to the last token, median (filled) and 95th percentile "
            f"(hollow), over answers computed alone and uncached; {least} or more per arm."
        ),
        spec=charts.latencies(arms),
        file=f"{subject.file}-latency",
        rows=tuple({"arm": arm.arm, **arm.model_dump(include=set(kept))} for arm in arms),
    )
    columns = (
        *text_columns("arm"),
        *number_columns("p50", "p95", "first token p50", "first token p95", "answers"),
    )
    rows: list[tuple[Child, ...]] = [
        (
            _arm_name(arm),
            seconds(arm.latency_p50, arm),
            seconds(arm.latency_p95, arm),
            seconds(arm.first_token_p50, arm),
            seconds(arm.first_token_p95, arm),
            arm.latency_n,
        )
        for arm in arms
    ]
    return part("Latency", figure(chart), table("Seconds per answer", columns, rows))


def controls(subject: Subject) -> Html | None:
    """What the controls are, and each route against the best of them."""
    found = [arm for arm in subject.measured if arm.control]
    if not found:
        return None
    columns = (*text_columns("control", "what it is"), *number_columns("score %", "95 %", "n"))
    rows: list[tuple[Child, ...]] = [
        (arm.arm, _title(arm.arm), percent(arm.score), interval(arm.ci_low, arm.ci_high), arm.n)
        for arm in found
    ]
    compared: list[tuple[Child, ...]] = [
        (
            f"{arm.arm} − {arm.difference.arm}",
            points(arm.difference.value),
            points_interval(arm.difference.ci_low, arm.difference.ci_high),
            arm.difference.n,
        )
        for arm in subject.routes
        if arm.difference is not None
    ]
    beside = (*text_columns("difference"), *number_columns("points", "95 %", "n"))
    caption = "Routes against the best control; not tested, the control was picked by looking"
    return part(
        "Control arms",
        table("Controls are measured, not tested, and never recommended", columns, rows),
        table(caption, beside, compared) if compared else None,
    )


def _title(arm: str) -> str:
    kind = ARMS.get(arm)
    return "" if kind is None else kind.title


def format_effect(subject: Subject) -> Html | None:
    """What the form of the answer costs: generated against chosen."""
    columns = (
        *text_columns("arm"),
        *number_columns("generated %", "chosen %", "effect, points", "95 %", "n"),
    )
    rows: list[tuple[Child, ...]] = [
        (
            _arm_name(arm),
            percent(arm.format_effect.generated),
            percent(arm.format_effect.choice),
            points(arm.format_effect.effect),
            points_interval(arm.format_effect.ci_low, arm.format_effect.ci_high),
            arm.format_effect.n,
        )
        for arm in subject.measured
        if arm.format_effect is not None
    ]
    if not rows:
        return None
    said = (
        "The same items scored by what the model wrote, and by which label it finds likeliest "
        "per byte. A large effect means that the model knows more than it says in the right form."
    )
    caption = "Format effect: chosen minus generated"
    return part("Format against knowledge", el("p", said), table(caption, columns, rows))


def collections(subject: Subject) -> Html | None:
    """What the collections took."""
    found = {arm.collection.name: arm.collection for arm in subject.arms if arm.collection}
    columns = (*text_columns("collection"), *number_columns("documents", "chunks", "seconds", "MB"))
    rows: list[tuple[Child, ...]] = [
        (
            one.name,
            f"{one.documents:,}",
            f"{one.chunks:,}",
            "built before" if one.seconds is None else figure_text(one.seconds),
            f"{one.bytes / 1e6:.1f}",
        )
        for one in found.values()
    ]
    return table("What the collection took", columns, rows) if rows else None
