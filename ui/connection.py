"""The way to the service: one client for each browser tab, and signing in where keys are asked.

It does not know what pages ask. The address comes from `rag-adapt ui --api`, by the environment.
"""

import os
from typing import Final

import streamlit as st

from rag_adapt.client import ApiError, Client
from rag_adapt.client.client import HERE
from rag_adapt.core.errors import SettingsError
from ui.faults import ADMITTED, show

ADDRESS: Final = "RAG_ADAPT_UI_API"
"""Environment variable: address of the service."""
_CLIENT: Final = "connection.client"
_KEY: Final = "connection.key"
"""Names in the state of one browser tab, which no other sees and no file holds."""


def service() -> Client:
    """This browser tab's client of the service; the same one at every run of a page."""
    if _CLIENT not in st.session_state:
        st.session_state[_CLIENT] = Client(os.environ.get(ADDRESS, HERE))
    found = st.session_state[_CLIENT]
    assert isinstance(found, Client)
    return found


def admitted() -> bool:
    """Whether the service answers this browser tab; where it does not, the page says what to do."""
    if st.session_state.get(ADMITTED):
        return True
    refusal = _refusal()
    if refusal is None:
        st.session_state[ADMITTED] = True
        return True
    if isinstance(refusal, ApiError) and refusal.status == 401:
        _sign_in(refusal)
    else:
        show(refusal)
        st.button("Try again", type="primary")
    return False


def sign_out_offered() -> None:
    """A button in the sidebar for who gave a key."""
    if st.session_state.get(_KEY):
        st.sidebar.button("Sign out", icon=":material/logout:", on_click=_forget)


def _refusal() -> ApiError | SettingsError | None:
    """Why the service does not answer this browser tab; None where it does."""
    try:
        service().catalog.models()
    except (ApiError, SettingsError) as error:
        return error
    return None


def _sign_in(refusal: ApiError) -> None:
    st.subheader("Sign in", anchor=False)
    st.caption("This service asks for an API key. It is kept in this browser session alone.")
    tried = bool(st.session_state.get(_KEY))
    with st.form("sign-in"):
        key = st.text_input("API key", type="password", autocomplete="off", placeholder="ra_...")
        sent = st.form_submit_button("Sign in", type="primary")
    if sent and key.strip():
        _take(key)
    elif sent:
        st.warning("Type or paste the key first.")
    elif tried:
        show(refusal)


def _take(key: str) -> None:
    """Use this key from now on."""
    address = service().base_url
    try:
        made = Client(address, key=key)
    except SettingsError as error:
        show(error)
        return
    _forget()
    st.session_state[_CLIENT], st.session_state[_KEY] = made, True
    st.rerun()


def _forget() -> None:
    if (client := st.session_state.pop(_CLIENT, None)) is not None:
        client.close()
    st.session_state.pop(_KEY, None)
    st.session_state.pop(ADMITTED, None)
