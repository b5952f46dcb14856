"""The page Adapters: what is trained, a new one, one of them closely, several side by side.

It does not know how adapters are trained or kept. `adapter`, `compare` or `job` in the address
name what is looked at.
"""

from collections.abc import Mapping

import streamlit as st

from rag_adapt.client import ApiError, Client
from rag_adapt.schemas.adapters import ResidentAdapter
from rag_adapt.schemas.catalog import AdapterInfo
from ui.adapter_compare import compare_form, show_compared
from ui.adapter_page import NO_RESIDENTS, show_adapter, show_proof
from ui.adapter_upload import upload_form
from ui.connection import service
from ui.faults import shown
from ui.job_watch import back, go_on, list_unfinished, listed, open_only, watch
from ui.plain import label
from ui.training import show_curve, training_form
from ui.wording import day, plural, size

COMMANDS = ("adapters train", "adapters prove", "adapters import")  # jobs that this page lists


def draw(client: Client) -> None:
    """What the address asks for."""
    asked = st.query_params
    if "adapter" in asked:
        back("All adapters")
        show_adapter(client, asked["adapter"])
    elif "compare" in asked:
        back("All adapters")
        show_compared(client, asked["compare"])
    elif "job" in asked:
        back("All adapters")
        job = watch(client, asked["job"])
        show_proof(job.proof)
        go_on(job, prefix="/v1/adapters/", parameter="adapter", words="Open the adapter")
        show_curve(client, job)
    else:
        _overview(client)


def _overview(client: Client) -> None:
    with shown():
        list_unfinished(client, COMMANDS)
    with shown():
        _list(client)
    with shown():
        skills = client.skills.all()
        train, upload = st.tabs(["Train one", "Upload one"])
        with train, shown():
            training_form(client, skills)
        with upload, shown():
            upload_form(client, skills)


def _list(client: Client) -> None:
    adapters = client.adapters.all()
    if not adapters:
        st.info(
            "No adapter yet. Choose a skill below and train one, or upload one that was trained "
            "elsewhere; a benchmark makes its own too."
        )
        return
    st.subheader("Stored", anchor=False)
    held = _held(client)
    for adapter in adapters:
        with listed():
            with st.container(gap="xxsmall", width="content"):
                st.text(adapter.version)
                st.caption(label(_said(adapter), most=300))
                _badges(adapter, None if held is None else held.get(adapter.version))
            if st.button("Open", key=f"open-{adapter.version}"):
                open_only("adapter", adapter.version)
    if held is not None:
        st.caption(f"The engine holds {plural(len(held), 'adapter')} at this moment.")
    compare_form(adapters)


def _held(client: Client) -> Mapping[str, ResidentAdapter] | None:
    """What the engine holds; None where it holds none by itself, or this key may not see it."""
    try:
        return {one.version: one for one in client.adapters.resident()}
    except ApiError as error:
        if error.status != 403 and error.code != NO_RESIDENTS:
            raise
        return None


def _badges(adapter: AdapterInfo, held: ResidentAdapter | None) -> None:
    with st.container(horizontal=True, gap="xsmall"):
        if adapter.current:
            st.badge("current", icon=":material/check_circle:", color="green")
        if not adapter.fits:
            st.badge("for other weights", icon=":material/block:", color="orange")
        if held is not None:
            st.badge("pinned in the engine" if held.pinned else "in the engine", color="blue")


def _said(adapter: AdapterInfo) -> str:
    told = [
        f"for {adapter.skill}",
        "with passages" if adapter.with_context else "",
        f"rank {adapter.rank}",
        "trained elsewhere" if adapter.examples is None else f"{adapter.examples:,} examples",
        size(adapter.size_bytes),
        day(adapter.created),
    ]
    return ", ".join(one for one in told if one)


st.title("Adapters", anchor=False)
if not st.query_params:
    st.caption("Small sets of weights that a skill's examples train; the routes lora use them.")
with shown():
    draw(service())
