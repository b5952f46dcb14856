"""The page Adapters: what is trained, a new training, one of them closely.

It does not know how adapters are trained or kept. `adapter` or `job` in the address name what is
looked at.
"""

import streamlit as st

from rag_adapt.client import Client
from rag_adapt.schemas.catalog import AdapterInfo
from ui.adapter_page import show_adapter
from ui.connection import service
from ui.faults import shown
from ui.job_watch import back, go_on, list_unfinished, listed, open_only, watch
from ui.training import training_form
from ui.wording import day, size

COMMANDS = ("adapters train", "adapters prove", "adapters import")
"""Jobs that this page lists."""


def draw(client: Client) -> None:
    """What the address asks for."""
    asked = st.query_params
    if "adapter" in asked:
        back("All adapters")
        show_adapter(client, asked["adapter"])
    elif "job" in asked:
        back("All adapters")
        if (job := watch(client, asked["job"])) is not None:
            go_on(job, prefix="/v1/adapters/", parameter="adapter", words="Open the adapter")
    else:
        with shown():
            list_unfinished(client, COMMANDS)
        with shown():
            _list(client)
        st.subheader("Train one")
        with shown():
            training_form(client, client.skills.all())


def _list(client: Client) -> None:
    adapters = client.adapters.all()
    if not adapters:
        st.info(
            "No adapter yet. Choose a skill below and train one; a benchmark makes its own too."
        )
    for adapter in adapters:
        with listed():
            st.text(adapter.version)
            st.text(_said(adapter))
            if st.button("Open", key=f"open-{adapter.version}"):
                open_only("adapter", adapter.version)


def _said(adapter: AdapterInfo) -> str:
    told = [
        "current" if adapter.current else "",
        "" if adapter.fits else "for other weights",
        f"for {adapter.skill}",
        "with passages" if adapter.with_context else "",
        f"rank {adapter.rank}",
        size(adapter.size_bytes),
        day(adapter.created),
    ]
    return ", ".join(one for one in told if one)


st.title("Adapters")
with shown():
    draw(service())
