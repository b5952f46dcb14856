"""One collection: its documents, search, adding and deleting.

It does not know how documents are kept or indexed. What they say is foreign and shown as text.
"""

from typing import Final

import streamlit as st

from rag_adapt.client import Client, Upload
from rag_adapt.schemas.collections import CollectionEntry
from ui.collection_documents import open_job, show_documents
from ui.faults import shown
from ui.search import search_form
from ui.wording import plural

STATES: Final = {
    "unfinished": "not ready: its first job has not ended, or did not get to its end",
    "damaged": "damaged: its files cannot be read; delete it and upload the documents again",
}


def show_collection(client: Client, name: str) -> None:
    """State, search, documents, and what can be changed.

    Raises:
        ApiError: the service gave no list.
    """
    entry = next((one for one in client.collections.all() if one.name == name), None)
    if entry is None:
        st.warning("There is no such collection, or it is not indexed yet.")
        return
    st.text(said(entry))
    if entry.state == "ready":
        st.subheader("Search", anchor=False)
        with shown():
            search_form(client, name)
    if entry.state != "damaged":
        st.subheader("Documents", anchor=False)
        with shown():
            show_documents(client, entry)
    if not entry.changeable:
        st.info("Its documents lie elsewhere and are changed there.")
        return
    st.subheader("Add documents", anchor=False)
    with shown():
        upload_form(client, name)
    with st.popover("Delete this collection"), shown():
        _delete(client, name)


def said(entry: CollectionEntry) -> str:
    """A collection in one line."""
    failed = f", {plural(entry.failed, 'file')} left out" if entry.failed else ""
    if entry.state != "ready":
        return f"{entry.name}: {STATES[entry.state]}"
    return (
        f"{entry.name}: {plural(entry.documents, 'document')}, "
        f"{plural(entry.chunks, 'chunk')}{failed}, embedded by {entry.embedder}"
    )


def upload_form(client: Client, name: str | None) -> None:
    """Files for a collection; without a name it is asked for.

    Raises:
        ApiError: a file is of no kind that is read, or the name is none.
    """
    kinds = [kind.removeprefix(".") for kind in client.collections.kinds()]
    with st.form(f"upload-{name}"):
        typed = name or st.text_input("Name", help="Small letters, digits and hyphens.")
        files = st.file_uploader(
            "Documents", type=kinds, accept_multiple_files=True, help=", ".join(kinds)
        )
        sent = st.form_submit_button("Upload and index", type="primary")
    if not sent:
        return
    if not typed or not files:
        st.warning("Name the collection and choose at least one file.")
        return
    documents = [Upload(name=file.name, content=file.getvalue()) for file in files]
    open_job(typed, client.collections.add(typed, documents).id)


def _delete(client: Client, name: str) -> None:
    st.text(f"{name}, its indexes and its uploaded documents go for good.")
    if st.button("Delete for good", type="primary"):
        client.collections.delete(name)
        st.query_params.clear()
        st.rerun()
