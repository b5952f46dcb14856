"""A small window over a page that closes once what was asked in it is done.

It does not know what is asked. By itself Streamlit leaves it open over what came of it.
"""

import streamlit as st
from streamlit.delta_generator import DeltaGenerator


def window(
    name: str, *, key: str, icon: str | None = None, disabled: bool = False
) -> DeltaGenerator:
    """A button that opens it; what stands in it is drawn inside the returned container.

    Args:
        name: On the button.
        key: In the state of the browser tab: whether it is open.
        icon: Before the name.
        disabled: Whether it stays closed.
    """
    if st.session_state.pop(_done(key), False):
        st.session_state[key] = False
    return st.popover(
        name, key=key, icon=icon, disabled=disabled, type="tertiary", on_change="rerun"
    )


def close(key: str) -> None:
    """From the next run on it is closed."""
    st.session_state[_done(key)] = True


def _done(key: str) -> str:
    return f"{key}.done"
