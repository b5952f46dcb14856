"""The page Collections: documents that are indexed, a new collection, one of them closely.

It does not know how documents are kept or indexed. `collection` and `job` in the address name what
is looked at.
"""

import streamlit as st

from rag_adapt.client import Client
from ui.collection_page import adding_forms, said, show_collection, told_of_left_out
from ui.collection_removal import told_of_removed
from ui.connection import service
from ui.faults import shown
from ui.job_watch import OVER, back, list_unfinished, listed, open_only, watch

COMMANDS = ("index build",)  # jobs that this page lists


def draw(client: Client) -> None:
    """What the address asks for."""
    asked = st.query_params
    if "job" in asked:
        back("All collections")
        _job(client, asked["job"])
    elif "collection" in asked:
        back("All collections")
        show_collection(client, asked["collection"])
    else:
        told_of_removed()
        with shown():
            list_unfinished(client, COMMANDS)
        with shown():
            _list(client)
        st.subheader("A new one", anchor=False)
        with shown():
            adding_forms(client, None)


def _job(client: Client, id: str) -> None:
    """Documents on their way into the index."""
    told_of_left_out(id)
    job = watch(client, id)
    name = st.query_params.get("collection")
    if job.state in OVER and name and st.button("Open the collection", type="primary"):
        open_only("collection", name)


def _list(client: Client) -> None:
    collections = client.collections.all()
    if not collections:
        st.info(
            "No collection yet. Upload documents below, or paste a text. A skill's own documents "
            "are indexed when they are first needed."
        )
    for entry in collections:
        with listed():
            st.text(said(entry))
            if st.button("Open", key=f"open-{entry.name}"):
                open_only("collection", entry.name)


st.title("Collections", anchor=False)
st.caption(
    "Documents, cut into passages that can be searched. The route rag reads its skill's own."
)
with shown():
    draw(service())
