"""The page Benchmark: plan, start, watch, read, compare.

It does not know how anything is measured. What is looked at stands in the page's address: `order`
or `draft`, `job`, `run`, or `a` and `b`; a reload shows the same.
"""

import streamlit as st

from rag_adapt.client import Client
from ui.connection import service
from ui.faults import shown
from ui.job_watch import OVER, back, go_on, list_unfinished, watch
from ui.run_list import choose_two, list_runs, show_comparison
from ui.run_order import order_form, order_of, show_plan
from ui.run_progress import arms_of_job, resume_of_job
from ui.run_report import show_run


def draw(client: Client) -> None:
    """What the address asks for."""
    asked = st.query_params
    if "run" in asked:
        back("All runs")
        show_run(client, asked["run"])
    elif "a" in asked and "b" in asked:
        back("All runs")
        show_comparison(client, asked["a"], asked["b"])
    elif "job" in asked:
        back("All runs")
        _job(client, asked["job"])
    elif "order" in asked:
        back("All runs")
        show_plan(client, order_of(asked["order"]))
    else:
        _overview(client)


def _overview(client: Client) -> None:
    with shown():
        list_unfinished(client, {"bench"})
    st.subheader("Measure", anchor=False)
    with shown():
        draft = st.query_params.get("draft")
        order_form(client.skills.all(), None if draft is None else order_of(draft))
    st.subheader("Past runs", anchor=False)
    list_runs(client)
    st.subheader("Compare two runs", anchor=False)
    with shown():
        choose_two(client)


def _job(client: Client, id: str) -> None:
    """A run at work: its counts, and no figure before its end."""
    job = watch(client, id, beside=arms_of_job)
    if job.state not in OVER:
        st.caption("The verdict comes at the end; you may leave this page and come back.")
    elif job.result is not None:
        go_on(job, prefix="/v1/runs/", parameter="run", words="Read the report")
    else:
        with shown():
            resume_of_job(client, id)
        if "order" in st.query_params and st.button("Plan the same again"):
            del st.query_params["job"]
            st.rerun()


st.title("Benchmark", anchor=False)
if not st.query_params:
    st.caption(
        "Which way suits a task best: a prompt, documents, or a trained adapter? Each answers the "
        "same test items with the same model; the report says which one wins, by how much, and "
        "what it costs."
    )
with shown():
    draw(service())
