"""The page System: what the doctor says, which parts are ready, which versions run.

It does not know how any of it is found out.
"""

import streamlit as st

st.title("System")
