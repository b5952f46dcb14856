"""The report as rows of text: pure formatting.

It does not know where the rows are printed.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from rag_adapt.bench.figures import ArmReport, Report

COLUMNS: Final = (
    "arm",
    "score % [95 %]",
    "other scores %",
    "n",
    "failed",
    "vs best control",
    "first token",
    "p50 / p95",
    "tokens in / out",
    "cost / answer",
)
NOTHING: Final = "-"


@dataclass(frozen=True, kw_only=True)
class Table:
    """One skill's table."""

    title: str
    rows: tuple[tuple[str, ...], ...]
    notes: tuple[str, ...]


def tables(report: Report) -> tuple[Table, ...]:
    """One table per skill, arms in the order of the plan."""
    skills = dict.fromkeys(arm.skill for arm in report.arms)
    return tuple(_table(skill, report) for skill in skills)


def markdown(report: Report) -> str:
    """All tables as GitHub-flavoured markdown, notes below each."""
    parts = []
    for table in tables(report):
        lines = [f"**{table.title}**", "", _line(COLUMNS), _line(["---"] * len(COLUMNS))]
        lines += [_line(row) for row in table.rows]
        lines += ["", *(f"- {note}" for note in table.notes)]
        parts.append("\n".join(lines))
    return "\n\n".join(parts) + "\n"


def _line(cells: Sequence[str]) -> str:
    return "| " + " | ".join(cell.replace("|", "\\|") for cell in cells) + " |"


def _table(skill: str, report: Report) -> Table:
    arms = [arm for arm in report.arms if arm.skill == skill]
    run = report.run
    items, of = run["items"][skill], run["available_items"][skill]
    title = (
        f"{skill}: {items} of {of} test items in {run['clusters'][skill]} clusters, "
        f"scored by {run['scorers'][skill]}"
    )
    best = next((a.difference.arm for a in arms if a.difference is not None), None)
    if best is not None:
        title += f"; best control: {best}"
    return Table(title=title, rows=tuple(map(_row, arms)), notes=tuple(_notes(arms)))


def _row(arm: ArmReport) -> tuple[str, ...]:
    name = f"{arm.arm} (control)" if arm.control else arm.arm
    if not arm.measured:
        return (name, arm.reason or "not measured", *[NOTHING] * (len(COLUMNS) - 2))
    score = f"{percent(arm.score)} [{percent(arm.ci_low)}, {percent(arm.ci_high)}]"
    return (
        name,
        score,
        ", ".join(f"{name} {percent(value)}" for name, value in arm.scores.items()) or NOTHING,
        str(arm.n),
        str(arm.failures),
        _difference(arm),
        seconds(arm.first_token_p50, arm),
        f"{seconds(arm.latency_p50, arm)} / {seconds(arm.latency_p95, arm)}",
        _tokens(arm),
        NOTHING if arm.cost is None else f"{arm.cost.value:.3g} s",
    )


def _difference(arm: ArmReport) -> str:
    if arm.difference is None:
        return NOTHING
    d = arm.difference
    return f"{points(d.value)} [{points(d.ci_low)}, {points(d.ci_high)}]"


def _tokens(arm: ArmReport) -> str:
    answers = arm.n + arm.unscored
    if not arm.tokens_in or not answers:
        return NOTHING
    return f"{arm.tokens_in} / {arm.tokens_out}"


def _notes(arms: Sequence[ArmReport]) -> list[str]:
    notes = []
    adapter = next((one for a in arms for one in a.adapters), None)
    if adapter is not None:
        notes.append(
            f"adapter {adapter.version}: {adapter.examples} examples, "
            f"{adapter.seconds:.0f} s of training, {adapter.bytes / 1e6:.1f} MB, "
            + ("proven active" if adapter.proven else "NOT proven")
        )
    collection = next((a.collection for a in arms if a.collection is not None), None)
    if collection is not None:
        notes.append(
            f"collection {collection.name}: {collection.documents} documents, "
            f"{collection.chunks} chunks, {_built(collection.seconds)}, "
            f"{collection.bytes / 1e6:.1f} MB"
        )
    if any(a.failures for a in arms):
        codes = {f"{a.arm}: {code} x {n}" for a in arms for code, n in a.failure_codes.items()}
        notes.append("failures, counted apart from scores: " + "; ".join(sorted(codes)))
    if any(a.cached for a in arms):
        notes.append(
            "cached: these answers were kept from an earlier run, and are no latency measurement"
        )
    return notes


def _built(seconds: float | None) -> str:
    return "built before" if seconds is None else f"built in {seconds:.1f} s"


def percent(value: float | None) -> str:
    """A share in percent with one decimal; `-` for None."""
    return NOTHING if value is None else f"{100 * value:.1f}"


def points(value: float) -> str:
    """A difference of shares in percentage points, with its sign."""
    return f"{100 * value:+.1f}"


def seconds(value: float | None, arm: ArmReport) -> str:
    """Seconds with two decimals; `cached` where only the cache answered."""
    if value is None:
        return "cached" if arm.cached else NOTHING
    return f"{value:.2f} s"
