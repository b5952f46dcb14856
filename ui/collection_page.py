"""One collection: its documents, search, adding and deleting.

It does not know how documents are kept or indexed. What they say is foreign and shown as text.
"""

from typing import Final

import streamlit as st

from rag_adapt.client import Client, Upload
from rag_adapt.schemas.collections import CollectionEntry
from ui.faults import shown
from ui.search import search_form
from ui.wording import plural, size

DOCUMENTS: Final = ("md", "markdown", "txt")
AT_ONCE: Final = 50
"""Documents on one page."""
MOST: Final = 20_000
"""Characters of a document that are shown."""


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
        st.subheader("Search")
        with shown():
            search_form(client, name)
        st.subheader("Documents")
        with shown():
            _documents(client, entry)
    if not entry.changeable:
        st.info("Its documents lie elsewhere and are changed there.")
        return
    st.subheader("Add documents")
    with shown():
        upload_form(client, name)
    with st.popover("Delete this collection"), shown():
        _delete(client, name)


def said(entry: CollectionEntry) -> str:
    """A collection in one line."""
    failed = f", {plural(entry.failed, 'file')} left out" if entry.failed else ""
    if entry.state != "ready":
        return f"{entry.name}: {entry.state}"
    return (
        f"{entry.name}: {plural(entry.documents, 'document')}, "
        f"{plural(entry.chunks, 'chunk')}{failed}, embedded by {entry.embedder}"
    )


def upload_form(client: Client, name: str | None) -> None:
    """Files for a collection; without a name it is asked for.

    Raises:
        ApiError: a file is of no kind that is read, or the name is none.
    """
    with st.form(f"upload-{name}"):
        typed = name or st.text_input("Name", help="Small letters, digits and hyphens.")
        files = st.file_uploader(
            "Markdown and text files", type=DOCUMENTS, accept_multiple_files=True
        )
        sent = st.form_submit_button("Upload and index", type="primary")
    if not sent:
        return
    if not typed or not files:
        st.warning("Name the collection and choose at least one file.")
        return
    documents = [Upload(name=file.name, content=file.getvalue()) for file in files]
    open_job(typed, client.collections.add(typed, documents).id)


def _documents(client: Client, entry: CollectionEntry) -> None:
    """One page of paths; one of them can be read."""
    cursor = st.query_params.get("cursor")
    page = client.collections.documents_page(entry.name, limit=AT_ONCE, cursor=cursor)
    chosen = st.selectbox("Read", page.data, index=None, placeholder="Choose a document")
    with st.container(horizontal=True):
        if cursor and st.button("First ones"):
            del st.query_params["cursor"]
            st.rerun()
        if page.next and st.button("Further ones"):
            st.query_params["cursor"] = page.next
            st.rerun()
    if chosen is None:
        return
    text = client.collections.document(entry.name, chosen).text
    st.caption(f"{plural(len(text), 'character')}; {size(len(text.encode()))}")
    st.code(text[:MOST], language=None, wrap_lines=True, height=400)
    if len(text) > MOST:
        st.caption(f"The first {MOST:,} characters are shown.")
    if entry.changeable:
        with st.popover("Delete this document"), shown():
            st.text(f"{chosen} leaves the collection; a job takes it out of the index.")
            if st.button("Delete the document", type="primary"):
                open_job(entry.name, client.collections.remove(entry.name, chosen).id)


def open_job(name: str, id: str) -> None:
    """Watch a job of this collection."""
    st.query_params.clear()
    st.query_params.update({"collection": name, "job": id})
    st.rerun()


def _delete(client: Client, name: str) -> None:
    st.text(f"{name}, its indexes and its uploaded documents go for good.")
    if st.button("Delete for good", type="primary"):
        client.collections.delete(name)
        st.query_params.clear()
        st.rerun()
