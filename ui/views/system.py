"""The page System: which parts are ready, what was counted, what the doctor says, which versions.

It does not know how any of it is found out.
"""

import time
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from typing import Final, Literal

import streamlit as st

from rag_adapt import __version__
from rag_adapt.client import ApiError
from rag_adapt.schemas.system import FindingInfo, SystemInfo
from ui.connection import service
from ui.counted import Counted, counted
from ui.faults import shown
from ui.plain import label
from ui.wording import NOTHING, duration

FRESH: Final = 10.0  # seconds for which a tab shows what the doctor said; the service does so too
TOLD: Final = "system.told"  # in the state of a tab: when the doctor was heard, and what it said
DRAWN: Final = "system.drawn"  # the same: when the page was drawn, after which it is asked
SIGNS: Final[dict[str, tuple[str, Literal["green", "orange", "red"]]]] = {
    "ok": (":material/check_circle:", "green"),
    "warning": (":material/warning:", "orange"),
    "fault": (":material/error:", "red"),
}


def show_parts() -> None:
    """What answers depend on, without which questions are refused."""
    st.subheader("Parts", anchor=False)
    found = service().catalog.ready()
    for one in found.parts:
        icon, colour = SIGNS["ok" if one.ready else "warning"]
        with st.container(horizontal=True, vertical_alignment="center", gap="small"):
            st.badge(
                label(f"{one.name} {'ready' if one.ready else 'not ready'}"),
                icon=icon,
                color=colour,
            )
            st.text(one.detail)
    if not found.ready:
        st.caption("Questions are refused until every part is ready; look again in a moment.")


def show_counted() -> None:
    """What was asked and answered since the service started; needs the scope `bench`."""
    st.subheader("Since it started", anchor=False)
    try:
        found = counted(service().catalog.metrics())
    except ApiError as error:
        if error.status != 403:
            raise
        st.info("What was counted is for keys of the scope `bench`.")
        st.text(error.hint)
        return
    _figures(found)
    if not found.routes:
        st.caption("No question was asked yet: the page Chat asks some.")
        return
    rows = [
        {
            "route": one.name,
            "answered": one.answered,
            "failed": one.failed,
            "stopped": one.cancelled,
            "tokens read": one.tokens_in,
            "tokens written": one.tokens_out,
            "first token, mean": NOTHING if one.first_token is None else duration(one.first_token),
            "answer, mean": NOTHING if one.seconds is None else duration(one.seconds),
        }
        for one in found.routes
    ]
    st.dataframe(rows, hide_index=True, alt="Answers by route")


def _figures(found: Counted) -> None:
    told = {
        "Answers": (found.answered, "Of all routes, the chat's and everybody's."),
        "Failed answers": (found.failed, "Asked, and ended with an error."),
        "Tokens read": (found.tokens_in, "Of prompts."),
        "Tokens written": (found.tokens_out, "Of answers."),
        "Adapters loaded": (found.loads, "Made ready to answer, and proven."),
        "Loads that failed": (found.failed_loads, "Their routes answered 503."),
        "Adapters let go": (found.unloads, "By hand, to make room, or by a restart."),
        "Failed proofs": (found.proof_failures, "An adapter was not shown to be active."),
        "Traces lost": (found.traces_lost, "Answers whose trace could not be kept."),
        "Requests": (found.requests, "Over HTTP, these pages' own among them."),
        "Refused": (found.refused, "Answered with 4xx: the caller can mend it."),
        "Faults": (found.faults, "Answered with 5xx: the service's log says why."),
    }
    with st.container(horizontal=True):
        for name, (value, meaning) in told.items():
            st.metric(name, f"{value:,}", help=meaning, width=130)


def show_system() -> None:
    """What needs the scope `admin`; with another key that is said instead.

    Raises:
        ApiError: the machine could not be examined.
    """
    told = st.session_state.get(TOLD)
    if told is None or time.monotonic() - told[0] > FRESH:
        _examine()
        return
    found = told[1]
    if isinstance(found, ApiError):
        if found.status != 403:
            raise found
        st.info("What the doctor says, versions and the engine are for keys of the scope `admin`.")
        st.text(found.hint)
        return
    _summary(found)
    _findings(found.findings)
    st.subheader("Versions", anchor=False)
    rows = [{"package": name, "version": version} for name, version in found.versions.items()]
    st.dataframe([*rows, {"package": "this page", "version": __version__}], hide_index=True)


@st.fragment(run_every=0.1)
def _examine() -> None:
    """Ask once the page stands: the doctor needs a second, and the rest need not wait for it."""
    st.subheader("What the doctor says", anchor=False)
    st.caption("It looks at the machine …")
    drawn = st.session_state.get(DRAWN)
    if drawn is None or time.monotonic() - drawn > FRESH:
        st.session_state[DRAWN] = time.monotonic()
        return
    found: SystemInfo | ApiError
    with shown():
        try:
            found = service().catalog.system()
        except ApiError as error:
            if error.status == 401:
                raise
            found = error
        _forget()
        st.session_state[TOLD] = (time.monotonic(), found)
        st.rerun()


def _forget() -> None:
    """Let the doctor look again."""
    st.session_state.pop(TOLD, None)
    st.session_state.pop(DRAWN, None)


def _summary(found: SystemInfo) -> None:
    st.subheader("Engine", anchor=False)
    engine = found.engine
    facts = {
        "engine": engine.engine,
        "model": engine.model,
        "weights": engine.weights[:12],
        "precision": engine.dtype,
        "device": engine.device,
        "running for": str(timedelta(seconds=int(found.uptime))),
    }
    st.dataframe([facts], hide_index=True)


def _findings(findings: Sequence[FindingInfo]) -> None:
    st.subheader("What the doctor says", anchor=False)
    wrong = [one for one in findings if one.state != "ok"]
    if not wrong:
        st.success("Every check passed.", icon=":material/check_circle:")
    for one in wrong:
        with st.container(border=True):
            icon, colour = SIGNS[one.state]
            st.badge(label(one.name), icon=icon, color=colour)
            st.text(one.what)
            if one.remedy:
                st.code(one.remedy, language=None, wrap_lines=True)
    with st.expander(f"All {len(findings)} checks"):
        rows = [{"check": one.name, "state": one.state, "finding": one.what} for one in findings]
        st.dataframe(rows, hide_index=True)


st.title("System", anchor=False)
st.caption(f"{label(service().base_url)} at {datetime.now(UTC):%H:%M:%S} UTC")
st.button("Look again", icon=":material/refresh:", on_click=_forget)
with shown():
    show_parts()
with shown():
    show_counted()
with shown():
    show_system()
