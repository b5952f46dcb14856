"""A job on a page: how far it is, its end, and a button that asks for one.

It does not know what any job does. The job lives on the service: leaving the page stops nothing.
"""

import time
from collections.abc import Callable, Collection, Sequence
from typing import Final

import streamlit as st
from streamlit.delta_generator import DeltaGenerator

from rag_adapt.client import ApiError, Client
from rag_adapt.schemas.jobs import JobInfo, Progress
from ui.faults import shown
from ui.plain import label
from ui.wording import duration, moment

EVERY: Final = 2.0
"""Seconds between two looks at a job."""
OVER: Final = frozenset({"done", "failed", "cancelled", "interrupted"})
PROVES: Final = ["adapters", "prove"]
"""How the command of a proof begins: it is done only where every check passed."""
PROVEN: Final = (
    "Proven: the adapter is active here. Its weights and its chat template are those that it was "
    "trained with, and what it changes is what it changed then."
)
LEFT: Final = 5
"""Unfinished jobs that a page lists."""


Beside = Callable[[Client, JobInfo], None]


def watch(client: Client, id: str, *, beside: Beside | None = None) -> JobInfo:
    """Show a job, again and again until it has ended.

    Once it has ended the whole page is drawn again, so that it can go on with what was made.

    Args:
        client: Of the service.
        id: Of the job.
        beside: Draws what else there is to see of it, as often as it is looked at.

    Raises:
        ApiError: it cannot be read.
    """
    job = client.jobs.show(id)
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
    try:
        jobs = unfinished(client, commands)
    except ApiError as error:
        if error.status != 403:
            raise
        st.caption(f"This key may look, but start nothing. {label(error.hint, most=300)}")
        return
    if not jobs:
        return
    st.subheader("At work", anchor=False)
    for job in jobs[:LEFT]:
        with listed():
            st.text(f"{job.state}, since {moment(job.started or job.created)}")
            st.text(asked(job.command))
            if st.button("Watch", key=f"watch-{job.id}"):
                st.query_params["job"] = job.id
                st.rerun()


def asked(command: Sequence[str]) -> str:
    """A command without its options.

    >>> asked(["bench", "--json", "--items=28", "--", "parts"])
    'bench parts'
    """
    return " ".join(word for word in command if not word.startswith("-"))


@st.fragment(run_every=EVERY)
def _moving(client: Client, id: str, beside: Beside | None) -> None:
    """The part of the page that draws itself anew."""
    with shown():
        job = client.jobs.show(id)
        if job.state in OVER:
            st.rerun()
        _progress(job)
        if st.button("Cancel", disabled=job.cancelling, help="What is finished is kept."):
            with shown():
                client.jobs.cancel(id)
                st.rerun()
        if beside is not None:
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
        st.progress(share, text=label(stage_of(told), most=200))
    if job.started is not None:
        st.caption(f"Running for {duration(max(0.0, time.time() - job.started))}.")
    if job.cancelling:
        st.info("It is being cancelled; what is finished is kept.")


def stage_of(told: Progress) -> str:
    """How far the stage is; a bar that is full and stands still says why.

    >>> stage_of(Progress(stage="answers", done=2, total=9, note="rag"))
    'answers: 2 of 9, rag'
    >>> stage_of(Progress(stage="hash weights", done=1, total=1, note=""))
    'hash weights: 1 of 1; what follows begins'
    """
    said = f"{told.stage}: {told.done:,} of {told.total:,}"
    if told.total and told.done >= told.total:
        return f"{said}; what follows begins"
    return f"{said}, {told.note}" if told.note else said


def _ended(job: JobInfo) -> None:
    """How it ended, in words."""
    if job.state == "done":
        st.success(PROVEN if job.command[:2] == PROVES else "Finished.")
    elif job.state == "failed":
        st.error("It failed.")
    elif job.state == "cancelled":
        st.warning("It was cancelled. What was finished is kept.")
    else:
        st.warning("It was interrupted: its process is gone. What was finished is kept.")
    if job.error:
        st.text(job.error)
