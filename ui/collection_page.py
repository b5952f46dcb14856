"""One collection: its documents, search, adding.

It does not know how documents are kept or indexed. What they say is foreign and shown as text.
"""

from typing import Final

import streamlit as st

from rag_adapt.client import Client, Upload
from rag_adapt.schemas.collections import CollectionEntry, DocumentsAdded, TextOrder
from ui.collection_documents import open_job, show_documents
from ui.collection_removal import delete_form
from ui.faults import shown
from ui.search import search_form
from ui.wording import plural

LEFT_OUT: Final = "collections.left-out"
"""In the state of a browser tab: by job, the documents of its upload that were not kept."""
SHOWN: Final = 20
"""Documents that are named."""
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
    if entry.changeable:
        st.subheader("Add documents", anchor=False)
        with shown():
            adding_forms(client, name)
    else:
        st.info("Its documents lie elsewhere and are changed there.")
    delete_form(client, entry)


def said(entry: CollectionEntry) -> str:
    """A collection in one line."""
    failed = f", {plural(entry.failed, 'file')} left out" if entry.failed else ""
    if entry.state != "ready":
        return f"{entry.name}: {STATES[entry.state]}"
    return (
        f"{entry.name}: {plural(entry.documents, 'document')}, "
        f"{plural(entry.chunks, 'chunk')}{failed}, embedded by {entry.embedder}"
    )


def adding_forms(client: Client, name: str | None) -> None:
    """Files or a text for a collection; without a name it is asked for.

    Raises:
        ApiError: nothing of it can be read, or the name is none.
    """
    files, text = st.tabs(["Upload files", "Write or paste text"])
    with files:
        _upload(client, name)
    with text:
        _write(client, name)


def told_of_left_out(job: str) -> None:
    """Documents of an upload that this browser tab sent and that were not kept."""
    left_out = st.session_state.get(LEFT_OUT, {}).get(job, ())
    if not left_out:
        return
    with st.container(border=True):
        st.badge(
            f"{plural(len(left_out), 'file')} left out", icon=":material/warning:", color="orange"
        )
        for one in left_out[:SHOWN]:
            st.text(f"{one.document}: {one.reason}")
        if len(left_out) > SHOWN:
            st.text(f"And {len(left_out) - SHOWN:,} more.")
        st.caption("The others were kept. Mend these and upload them again.")


def _upload(client: Client, name: str | None) -> None:
    kinds = [kind.removeprefix(".") for kind in client.collections.kinds()]
    with st.form(f"upload-{name}"):
        typed = name or _asked()
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
    _open_added(typed, client.collections.add(typed, documents))


def _write(client: Client, name: str | None) -> None:
    with st.form(f"write-{name}"):
        typed = name or _asked()
        title = st.text_input("Name of the document", max_chars=80, placeholder="Opening hours")
        text = st.text_area("Text", height=200, placeholder="Plain text or markdown")
        sent = st.form_submit_button("Add and index", type="primary")
    if not sent:
        return
    if not typed or not title.strip() or not text.strip():
        st.warning("Name the collection and the document, and write its text.")
        return
    order = TextOrder(name=title.strip(), text=text)
    _open_added(typed, client.collections.add_text(typed, order))


def _asked() -> str:
    return st.text_input(
        "Name of the collection",
        help="Three small letters, digits or hyphens at least.",
        placeholder="handbook",
    ).strip()


def _open_added(name: str, added: DocumentsAdded) -> None:
    st.session_state[LEFT_OUT] = {added.id: added.left_out}
    open_job(name, added.id)
