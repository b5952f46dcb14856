"""The report of a finished run: what to do first, then what that rests on.

It does not know how any figure is obtained.
"""

import json
from collections.abc import Callable
from typing import Final

import streamlit as st

from rag_adapt.client import ApiError, Client
from rag_adapt.schemas.records import Report
from rag_adapt.schemas.runs import RunDetail
from ui.faults import shown
from ui.plain import label
from ui.run_kept import report_of
from ui.run_progress import show_unfinished
from ui.run_sections import Shown, sections_of
from ui.wording import NOTHING, day

BASES: Final = {
    "decided": "Decided by the test.",
    "non-inferior": "Not worse than the best by more than the margin, and cheaper.",
    "undecided": "Nothing is decided: this is the best expected choice.",
    "not measured": "Nothing was measured.",
}


def show_run(client: Client, id: str) -> None:
    """The whole report, or how far the run is that has none yet.

    Raises:
        ApiError: `run-not-found`.
    """
    run = client.runs.show(id)
    st.text(f"{', '.join(run.skills)} · {run.model} on {run.engine} · {day(run.created)} UTC")
    if run.state != "complete":
        show_unfinished(client, id)
        return
    report = _report(client, run)
    if report is None:
        return
    for skill in dict.fromkeys(arm.skill for arm in report.arms):
        _recommendation(report, skill)
    _downloads(client, id)
    _skills(client, run, report)
    _provenance(run)


def _report(client: Client, run: RunDetail) -> Report | None:
    """The figures; those that another version wrote can only be taken along."""
    try:
        return report_of(client, run)
    except ApiError as error:
        if error.code != "unreadable-answer":
            raise
    st.warning("Another version of rag-adapt wrote this report: it can be downloaded, not drawn.")
    _downloads(client, run.id)
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
            with st.container(horizontal=True):
                st.metric("Route", label(one.route or "none"), width="content")
                st.metric(
                    "Expected regret",
                    NOTHING if one.regret is None else f"{100 * one.regret:.1f} points",
                    width="content",
                    help="How far choosing it now is expected to fall short of the best route.",
                )
                st.metric(
                    "Items that would decide it",
                    _to_decide(one.basis, one.n_to_decide),
                    width="content",
                )


def _to_decide(basis: str, count: int | None) -> str:
    if count is not None:
        return f"{count:,}"
    return "decided" if basis == "decided" else NOTHING


@st.fragment
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


@st.fragment
def _skills(client: Client, run: RunDetail, report: Report) -> None:
    """One skill and one part of its figures at a time; drawn by itself at every choice."""
    names = list(dict.fromkeys(arm.skill for arm in report.arms))
    if not names:
        return
    skill = names[0] if len(names) == 1 else st.selectbox("Skill", names, key=f"skill-{run.id}")
    if skill is None:
        return
    what = Shown(client=client, run=run.id, report=report, skill=skill)
    parts: dict[str, Callable[[Shown], None]] = sections_of(what)
    chosen = st.segmented_control(
        "Part of the report",
        list(parts),
        default=next(iter(parts)),
        required=True,
        key=f"part-{run.id}-{skill}",
        label_visibility="collapsed",
    )
    parts[chosen or next(iter(parts))](what)


def _provenance(run: RunDetail) -> None:
    with st.expander("How to make it again"):
        st.code(run.command, language=None, wrap_lines=True)
        st.json(run.plan, expanded=False)
