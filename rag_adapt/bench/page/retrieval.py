"""Retrieval on the page: whether the evidence was found, and what that did to the score.

It does not know how passages are searched.
"""

from rag_adapt.bench.figures import Retrieved, Subset
from rag_adapt.bench.page import charts
from rag_adapt.bench.page.charts import Chart
from rag_adapt.bench.page.figure import figure
from rag_adapt.bench.page.markup import Child, Html, number_columns, table, text_columns
from rag_adapt.bench.page.subject import Subject
from rag_adapt.bench.page.wording import interval, part
from rag_adapt.bench.table import NOTHING, percent


def retrieval(subject: Subject) -> Html | None:
    """Hit against score, rescue and harm."""
    if not subject.retrieved:
        return None
    rows = tuple(row for found in subject.retrieved for row in _points(found))
    chart = Chart(
        title="Score where the evidence was found, and where it was not",
        sentence=(
            "Mean score with its 95 % interval, apart for items whose gold span stood whole in a "
            "passage that was sent (filled) and for those where none did (hollow)."
        ),
        spec=charts.found(rows),
        file=f"{subject.file}-retrieval",
        rows=rows,
    )
    return part("Retrieval and score", figure(chart), _rates(subject), _turned(subject))


def _points(found: Retrieved) -> list[dict[str, object]]:
    kinds = (("found", found.score_hit), ("missed", found.score_missed))
    return [
        {
            "arm": found.arm,
            "evidence": kind,
            "missed": kind == "missed",
            "score": subset.score,
            "ci_low": subset.ci_low,
            "ci_high": subset.ci_high,
            "n": subset.n,
        }
        for kind, subset in kinds
        if subset is not None
    ]


def _rates(subject: Subject) -> Html:
    columns = (
        *text_columns("arm"),
        *number_columns("items", "found %", "95 %", "score % if found", "n", "if missed", "n"),
    )
    rows: list[tuple[Child, ...]] = [
        (
            found.arm,
            found.n,
            percent(found.hit_rate),
            interval(found.ci_low, found.ci_high),
            *_subset(found.score_hit),
            *_subset(found.score_missed),
        )
        for found in subject.retrieved
    ]
    return table(
        "How often the evidence was sent, and the score with and without it", columns, rows
    )


def _subset(subset: Subset | None) -> tuple[Child, Child]:
    return (NOTHING, 0) if subset is None else (percent(subset.score), subset.n)


def _turned(subject: Subject) -> Html | None:
    rows: list[tuple[Child, ...]] = [
        (
            found.arm,
            found.against,
            f"{found.rescued} of {found.wrong_without}",
            f"{found.harmed} of {found.right_without}",
        )
        for found in subject.retrieved
        if found.against is not None
    ]
    if not rows:
        return None
    columns = (*text_columns("arm", "against"), *number_columns("rescued", "harmed"))
    caption = "Rescued: wrong without the passages, right with them; harmed: the opposite"
    return table(caption, columns, rows)
