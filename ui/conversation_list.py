"""The caller's conversations in the sidebar, and which of them is open.

It does not know what was said in any.
"""

from typing import Final

import streamlit as st

from ui.connection import service
from ui.faults import shown
from ui.plain import label
from ui.window import close, window

OPEN: Final = "conversation"
"""Query parameter: the id of the open conversation; a reload keeps it."""
_LAST: Final = "chat.last"
"""In the state of a browser tab: coming back from another page finds it again."""
_LISTED: Final = "chat.listed"
PAGE: Final = 20
"""Conversations that are listed at first, and more at each wish."""
MOST: Final = 100
"""Conversations that one request lists."""


def open_id() -> str | None:
    """The id of the open conversation; None for a new one."""
    found = st.query_params.get(OPEN) or st.session_state.get(_LAST)
    if found is not None:
        open_conversation(found)
    return found


def open_conversation(id: str | None) -> None:
    """From the next run on this one is shown; None begins a new one."""
    st.session_state[_LAST] = id
    if id is None:
        st.query_params.pop(OPEN, None)
    else:
        st.query_params[OPEN] = id


def show_list(current: str | None) -> None:
    """Buttons that open them, newest first."""
    with st.sidebar:
        if st.button("New conversation", icon=":material/add:", width="stretch"):
            open_conversation(None)
            st.rerun()
        with shown():
            wanted = min(MOST, st.session_state.get(_LISTED, PAGE))
            page = service().conversations.page(limit=wanted)
            if not page.data:
                st.caption("Your conversations will be listed here.")
            for one in page.data:
                _entry(one.id, one.title, is_open=one.id == current)
            if page.next is not None and wanted >= MOST:
                st.caption(f"These are the newest {MOST}; the others are kept too.")
            elif page.next is not None and st.button("More", type="tertiary"):
                st.session_state[_LISTED] = wanted + PAGE
                st.rerun()


def show_settings(id: str, title: str) -> None:
    """Rename or delete the open conversation; deleting asks first."""
    key = f"settings.{id}"
    with window("Rename or delete", key=key, icon=":material/more_horiz:"):
        with st.form("rename", border=False):
            name = st.text_input("Title", value=title, max_chars=200)
            if st.form_submit_button("Rename") and name.strip():
                with shown():
                    service().conversations.rename(id, name.strip())
                    close(key)
                    st.rerun()
        sure = st.checkbox("Delete it with all its questions and answers")
        if st.button("Delete", icon=":material/delete:", disabled=not sure):
            with shown():
                service().conversations.delete(id)
                open_conversation(None)
                st.rerun()


def _entry(id: str, title: str, *, is_open: bool) -> None:
    if st.button(
        label(title or "Untitled", most=40),
        key=f"open.{id}",
        type="secondary" if is_open else "tertiary",
        width="stretch",
    ):
        open_conversation(id)
        st.rerun()
