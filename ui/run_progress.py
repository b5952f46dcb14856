"""A run that is not finished: how far every arm is, and going on with one that was stopped.

It does not know any score. **Before its end a run shows counts alone**: n was fixed before the
start, and whoever stops at a good moment sees an effect where there is none.
"""

from collections.abc import Sequence
from typing import Final
from uuid import uuid4

import streamlit as st

from rag_adapt.client import Client
from rag_adapt.schemas.jobs import JobInfo
from rag_adapt.schemas.runs import ArmProgress, RunProgress
from ui.faults import shown
from ui.plain import label
from ui.wording import moment, plural

COUNTS_ONLY: Final = (
    "Counts only. How many items are asked was fixed before the start, so there is no score and "
    "no verdict before the end: half of the items would often show a winner that there is not."
)
_RUN: Final = "run-of-job"


def arms_of_job(client: Client, job: JobInfo) -> None:
    """What the job's run has answered so far, arm by arm; nothing before the run began.

    Raises:
        ApiError: the service could not say.
    """
    if job.state != "running" or (run := _run_of(client, job.id)) is None:
        return
    show_counts(client.runs.progress(run))


def show_counts(progress: RunProgress) -> None:
    """A bar for each arm, skill by skill; a skill that is through is one line."""
    st.caption(COUNTS_ONLY)
    for skill in dict.fromkeys(arm.skill for arm in progress.arms):
        arms = [arm for arm in progress.arms if arm.skill == skill]
        failed = sum(arm.failed for arm in arms)
        said = f"{label(skill)}: {_sum(arms)}" + (f", {failed:,} failed" if failed else "")
        with st.expander(said, expanded=not _is_through(arms), key=f"arms-{skill}"):
            for arm in arms:
                st.progress(_share(arm), text=label(_said(arm), most=200))
    if progress.last is not None and any(arm.answered + arm.failed for arm in progress.arms):
        st.caption(f"The last answer was kept at {moment(progress.last)}.")


def show_unfinished(client: Client, id: str) -> None:
    """Where a run stands that has no report: who works on it, or a button that goes on.

    Raises:
        ApiError: the service could not say.
    """
    progress = client.runs.progress(id)
    if progress.job is not None:
        st.info("This run is at work: there is no verdict before its end.")
        if st.button("Watch", type="primary"):
            _open(progress.job)
    else:
        st.info(
            "This run was stopped before its end, so there is no verdict. Resume goes on where it "
            "stopped: what was answered is kept and not asked again."
        )
        resume(client, id)
    show_counts(progress)


def resume_of_job(client: Client, job: str) -> None:
    """Go on with the run that a stopped job left; nothing where it left none.

    Raises:
        ApiError: the service could not say.
    """
    run = client.runs.of_job(job)
    if run is None or run.state == "complete":
        return
    resume(client, run.id)
    show_counts(client.runs.progress(run.id))


def resume(client: Client, run: str) -> None:
    """A button that makes a job of it; pressing twice makes one."""
    key = st.session_state.setdefault("resume-key", uuid4().hex)
    if st.button("Resume", type="primary", icon=":material/play_arrow:"):
        with shown():
            job = client.runs.resume(run, key=key)
            del st.session_state["resume-key"]
            _open(job.id)


def _open(job: str) -> None:
    kept = st.query_params.get("order")
    st.query_params.from_dict({"job": job, **({} if kept is None else {"order": kept})})
    st.rerun()


def _run_of(client: Client, job: str) -> str | None:
    """A job's run stays its run: it is looked for until it has begun."""
    known: dict[str, str] = st.session_state.setdefault(_RUN, {})
    if job not in known and (run := client.runs.of_job(job)) is not None:
        known[job] = run.id
    return known.get(job)


def _said(arm: ArmProgress) -> str:
    through = arm.answered + arm.failed
    whole = f" of {arm.total:,}" if arm.total is not None else ""
    failed = f", {arm.failed:,} of them failed" if arm.failed else ""
    return f"{arm.arm}: {through:,}{whole}{failed}"


def _share(arm: ArmProgress) -> float:
    return min(1.0, (arm.answered + arm.failed) / arm.total) if arm.total else 0.0


def _sum(arms: Sequence[ArmProgress]) -> str:
    through = sum(arm.answered + arm.failed for arm in arms)
    totals = [arm.total for arm in arms if arm.total is not None]
    if len(totals) < len(arms):
        return plural(through, "answer")
    return f"{through:,} of {plural(sum(totals), 'answer')}"


def _is_through(arms: Sequence[ArmProgress]) -> bool:
    return all(arm.total is not None and arm.answered + arm.failed >= arm.total for arm in arms)
