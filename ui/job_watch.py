"""A job on a page: how far it is, its end, and a button that asks for one.

It does not know what any job does. The job lives on the service: leaving the page stops nothing.
"""

import time
from collections.abc import Callable, Collection
from typing import Final

import streamlit as st
from streamlit.delta_generator import DeltaGenerator

from rag_adapt.client import ApiError, Client
from rag_adapt.schemas.jobs import JobInfo
from ui.faults import show, shown
from ui.wording import duration, moment

EVERY: Final = 2.0
"""Seconds between two looks at a job."""
OVER: Final = frozenset({"done", "failed", "cancelled", "interrupted"})
LEFT: Final = 5
"""Unfinished jobs that a page lists."""


Beside = Callable[[Client, JobInfo], None]


def watch(client: Client, id: str, *, beside: Beside | None = None) -> JobInfo | None:
    """Show a job, again and again until it has ended; None where it cannot be read.

    Once it has ended the whole page is drawn again, so that it can go on with what was made.

    Args:
        client: Of the service.
        id: Of the job.
        beside: Draws what else there is to see of it, as often as it is looked at.
    """
    try:
        job = client.jobs.show(id)
    except ApiError as error:
        show(error)
        return None
    if job.state in OVER:
        _ended(job)
    else:
        _moving(client, id, beside)
    return job


def go_on(job: JobInfo, *, prefix: str, parameter: str, words: str) -> None:
    """A button that leads from a finished job to what it made.

    Args:
        job: The job.
        prefix: What the path of the result begins with, such as `/v1/runs/`.
        parameter: The query parameter that names such a thing on this page.
        words: On the button.
    """
    if job.result is None or not job.result.startswith(prefix):
        return
    if st.button(words, type="primary"):
        open_only(parameter, job.result.removeprefix(prefix))


def open_only(parameter: str, value: str) -> None:
    """Look at one thing: the address names it and nothing else."""
    st.query_params.clear()
    st.query_params[parameter] = value
    st.rerun()


def back(words: str) -> None:
    """A button that leads to the page's beginning."""
    if st.button(words, icon=":material/arrow_back:"):
        st.query_params.clear()
        st.rerun()


def listed() -> DeltaGenerator:
    """The frame of one line of a list: words to the left, its button to the right."""
    return st.container(
        border=True,
        horizontal=True,
        horizontal_alignment="distribute",
        vertical_alignment="center",
    )


def unfinished(client: Client, commands: Collection[str]) -> list[JobInfo]:
    """Jobs of these commands that run or wait, those that run first.

    Args:
        client: Of the service.
        commands: First words, such as `bench`, or first two, such as `adapters train`.

    Raises:
        ApiError: the service gave no list.
    """
    found = [
        job
        for state in ("running", "queued")
        for job in client.jobs.page(state=state, limit=50).data
    ]
    return [j for j in found if j.command[:1][0] in commands or " ".join(j.command[:2]) in commands]


def list_unfinished(client: Client, commands: Collection[str]) -> None:
    """Each job with a button that opens it, by the query parameter `job`."""
    jobs = unfinished(client, commands)
    if not jobs:
        return
    st.subheader("At work")
    for job in jobs[:LEFT]:
        with listed():
            st.text(f"{job.state}, since {moment(job.started or job.created)}")
            st.text(" ".join(job.command))
            if st.button("Watch", key=f"watch-{job.id}"):
                st.query_params["job"] = job.id
                st.rerun()


@st.fragment(run_every=EVERY)
def _moving(client: Client, id: str, beside: Beside | None) -> None:
    """The part of the page that draws itself anew."""
    try:
        job = client.jobs.show(id)
    except ApiError as error:
        show(error)
        return
    if job.state in OVER:
        st.rerun()
    _progress(job)
    asked = st.button("Cancel", disabled=job.cancelling, help="What is finished is kept.")
    if asked:
        _cancel(client, id)
    if beside is not None:
        with shown():
            beside(client, job)


def _progress(job: JobInfo) -> None:
    if job.state == "queued":
        st.info("It waits for its turn: one job runs at a time.")
        return
    told = job.progress
    if told is None:
        st.progress(0.0, text="It has begun.")
    else:
        share = min(1.0, told.done / told.total) if told.total else 0.0
        st.progress(share, text=f"{told.done:,} of {told.total:,} in this stage")
        st.text(f"{told.stage} {told.note}".strip())
    if job.started is not None:
        st.caption(f"Running for {duration(max(0.0, time.time() - job.started))}.")
    if job.cancelling:
        st.info("It is being cancelled; what is finished is kept.")


def _cancel(client: Client, id: str) -> None:
    try:
        client.jobs.cancel(id)
    except ApiError as error:
        show(error)
        return
    st.rerun()


def _ended(job: JobInfo) -> None:
    """How it ended, in words."""
    if job.state == "done":
        st.success("Finished.")
    elif job.state == "failed":
        st.error("It failed.")
    elif job.state == "cancelled":
        st.warning("It was cancelled. What was finished is kept.")
    else:
        st.warning("It was interrupted: its process is gone. What was finished is kept.")
    if job.error:
        st.text(job.error)
