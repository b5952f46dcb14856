"""The report of a finished run: what to do first, then what that rests on.

It does not know how any figure is obtained.
"""

import json
from typing import Any, Final

import streamlit as st

from rag_adapt.client import ApiError, Client
from rag_adapt.schemas.records import Report
from rag_adapt.schemas.runs import RunDetail
from ui.faults import shown
from ui.figure import figure
from ui.plain import label
from ui.run_charts import charts
from ui.run_turns import show_confusions, show_turns
from ui.wording import (
    NOTHING,
    Row,
    between,
    day,
    duration,
    percent,
    plural,
    points,
    points_between,
)

BASES: Final = {
    "decided": "Decided by the test.",
    "non-inferior": "Not worse than the best by more than the margin, and cheaper.",
    "undecided": "Nothing is decided: this is the best expected choice.",
    "not measured": "Nothing was measured.",
}


def show_run(client: Client, id: str) -> None:
    """The whole report, or why there is none yet.

    Raises:
        ApiError: `run-not-found`.
    """
    run = client.runs.show(id)
    st.text(f"{', '.join(run.skills)} · {run.model} on {run.engine} · {day(run.created)} UTC")
    if run.state != "complete":
        st.info(
            "This run is not finished: there is no verdict before its end. Where it was "
            "interrupted, plan and start the same again: what was answered is kept."
        )
        return
    report = _report(client, id)
    if report is None:
        return
    for skill in dict.fromkeys(arm.skill for arm in report.arms):
        _recommendation(report, skill)
    _downloads(client, id)
    _skills(client, id, report)
    _provenance(run)


def _report(client: Client, id: str) -> Report | None:
    """The figures; those that another version wrote can only be taken along."""
    try:
        return client.runs.report(id)
    except ApiError as error:
        if error.code != "unreadable-answer":
            raise
    st.warning("Another version of rag-adapt wrote this report: it can be downloaded, not drawn.")
    _downloads(client, id)
    return None


def _recommendation(report: Report, skill: str) -> None:
    """The sentence on top, with its basis and what choosing it may cost."""
    for one in report.recommendations:
        if one.skill != skill:
            continue
        with st.container(border=True):
            st.caption(label(skill))
            st.subheader(label(one.sentence, most=600), anchor=False)
            st.text(BASES[one.basis])
            route, regret, more = st.columns(3)
            route.metric("Route", label(one.route or "none"))
            regret.metric(
                "Expected regret",
                NOTHING if one.regret is None else f"{100 * one.regret:.1f} points",
                help="How far choosing it now is expected to fall short of the best route.",
            )
            more.metric("Items that would decide it", _to_decide(one.basis, one.n_to_decide))


def _to_decide(basis: str, count: int | None) -> str:
    if count is not None:
        return f"{count:,}"
    return "decided" if basis == "decided" else NOTHING


def _downloads(client: Client, id: str) -> None:
    """Fetched when they are wanted: the page is more than a megabyte."""
    if not st.toggle("Downloads", key=f"downloads-{id}"):
        return
    with shown(), st.container(horizontal=True):
        document = json.dumps(client.runs.report_document(id), ensure_ascii=False, indent=1)
        st.download_button(
            "report.json",
            document,
            file_name=f"{id}.json",
            mime="application/json",
            on_click="ignore",
        )
        st.download_button(
            "report.html",
            client.runs.report_page(id),
            file_name=f"{id}.html",
            mime="text/html",
            on_click="ignore",
        )


def _skills(client: Client, id: str, report: Report) -> None:
    """One skill at a time."""
    names = list(dict.fromkeys(arm.skill for arm in report.arms))
    if not names:
        return
    skill = names[0] if len(names) == 1 else st.selectbox("Skill", names, key=f"skill-{id}")
    if skill is None:
        return
    st.header("Figures", anchor=False)
    for place, chart in enumerate(charts(report, skill)):
        figure(chart, key=f"{id}-{place}")
    _arms(report, skill)
    _pairs(report, skill)
    _answers(client, id, report, skill)
    _beside(report, skill)


@st.fragment
def _answers(client: Client, id: str, report: Report, skill: str) -> None:
    """What answers show; drawn by itself, so that a choice here draws no chart again."""
    st.header("Fixed and broken items", anchor=False)
    with shown():
        show_turns(client, id, report, skill)
    if report.run.get("scorers", {}).get(skill) == "label":
        st.header("Mixed-up labels", anchor=False)
        with shown():
            show_confusions(client, id, report, skill)


def _arms(report: Report, skill: str) -> None:
    """Every arm in numbers; controls apart, and what was not measured with its reason."""
    arms = [arm for arm in report.arms if arm.skill == skill]
    for title, control in (("Routes", False), ("Control arms", True)):
        rows = [_arm(arm) for arm in arms if arm.measured and arm.control == control]
        if rows:
            st.header(title, anchor=False)
            st.dataframe(rows, hide_index=True, alt=title)
    if left_out := [arm for arm in arms if not arm.measured]:
        st.header("Not measured", anchor=False)
        for arm in left_out:
            st.text(f"{arm.arm}: {arm.reason or 'no reason was kept'}")


def _arm(arm: Any) -> Row:
    """One row of an arm's figures."""
    over = arm.difference
    return {
        "arm": arm.arm,
        "score": percent(arm.score),
        "95 % interval": between(arm.ci_low, arm.ci_high),
        "items": arm.n,
        "failures": arm.failures,
        "over the best control": NOTHING if over is None else f"{points(over.value)} points",
        "cost": NOTHING if arm.cost is None else f"{arm.cost.value:.3g} {arm.cost.unit}",
        "median answer": duration(arm.latency_p50),
    }


def _pairs(report: Report, skill: str) -> None:
    rows = [
        {
            "contrast": f"{pair.b} over {pair.a}",
            "verdict": pair.verdict,
            "difference (points)": points(pair.delta),
            "95 % interval": points_between(pair.ci_low, pair.ci_high),
            "fixed": pair.fixed,
            "broken": pair.broken,
            "items": pair.n,
            "p (Holm)": "< 0.001" if pair.p_holm < 0.001 else f"{pair.p_holm:.3f}",
            "detectable (points)": f"{100 * pair.mde:.0f}",
        }
        for pair in report.pairs
        if pair.skill == skill
    ]
    if rows:
        st.header("Paired differences", anchor=False)
        st.dataframe(rows, hide_index=True, alt="Paired differences")


def _beside(report: Report, skill: str) -> None:
    """What else the run found out, as sentences."""
    said = [one.sentence for one in report.readouts if one.skill == skill]
    said += [one.sentence for one in report.interactions if one.skill == skill]
    leaks = [one for one in report.leaks if one.skill == skill]
    said += [
        f"{plural(len(one.found), 'leak')} among {plural(one.checked, 'test item')}."
        for one in leaks
    ]
    if said:
        st.header("What else was found", anchor=False)
    for sentence in said:
        st.text(sentence)
    for one in leaks:
        rows = [
            {"item": leak.item, "met in": leak.where, "similarity": round(leak.similarity, 3)}
            for leak in one.found
        ]
        if rows:
            st.dataframe(rows, hide_index=True, alt="Test items that were met elsewhere")


def _provenance(run: RunDetail) -> None:
    with st.expander("How to make it again"):
        st.code(run.command, language=None, wrap_lines=True)
        st.json(run.plan, expanded=False)
