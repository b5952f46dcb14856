"""The report as rows of text: pure formatting.

It does not know where the rows are printed.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import combinations
from typing import Final

from rag_adapt.bench.curve import EXPLORATORY
from rag_adapt.bench.dose_figures import DoseDifference, DoseReport
from rag_adapt.bench.doses import CHANNELS
from rag_adapt.bench.figures import AdapterFigures, ArmReport, Given, Pair, Report, Retrieved

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


PAIR_COLUMNS: Final = (
    "contrast (b - a)",
    "points [95 %]",
    "fixed / broken",
    "p",
    "p (Holm)",
    "detectable",
    "verdict on b",
)
DOSE_COLUMNS: Final = (
    "examples",
    *(f"{channel} % [95 %]" for channel in CHANNELS),
    *(f"{b} - {a}, points" for a, b in combinations(CHANNELS, 2)),
)


@dataclass(frozen=True, kw_only=True)
class Table:
    """One skill's tables: what was scored, and what follows from it."""

    title: str
    sentence: str
    """The recommendation: first, for it is what a reader came for."""
    rows: tuple[tuple[str, ...], ...]
    pairs: tuple[tuple[str, ...], ...]
    doses: tuple[tuple[str, ...], ...]
    """The dose curve: a row per number of examples; empty without one."""
    notes: tuple[str, ...]


def tables(report: Report) -> tuple[Table, ...]:
    """One table per skill, arms in the order of the plan."""
    skills = dict.fromkeys(arm.skill for arm in report.arms)
    return tuple(_table(skill, report) for skill in skills)


def markdown(report: Report) -> str:
    """All tables as GitHub-flavoured markdown, notes below each."""
    parts = []
    for table in tables(report):
        lines = [f"**{table.title}**", "", table.sentence, "", *_grid(COLUMNS, table.rows)]
        if table.pairs:
            lines += ["", *_grid(PAIR_COLUMNS, table.pairs)]
        if table.doses:
            lines += ["", *_grid(DOSE_COLUMNS, table.doses)]
        lines += ["", *(f"- {note}" for note in table.notes)]
        parts.append("\n".join(lines))
    return "\n\n".join(parts) + "\n"


def _grid(columns: Sequence[str], rows: Sequence[Sequence[str]]) -> list[str]:
    return [_line(columns), _line(["---"] * len(columns)), *map(_line, rows)]


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
    found = next((r.sentence for r in report.recommendations if r.skill == skill), "")
    return Table(
        title=title,
        sentence=found,
        rows=tuple(map(_row, arms)),
        pairs=tuple(_pair(pair) for pair in report.pairs if pair.skill == skill),
        doses=dose_rows(report, skill),
        notes=(*_notes(arms), *_findings(skill, report), *dose_notes(report, skill)),
    )


def _pair(pair: Pair) -> tuple[str, ...]:
    return (
        f"{pair.b} - {pair.a}",
        f"{points(pair.delta)} [{points(pair.ci_low)}, {points(pair.ci_high)}]",
        f"{pair.fixed} / {pair.broken}",
        f"{pair.p:.2g} ({pair.test})",
        f"{pair.p_holm:.2g}",
        f"{100 * pair.mde:.0f} points",
        pair.verdict,
    )


def _findings(skill: str, report: Report) -> list[str]:
    """Retrieval, interactions, leaks and the read-out, a line each."""
    lines = [retrieval_line(one) for one in report.retrieved if one.skill == skill]
    lines += [one.sentence for one in report.interactions if one.skill == skill]
    for leaks in report.leaks:
        if leaks.skill == skill and leaks.found:
            met = len({leak.item for leak in leaks.found})
            lines.append(
                f"leak firewall: {met} of {leaks.checked} test items were met elsewhere; scores "
                "without them stand in report.json under `clean`"
            )
    return lines + [one.sentence for one in report.readouts if one.skill == skill]


def retrieval_line(found: Retrieved) -> str:
    """What an arm's passages held, and what that did to its answers."""
    line = (
        f"{found.arm}, passages: the gold span is there for {found.hits} of {found.n} items "
        f"({percent(found.hit_rate)} %)"
    )
    for subset, when in ((found.score_hit, "there"), (found.score_missed, "missing")):
        if subset is not None:
            line += f", score {percent(subset.score)} % where it is {when}"
    if found.against is not None:
        line += (
            f"; against {found.against} it rescued {found.rescued} of {found.wrong_without} wrong "
            f"items and harmed {found.harmed} of {found.right_without} right ones"
        )
    return line


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
    for adapter in dict.fromkeys(one for a in arms for one in a.adapters):
        notes.append(_adapter(adapter))
    for arm in arms:
        notes += [line for given in arm.given for line in _given(arm.arm, given)]
        if arm.format_effect is not None:
            effect = arm.format_effect
            notes.append(
                f"{arm.arm}, format effect: {percent(effect.generated)} % by generation, "
                f"{percent(effect.choice)} % by the likeliest label, "
                f"{points(effect.effect)} points "
                f"[{points(effect.ci_low)}, {points(effect.ci_high)}]"
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


def _adapter(adapter: AdapterFigures) -> str:
    context = " with retrieved context" if adapter.with_context else ""
    line = (
        f"adapter {adapter.version}: {adapter.examples} examples{context}, seed {adapter.seed}, "
        f"{adapter.seconds:.0f} s of training, {adapter.bytes / 1e6:.1f} MB, "
        + ("proven active" if adapter.proven else "NOT proven")
    )
    if adapter.dev_bits_before is not None and adapter.dev_bits_after is not None:
        line += (
            f", held-out {adapter.dev_bits_before:.2f} -> {adapter.dev_bits_after:.2f} bits/token"
        )
    wrong = [f"{row.name} {row.verdict}" for row in adapter.guard if row.verdict != "passed"]
    if adapter.guard:
        line += f"; guard: {', '.join(wrong) if wrong else 'passed'}"
    return line


def _given(arm: str, given: Given) -> list[str]:
    """What a route was given; nothing where it had nothing to choose."""
    chosen = [candidate.name for candidate in given.candidates if candidate.chosen]
    if not chosen or len(given.candidates) < 2:
        return []
    fold = "" if given.fold is None else f", fold {given.fold}"
    tried = ", ".join(f"{c.name} {percent(c.score)} % of {c.answers}" for c in given.candidates)
    return [
        f"{arm}{fold}: asked as `{chosen[0]}`, chosen by {given.spent} of {given.budget} "
        f"answers to tune with ({tried})"
    ]


def _built(seconds: float | None) -> str:
    return "built before" if seconds is None else f"built in {seconds:.1f} s"


def dose_rows(report: Report, skill: str) -> tuple[tuple[str, ...], ...]:
    """Per number of examples each channel's score and the differences between them."""
    found = {(d.examples, d.channel): d for d in report.doses if d.skill == skill}
    between = {
        (one.examples, c.a, c.b): one
        for c in report.crossovers
        if c.skill == skill
        for one in c.differences
    }
    return tuple(
        (
            str(size),
            *(_dose(found[size, channel]) for channel in CHANNELS),
            *(_apart(between.get((size, a, b))) for a, b in combinations(CHANNELS, 2)),
        )
        for size in dict.fromkeys(size for size, _ in found)
    )


def _dose(dose: DoseReport) -> str:
    if not dose.measured:
        return (dose.reason or "not measured").partition(":")[0]
    failed = f", {dose.failures} failed" if dose.failures else ""
    return f"{percent(dose.score)} [{percent(dose.ci_low)}, {percent(dose.ci_high)}]{failed}"


def _apart(one: DoseDifference | None) -> str:
    if one is None:
        return NOTHING
    return f"{points(one.delta)} [{points(one.ci_low)}, {points(one.ci_high)}]"


def dose_notes(report: Report, skill: str) -> list[str]:
    """What the curve is, where channels cross, and what was not measured."""
    found = [dose for dose in report.doses if dose.skill == skill]
    if not found:
        return []
    arms: dict[str, list[str]] = {}
    for dose in found:
        if not dose.measured:
            arms.setdefault(dose.reason or "not measured", []).append(dose.arm)
    crossed = [one.sentence for one in report.crossovers if one.skill == skill]
    return [EXPLORATORY, *crossed, *(f"{', '.join(names)}: {why}" for why, names in arms.items())]


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
