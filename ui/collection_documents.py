"""A collection's documents: their states, one of them closely, those that failed tried again.

It does not know how documents are read. Their names and texts are foreign and shown as text.
"""

from typing import Final

import streamlit as st

from rag_adapt.client import ApiError, Client
from rag_adapt.schemas.collections import CollectionEntry, FileInfo, FileList, FileState
from ui.collection_chunks import show_chunks
from ui.faults import shown
from ui.job_watch import listed, unfinished
from ui.wording import moment, plural

AT_ONCE: Final = 50
"""Documents on one page."""
LISTED: Final = 10
"""Of those that failed or wait, each with its buttons."""
STATES: Final[dict[str, FileState | None]] = {
    "all": None,
    "indexed": "indexed",
    "failed": "failed",
    "waiting": "waiting",
}
SIGNS: Final = {"indexed": "indexed", "failed": "failed", "waiting": "waits for its job"}


def show_documents(client: Client, entry: CollectionEntry) -> None:
    """One page of them, and the one that the address names.

    Raises:
        ApiError: there is no such collection.
    """
    _at_work(client, entry.name)
    wanted = st.query_params.get("state", "all")
    cursor = st.query_params.get("cursor")
    page = client.collections.files_page(
        entry.name, state=STATES.get(wanted), limit=AT_ONCE, cursor=cursor
    )
    counts = page.counts
    if counts.failed or counts.waiting:
        _filter(page, wanted)
    if not page.data:
        st.info("No document is in this state. Look at all of them, or upload some below.")
        return
    _troubled(client, entry, page)
    with st.container(horizontal=True, vertical_alignment="bottom"):
        _open(page)
        _turn(page, cursor)
    st.dataframe([_row(one) for one in page.data], hide_index=True, alt="Documents")
    document = st.query_params.get("document")
    if document is not None:
        st.subheader("Text and chunks", anchor=False)
        with shown():
            show_document(client, entry, document)


def show_document(client: Client, entry: CollectionEntry, document: str) -> None:
    """Its text with its chunks; it can leave the collection.

    Raises:
        ApiError: it is not indexed.
    """
    with st.container(horizontal=True, horizontal_alignment="distribute"):
        st.text(document)
        if entry.changeable:
            with st.popover("Delete this document"), shown():
                st.text(f"{document} leaves the collection; a job takes it out of the index.")
                if st.button("Delete the document", type="primary"):
                    open_job(entry.name, client.collections.remove(entry.name, document).id)
    show_chunks(client, entry.name, document)


def open_job(name: str, id: str) -> None:
    """Watch a job of this collection."""
    st.query_params.clear()
    st.query_params.update({"collection": name, "job": id})
    st.rerun()


def _at_work(client: Client, name: str) -> None:
    """Jobs that bring this collection up to date; nothing for keys that may not see jobs."""
    try:
        jobs = [job for job in unfinished(client, ("index build",)) if name in job.command]
    except ApiError as error:
        if error.status != 403:
            raise
        return
    for job in jobs[:1]:
        with listed():
            st.text(f"Being brought up to date since {moment(job.started or job.created)}.")
            if st.button("Watch", key=f"watch-{job.id}"):
                open_job(name, job.id)


def _filter(page: FileList, wanted: str) -> None:
    counts = page.counts
    total = counts.indexed + counts.failed + counts.waiting
    numbers = {"all": total, **counts.model_dump()}
    chosen = st.segmented_control(
        "Show",
        list(STATES),
        default=wanted if wanted in STATES else "all",
        required=True,
        format_func=lambda state: f"{state} ({numbers[state]:,})",
    )
    if chosen is not None and chosen != wanted:
        for name in ("cursor", "document", "after"):
            st.query_params.pop(name, None)
        st.query_params["state"] = chosen
        st.rerun()


def _troubled(client: Client, entry: CollectionEntry, page: FileList) -> None:
    """What is not indexed, with the reason and what can be done."""
    found = [one for one in page.data if one.state != "indexed"]
    for one in found[:LISTED]:
        with listed():
            with st.container(gap="xxsmall", width="content"):
                st.text(one.document)
                _badge(one)
            if one.repeatable:
                with st.container(horizontal=True, width="content"):
                    _again(client, entry.name, one)
    if len(found) > LISTED:
        st.caption(f"And {plural(len(found) - LISTED, 'more')} of this page, in the table.")


def _badge(one: FileInfo) -> None:
    if one.state == "waiting":
        st.badge("waits for its job", icon=":material/schedule:", color="orange")
        return
    st.badge("failed", icon=":material/error:", color="red")
    st.text(one.reason or "")


def _again(client: Client, name: str, one: FileInfo) -> None:
    if st.button("Try again", key=f"again-{one.document}", help="A job reads it once more."):
        with shown():
            open_job(name, client.collections.retry(name, one.document).id)
    with st.popover("Delete"):
        st.text(f"{one.document} was uploaded here and goes for good.")
        if st.button("Delete the file", key=f"remove-{one.document}", type="primary"):
            with shown():
                open_job(name, client.collections.remove(name, one.document).id)


def _open(page: FileList) -> None:
    """Choose one to read; the address keeps it over a reload."""
    names = [one.document for one in page.data if one.state == "indexed"]
    there = st.query_params.get("document")
    chosen = st.selectbox(
        "Read",
        names,
        index=names.index(there) if there in names else None,
        placeholder="Choose a document to see its text and chunks",
    )
    if chosen is not None and chosen != there:
        st.query_params["document"] = chosen
        st.query_params.pop("after", None)
        st.rerun()


def _turn(page: FileList, cursor: str | None) -> None:
    if cursor and st.button("First documents"):
        del st.query_params["cursor"]
        st.rerun()
    if page.next and st.button("Further documents"):
        st.query_params["cursor"] = page.next
        st.rerun()


def _row(one: FileInfo) -> dict[str, str | int]:
    return {
        "document": one.document,
        "state": SIGNS[one.state],
        "chunks": one.chunks,
        "characters": one.characters,
        "what its reader says": "; ".join([one.reason or "", *one.notes]).strip("; "),
    }
