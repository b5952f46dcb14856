"""The whole page, written piece by piece: head, answers first, one section per skill, the run.

It does not know any section's content. The page forbids itself every load from outside.
"""

import base64
import hashlib
import os
from collections.abc import Callable, Iterator
from importlib.metadata import version
from importlib.resources import files
from pathlib import Path
from typing import Final

from rag_adapt.bench.figures import Report
from rag_adapt.bench.page import answers, curve, retrieval, scores, training, verdicts
from rag_adapt.bench.page.charts import CONFIG
from rag_adapt.bench.page.evidence import Evidence, Rows, gather
from rag_adapt.bench.page.markup import Html, el, json_text
from rag_adapt.bench.page.provenance import provenance, small_plan
from rag_adapt.bench.page.subject import Subject, subjects
from rag_adapt.bench.store import write_atomically

PAGE: Final = "report.html"
SECTIONS: Final = (
    verdicts.recommendation,
    scores.scores,
    verdicts.differences,
    scores.costs,
    answers.fixed_and_broken,
    answers.confusion,
    retrieval.retrieval,
    curve.curve,
    training.learning,
    scores.latency,
    scores.controls,
    scores.format_effect,
    training.adapters,
    verdicts.interactions,
    verdicts.leaks,
    verdicts.readout,
    training.given,
)
"""Parts of a skill's section in their order; one with nothing to show is left out."""


def chart_library(folder: Path) -> str:
    """Vega, Vega-Lite and their embedding as one script, from the installed package.

    Bundling takes seconds, so the script is kept, one per version of that package.

    Args:
        folder: Where it is kept; made where it is missing.
    """
    file = folder / f"charts-{version('vl-convert-python')}.js"
    if file.is_file():
        return file.read_text(encoding="utf-8")
    import vl_convert

    bundle: str = vl_convert.javascript_bundle("window.vegaEmbed = vegaEmbed;")
    folder.mkdir(parents=True, exist_ok=True)
    write_atomically(file, bundle)
    return bundle


def write_page(report: Report, rows: Rows, path: Path, *, library: Callable[[], str]) -> None:
    """Write the page of a report as one file that needs nothing from anywhere.

    Two readings of the answers; memory grows with items, not with traces or long texts. A
    reader of `path` sees the old page or the whole new one.

    Args:
        report: Its figures.
        rows: Called for each reading of the run's answers, as `RunFolder.rows`.
        path: The file.
        library: The script that draws the charts.
    """
    evidence = gather(report, rows)
    temporary = path.with_name(f".{path.name}.{os.getpid()}")
    try:
        with temporary.open("w", encoding="utf-8", newline="\n") as file:
            for piece in pieces(report, evidence, library=library()):
                file.write(piece)
        temporary.replace(path)
    finally:
        temporary.unlink(missing_ok=True)


def pieces(report: Report, evidence: Evidence, *, library: str) -> Iterator[str]:
    """The page from top to bottom."""
    found = subjects(report, evidence)
    style, draw = _shipped("report.css"), _shipped("report.js")
    charts = Html(library)
    yield '<!doctype html>\n<html lang="en">'
    yield _head(report, style, policy=_policy(scripts=(charts, draw), style=style))
    yield "<body>"
    yield el("a", "Skip to the answers", href="#answers", class_="skip")
    yield _header(report)
    yield '<main id="answers">'
    for subject in found:
        yield verdicts.answer(subject)
    yield small_plan(report.run) or ""
    for subject in found:
        yield _section(subject)
    yield provenance(report, evidence)
    yield "</main>"
    yield el("footer", el("p", "Made by rag-adapt. This page loads nothing and sends nothing."))
    yield el("script", json_text(CONFIG), type="application/json", id="chart-config")
    yield el("script", charts)
    yield el("script", draw)
    yield "</body></html>\n"


def _head(report: Report, style: Html, *, policy: str) -> Html:
    return el(
        "head",
        el("meta", charset="utf-8"),
        el("meta", http_equiv="Content-Security-Policy", content=policy),
        el("meta", name="viewport", content="width=device-width, initial-scale=1"),
        el("meta", name="color-scheme", content="light dark"),
        el("meta", name="referrer", content="no-referrer"),
        el("title", f"rag-adapt report {report.run.get('id', '')}"),
        el("style", style),
    )


def _header(report: Report) -> Html:
    run = report.run
    model = run.get("model", {}).get("model", "unknown model")
    said = f"Run {run.get('id', '')} · {run.get('created', '')[:10]} · model {model}"
    return el(
        "header",
        el("h1", "Prompt, documents or adapter: what this run says"),
        el("p", said, " · ", el("a", "how it was made", href="#run"), class_="meta"),
        el("noscript", el("p", "Charts need scripts; the tables hold the same figures.")),
    )


def _section(subject: Subject) -> Html:
    shown = (section(subject) for section in SECTIONS)
    asked, clusters = subject.asked, subject.told("clusters")
    if asked is not None and clusters is not None:
        asked += f" in {clusters} clusters, scored by {subject.told('scorers')}"
    return el(
        "section",
        el("h2", subject.skill),
        el("p", asked, class_="meta") if asked else None,
        *(part for part in shown if part is not None),
        class_="skill",
        id=f"skill-{subject.number}",
    )


def _shipped(name: str) -> Html:
    return Html(files(__package__).joinpath(name).read_text(encoding="utf-8"))


def _policy(*, scripts: tuple[Html, ...], style: Html) -> str:
    """Nothing but the scripts and the style of this page, named by their hashes."""
    allowed = " ".join(map(_source, scripts))
    return (
        f"default-src 'none'; script-src {allowed}; style-src {_source(style)}; "
        "img-src data:; base-uri 'none'; form-action 'none'"
    )


def _source(text: str) -> str:
    digest = hashlib.sha256(text.encode()).digest()
    return f"'sha256-{base64.b64encode(digest).decode()}'"
