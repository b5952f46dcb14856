"""Where the figures come from: the run's metadata, its hashes, versions and command.

It does not know what a run records; whatever it is handed is shown.
"""

from collections.abc import Iterator, Mapping
from typing import Any

from rag_adapt.bench.figures import Report
from rag_adapt.bench.page.evidence import Evidence
from rag_adapt.bench.page.markup import Child, Html, details, el, table, text_columns

SHOWN_FIRST = ("id", "created", "command", "plan_hash", "code")


def small_plan(run: Mapping[str, Any]) -> Html | None:
    """The warning that only some of the items were asked."""
    items, available = run.get("items", {}), run.get("available_items", {})
    small = [
        f"{skill} {count} of {available[skill]}"
        for skill, count in items.items()
        if count < available.get(skill, count)
    ]
    if not small:
        return None
    said = (
        f" Test items asked: {', '.join(small)}. Intervals are wide at this size, and verdicts "
        "may change with all items."
    )
    return el("p", el("strong", "A small run."), said, class_="notice", role="note")


def provenance(report: Report, evidence: Evidence) -> Html:
    """The last section: everything needed to run it again."""
    run = report.run
    rows: list[tuple[Child, ...]] = [
        (name.replace("_", " "), str(run[name])) for name in SHOWN_FIRST[:2] if name in run
    ]
    rows += [
        ("plan hash", el("code", str(run.get("plan_hash", "")))),
        ("rag-adapt", str(run.get("code", ""))),
        ("report schema", report.schema_version),
        ("answers read", f"{evidence.answers:,}"),
    ]
    rest = [
        details(name.replace("_", " "), _facts(name, run[name]))
        for name in run
        if name not in SHOWN_FIRST
    ]
    return el(
        "section",
        el("h2", "About this run"),
        el("p", "Every figure can be recomputed from answers.jsonl, beside this page."),
        el("pre", el("code", str(run.get("command", "")))),
        table("The run", text_columns("what", "value"), rows, class_="facts"),
        el("div", *rest, class_="fold"),
        class_="skill",
        id="run",
    )


def _facts(name: str, value: Any) -> Html:
    rows: list[tuple[Child, ...]] = [(path, el("code", text)) for path, text in _flat("", value)]
    columns = text_columns("what", "value")
    return table(name.replace("_", " "), columns, rows, class_="facts", captioned=False)


def _flat(path: str, value: Any) -> Iterator[tuple[str, str]]:
    """Paths and leaves of nested JSON."""
    if isinstance(value, Mapping) and value:
        for key, inner in value.items():
            yield from _flat(f"{path}.{key}" if path else str(key), inner)
    elif isinstance(value, list | tuple):
        yield path, ", ".join(map(str, value))
    else:
        yield path, str(value)
