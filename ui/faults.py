"""What went wrong, as the service says it: a sentence and what to do.

It does not know what was asked.
"""

import streamlit as st

from rag_adapt.core.errors import UserError


def show(error: UserError) -> None:
    """The fact and the remedy, as text: either may quote what strangers wrote."""
    with st.container(border=True):
        st.error("That did not work.")
        st.text(error.fact)
        st.text(error.hint)
