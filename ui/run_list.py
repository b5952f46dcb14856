"""Past runs, and two of them compared.

It does not know how anything is measured.
"""

from typing import Final

import streamlit as st

from rag_adapt.client import Client
from rag_adapt.schemas.records import Comparison
from rag_adapt.schemas.runs import RunInfo
from ui.faults import shown
from ui.figure import figure
from ui.job_watch import listed, open_only
from ui.run_charts import changes
from ui.run_kept import compared_of
from ui.wording import NOTHING, day, percent, points, points_between, table_csv

AT_ONCE: Final = 10
"""Runs on one page."""
CHOICES: Final = 100
"""Newest runs that can be compared."""


@st.fragment
def list_runs(client: Client) -> None:
    """One page of them, newest first, each with a button that opens it; turned by itself."""
    with shown():
        cursor = st.query_params.get("cursor")
        found = client.runs.page(limit=AT_ONCE, cursor=cursor)
        if not found.data:
            st.info("No run yet. Choose a skill above and press Plan: nothing starts before Start.")
            return
        for run in found.data:
            _line(run)
        with st.container(horizontal=True):
            if cursor:
                st.button("Newest", on_click=_turn, args=(None,))
            if found.next:
                st.button("Older", on_click=_turn, args=(found.next,))


def _turn(cursor: str | None) -> None:
    """Which page of the list the address names."""
    if cursor is None:
        st.query_params.pop("cursor", None)
    else:
        st.query_params["cursor"] = cursor


def _line(run: RunInfo) -> None:
    with listed():
        state = "" if run.state == "complete" else " · stopped or still at work"
        st.text(f"{day(run.created)} · {', '.join(run.skills)}{state}")
        st.text(", ".join(run.arms))
        if st.button("Read", key=f"read-{run.id}"):
            open_only("run", run.id)


def choose_two(client: Client) -> None:
    """Two runs to be compared.

    Raises:
        ApiError: the service gave no list.
    """
    runs = [run for run in client.runs.page(limit=CHOICES).data if run.state == "complete"]
    if len(runs) < 2:
        st.caption("Two runs can be compared as soon as there are two.")
        return
    names = {run.id: f"{day(run.created)} {', '.join(run.skills)} ({run.id})" for run in runs}
    with st.form("compare"):
        before = st.selectbox("Before", list(names), index=1, format_func=names.__getitem__)
        after = st.selectbox("After", list(names), index=0, format_func=names.__getitem__)
        wanted = st.form_submit_button("Compare")
    if wanted and before and after:
        st.query_params.clear()
        st.query_params.update({"a": before, "b": after})
        st.rerun()


def show_comparison(client: Client, a: str, b: str) -> None:
    """Scores of both and their paired difference, arm by arm.

    Raises:
        ApiError: there is no such run.
    """
    found = compared_of(client, a, b)
    st.text(f"{b} minus {a}, on the items that both answered.")
    if found.comparable:
        st.caption("Nothing is tested here, so there is no verdict.")
    else:
        st.warning("A difference may have another cause than what was meant to be tried.")
        for reason in found.reasons:
            st.text(reason)
    for skill in dict.fromkeys(arm.skill for arm in found.arms):
        if (chart := changes(found, skill)) is not None:
            figure(chart, key=f"changes-{skill}")
    st.subheader("Scores of both runs", anchor=False)
    st.dataframe(_arms(found), hide_index=True, alt="Scores of both runs")
    _turned(found)
    if found.different:
        st.subheader("What else differs", anchor=False)
        st.dataframe(
            [{"what": o.what, "before": str(o.a), "after": str(o.b)} for o in found.different],
            hide_index=True,
            alt="What else differs",
        )


@st.fragment
def _turned(found: Comparison) -> None:
    """The items that one arm fixed and broke from the one run to the other."""
    arms = [arm for arm in found.arms if arm.change and (arm.change.fixed or arm.change.broken)]
    if not arms:
        return
    st.subheader("Items that turned", anchor=False)
    names = [f"{arm.skill}: {arm.arm}" for arm in arms]
    chosen = st.selectbox("Arm", names, index=None, key=f"turned-{found.a}-{found.b}")
    if chosen is None:
        st.caption("Choose an arm to see which items it fixed and broke.")
        return
    change = arms[names.index(chosen)].change
    assert change is not None  # such arms were left out above
    rows = [
        {"item": item, "turned": turn}
        for turn, items in (("fixed", change.fixed), ("broken", change.broken))
        for item in items
    ]
    st.dataframe(rows, hide_index=True, alt="Items that turned")
    st.download_button(
        "Download the data (CSV)", table_csv(rows), file_name="turned.csv", on_click="ignore"
    )


def _arms(found: Comparison) -> list[dict[str, str | int]]:
    rows: list[dict[str, str | int]] = []
    for arm in found.arms:
        change = arm.change
        rows.append(
            {
                "skill": arm.skill,
                "arm": arm.arm,
                "before": percent(arm.a.score if arm.a else None),
                "after": percent(arm.b.score if arm.b else None),
                "change (points)": points(change.delta if change else None),
                "95 % interval": points_between(change.ci_low, change.ci_high)
                if change
                else NOTHING,
                "items": change.n if change else 0,
                "fixed": len(change.fixed) if change else 0,
                "broken": len(change.broken) if change else 0,
            }
        )
    return rows
