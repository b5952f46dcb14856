"""Shows what went wrong as the service says it: the fact, then what to do; never a traceback.

It does not know who asked for what.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Final

import streamlit as st

from rag_adapt.client import ApiError
from rag_adapt.core.errors import UserError

ADMITTED: Final = "connection.admitted"
"""In the state of a browser tab: the service lets it in."""


def show(error: UserError) -> None:
    """The fact and the remedy, as text: either may quote what strangers wrote."""
    said(error.fact, error.hint)


def said(fact: str, hint: str = "") -> None:
    """A failure's two sentences, as text."""
    with st.container(border=True):
        st.badge("That did not work", icon=":material/error:", color="red")
        st.text(fact)
        if hint:
            st.text(hint)


@contextmanager
def shown() -> Iterator[None]:
    """What the service refuses inside the block is shown there, and the page goes on behind it.

    A key that is refused leads back to signing in.
    """
    try:
        yield
    except UserError as error:
        if isinstance(error, ApiError) and error.status == 401:
            st.session_state.pop(ADMITTED, None)
            st.rerun()
        show(error)
