"""Deleting a collection: what quotes it is said before, and named after.

It does not know how documents, runs, traces or conversations are kept.
"""

from typing import Final

import streamlit as st

from rag_adapt.client import Client
from rag_adapt.schemas.collections import (
    CollectionEntry,
    CollectionQuotations,
    CollectionRemoved,
)
from ui.faults import shown
from ui.wording import plural, size

GONE: Final = "collections.gone"
"""In the state of a browser tab: the collection that was deleted last, until that is read."""
SHOWN: Final = 20
"""Runs that are named."""


@st.fragment
def delete_form(client: Client, entry: CollectionEntry) -> None:
    """A window that says what goes and what stays, and deletes; all is asked when it opens, and the
    rest of the page stays as it is."""
    name = entry.name
    box = st.popover("Delete this collection", key=f"delete-{name}", on_change="rerun")
    if not box.open:
        return
    with box, shown():
        st.text(_goes(entry))
        stays = st.container()
        if st.button("Delete for good", type="primary"):
            st.session_state[GONE] = client.collections.delete(name)
            st.query_params.clear()
            st.rerun()
        quoted = client.collections.quotations(name)
        stays.text(f"{quoting(quoted)} That stays." if _is_quoted(quoted) else quoting(quoted))


def told_of_removed() -> None:
    """What still quotes the collection that this browser tab deleted, and what to do about it."""
    gone: CollectionRemoved | None = st.session_state.get(GONE)
    if gone is None:
        return
    with st.container(border=True):
        st.badge("Deleted", icon=":material/delete:", color="green")
        st.text(f"{gone.name} is gone, {size(gone.bytes)}. {quoting(gone)}")
        if gone.runs:
            st.caption("Runs: delete their folders; `rag-adapt runs list` says where they lie.")
            st.text("\n".join(gone.runs[:SHOWN]))
            if len(gone.runs) > SHOWN:
                st.text(f"And {len(gone.runs) - SHOWN:,} more.")
        if gone.traces or gone.conversations:
            st.caption(
                "Traces and conversations: this deletes the traces and takes the passages out of "
                "conversations, which keep questions and answers. Whoever had a conversation can "
                "delete it on the page Chat."
            )
            st.code(
                f"rag-adapt traces remove --collection {gone.name}", language=None, wrap_lines=True
            )
        if st.button("I have read it"):
            del st.session_state[GONE]
            st.rerun()


def quoting(quoted: CollectionQuotations) -> str:
    """What quotes a collection, in a sentence."""
    if not _is_quoted(quoted):
        return "No run, trace or conversation quotes it."
    counts = (
        (len(quoted.runs), "run"),
        (quoted.traces, "trace"),
        (quoted.conversations, "conversation"),
    )
    *most, last = [plural(count, one) for count, one in counts if count]
    told = f"{', '.join(most)} and {last}" if most else last
    return f"Its text is kept by what quotes it: {told}."


def _is_quoted(quoted: CollectionQuotations) -> bool:
    return bool(quoted.runs or quoted.traces or quoted.conversations)


def _goes(entry: CollectionEntry) -> str:
    if entry.changeable:
        return f"{entry.name}, its indexes and its uploaded documents go for good."
    return (
        f"{entry.name} and its indexes go for good. Its documents stay where they lie; a skill's "
        "are indexed again as soon as a route reads them."
    )
