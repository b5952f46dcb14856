"""Adapters on the page: held-out code length, what they may have damaged, what routes were given.

It does not know how adapters are trained.
"""

from rag_adapt.bench.figures import AdapterFigures, Given, GuardFigures
from rag_adapt.bench.page import charts
from rag_adapt.bench.page.charts import Chart
from rag_adapt.bench.page.figure import figure
from rag_adapt.bench.page.markup import (
    Child,
    Html,
    details,
    el,
    number_columns,
    table,
    text_columns,
)
from rag_adapt.bench.page.scores import collections
from rag_adapt.bench.page.subject import Subject
from rag_adapt.bench.page.wording import figure_text, part, plural, verdict
from rag_adapt.bench.table import NOTHING, percent


def learning(subject: Subject) -> Html | None:
    """Held-out bits before and after training, per adapter."""
    found = [
        one
        for one in subject.adapters
        if one.dev_bits_before is not None and one.dev_bits_after is not None
    ]
    if not found:
        return None
    kept = ("version", "seed", "fold", "examples", "dev_bits_before", "dev_bits_after")
    chart = Chart(
        title="Held-out code length before and after training",
        sentence=(
            "Code length of held-out answers in bits per token, under the base (hollow) and after "
            f"training (filled), for {plural(len(found), 'adapter')}. Fewer bits: the answers are "
            "less of a surprise."
        ),
        spec=charts.learning(found),
        file=f"{subject.file}-learning",
        rows=tuple(one.model_dump(include=set(kept)) for one in found),
    )
    return part("Learning", figure(chart))


def adapters(subject: Subject) -> Html | None:
    """What each adapter took, and its guard."""
    found = subject.adapters
    if not found:
        return None
    columns = (
        *text_columns("adapter"),
        *number_columns("seed", "fold", "examples", "seconds", "MB"),
        *text_columns("trained with context", "proven active"),
    )
    rows: list[tuple[Child, ...]] = [
        (
            el("code", one.version),
            one.seed,
            NOTHING if one.fold is None else one.fold,
            f"{one.examples:,}",
            f"{one.seconds:,.0f}",
            f"{one.bytes / 1e6:.1f}",
            "yes" if one.with_context else "no",
            "yes" if one.proven else "NO",
        )
        for one in found
    ]
    return part(
        "Adapters and their guard",
        table("What each adapter took", columns, rows),
        el("div", *(guard for one in found if (guard := _guard(one))), class_="fold"),
    )


def _guard(adapter: AdapterFigures) -> Html | None:
    if not adapter.guard:
        return None
    failed = sum(one.verdict == "failed" for one in adapter.guard)
    unsure = sum(one.verdict == "undecided" for one in adapter.guard)
    counts = f" · {len(adapter.guard)} checks, {failed} failed, {unsure} undecided"
    columns = (
        *text_columns("what may be damaged", "verdict"),
        *number_columns("value", "95 %"),
        *text_columns("unit", "detail"),
    )
    rows: list[tuple[Child, ...]] = [
        (
            one.name,
            verdict(one.verdict),
            figure_text(one.value),
            _range(one),
            one.unit,
            one.detail,
        )
        for one in adapter.guard
    ]
    summary = [charts.adapter_name(adapter), el("span", counts, class_="counts")]
    shown = table(f"Guard of {adapter.version}, against the base", columns, rows)
    return details(summary, shown, open_=failed > 0)


def _range(one: GuardFigures) -> str:
    if one.low is None or one.high is None:
        return NOTHING
    return f"[{figure_text(one.low)}, {figure_text(one.high)}]"


def given(subject: Subject) -> Html | None:
    """What each route was given to choose and learn from."""
    found = [(arm.arm, one) for arm in subject.arms for one in arm.given]
    took = collections(subject)
    if not found and took is None:
        return None
    columns = (
        *text_columns("route"),
        *number_columns("fold", "examples", "documents", "dev items", "budget", "spent"),
        *text_columns("chosen"),
    )
    rows: list[tuple[Child, ...]] = [
        (
            name,
            NOTHING if one.fold is None else one.fold,
            f"{one.examples:,}",
            f"{one.documents:,}",
            f"{one.dev_items:,}",
            f"{one.budget:,}",
            f"{one.spent:,}",
            ", ".join(c.name for c in one.candidates if c.chosen) or NOTHING,
        )
        for name, one in found
    ]
    tried = [_candidates(name, one) for name, one in found if one.candidates]
    return part(
        "What each route was given",
        table("Budget and spent: answers for tuning", columns, rows) if rows else None,
        el("div", *tried, class_="fold") if tried else None,
        took,
    )


def _candidates(name: str, one: Given) -> Html:
    fold = "" if one.fold is None else f", fold {one.fold}"
    columns = (
        *text_columns("setting"),
        *number_columns("dev score %", "bits per token", "answers"),
        *text_columns("chosen"),
    )
    rows: list[tuple[Child, ...]] = [
        (c.name, percent(c.score), figure_text(c.bits), c.answers, "chosen" if c.chosen else "")
        for c in one.candidates
    ]
    count = el("span", f" · {plural(len(rows), 'setting')} tried on dev", class_="counts")
    return details([f"{name}{fold}", count], table("Settings tried on dev", columns, rows))
