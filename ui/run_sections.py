"""The parts of a report, each drawn when it is chosen: scores, costs, items, evidence, learning.

They do not know how any figure is obtained.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

import streamlit as st

from rag_adapt.client import Client
from rag_adapt.schemas.records import Report
from ui import run_charts as charts
from ui.faults import shown
from ui.figure import figure
from ui.run_charts import Chart
from ui.run_kept import timed_of
from ui.run_tables import (
    arm_rows,
    guard_rows,
    latency_rows,
    pair_rows,
    retrieved_rows,
    tuning_rows,
)
from ui.run_turns import show_confusions, show_turns
from ui.wording import Row, plural

MISSING: Final = "This run has no figures for it."


@dataclass(frozen=True, kw_only=True)
class Shown:
    """What is looked at."""

    client: Client
    run: str
    report: Report
    skill: str


Section = Callable[[Shown], None]


def sections_of(what: Shown) -> dict[str, Section]:
    """The parts that this skill has something for, by the words that choose them."""
    report, skill = what.report, what.skill
    evidence = any(one.skill == skill for one in report.retrieved)
    trained = any(arm.adapters for arm in report.arms if arm.skill == skill)
    dosed = any(one.skill == skill for one in report.doses)
    labelled = report.run.get("scorers", {}).get(skill) == "label"
    parts: dict[str, tuple[Section, bool]] = {
        "Scores": (_scores, True),
        "Cost and time": (_costs, True),
        "Fixed and broken": (_items, True),
        "Labels": (_labels, labelled),
        "Evidence": (_evidence, evidence),
        "Learning": (_learning, trained or dosed),
        "More": (_more, True),
    }
    return {words: part for words, (part, there) in parts.items() if there}


def _scores(what: Shown) -> None:
    """Scores and paired differences; controls apart; what was not measured, with its reason."""
    report, skill = what.report, what.skill
    _draw(what, charts.scores(report, skill), charts.differences(report, skill))
    _table("Routes", arm_rows(report, skill, control=False))
    _table("Control arms", arm_rows(report, skill, control=True))
    if left_out := [arm for arm in report.arms if arm.skill == skill and not arm.measured]:
        st.subheader("Not measured", anchor=False)
        for arm in left_out:
            st.text(f"{arm.arm}: {arm.reason or 'no reason was kept'}")
    _table("Paired differences", pair_rows(report, skill))


def _costs(what: Shown) -> None:
    """Score against cost, and how long answers took."""
    _draw(what, charts.costs(what.report, what.skill))
    with shown():
        known = {arm.arm for arm in what.report.arms if arm.skill == what.skill}
        timed = timed_of(what.client, what.run, what.skill)
        _draw(what, charts.latencies([row for row in timed if row.arm in known], what.skill))
    _table("Time of an answer", latency_rows(what.report, what.skill))


def _items(what: Shown) -> None:
    with shown():
        show_turns(what.client, what.run, what.report, what.skill)


def _labels(what: Shown) -> None:
    with shown():
        show_confusions(what.client, what.run, what.report, what.skill)


def _evidence(what: Shown) -> None:
    """What retrieval found, and what that did to the answers."""
    _draw(what, charts.retrieval(what.report, what.skill))
    st.caption("Rescued: wrong without passages and right with them. Harmed: the other way round.")
    _table("What retrieval found", retrieved_rows(what.report, what.skill))


def _learning(what: Shown) -> None:
    """Score by the number of examples, and what training taught."""
    report, skill = what.report, what.skill
    _draw(what, charts.doses(report, skill))
    for one in report.crossovers:
        if one.skill == skill:
            st.text(one.sentence)
    for dose in report.doses:
        if dose.skill == skill and not dose.measured:
            st.text(
                f"{dose.channel} with {plural(dose.examples, 'example')} was not measured: "
                f"{dose.reason or 'no reason was kept'}"
            )
    _draw(what, charts.learning(report, skill))
    _table("What training damaged", guard_rows(report, skill))


def _more(what: Shown) -> None:
    """What else the run found out, as sentences; what each route was given."""
    report, skill = what.report, what.skill
    said = [one.sentence for one in report.readouts if one.skill == skill]
    said += [one.sentence for one in report.interactions if one.skill == skill]
    leaks = [one for one in report.leaks if one.skill == skill]
    said += [
        f"{plural(len(one.found), 'leak')} among {plural(one.checked, 'test item')}."
        for one in leaks
    ]
    if said:
        st.subheader("What else was found", anchor=False)
    for sentence in said:
        st.text(sentence)
    found = [leak for one in leaks for leak in one.found]
    _table(
        "Test items that were met elsewhere",
        [
            {"item": leak.item, "met in": leak.where, "similarity": round(leak.similarity, 3)}
            for leak in found
        ],
    )
    _table("What each route was given, and what it tried on dev", tuning_rows(report, skill))
    if not said and not found:
        st.caption(MISSING)


def _draw(what: Shown, *drawn: Chart | None) -> None:
    for chart in drawn:
        if chart is not None:
            figure(chart, key=f"{what.run}-{what.skill}-{chart.file}")


def _table(title: str, rows: list[Row]) -> None:
    if rows:
        st.subheader(title, anchor=False)
        st.dataframe(rows, hide_index=True, alt=title)
