"""The page Chat: one question to several routes of a skill, side by side.

It does not know how answers are made or kept.
"""

import streamlit as st

st.title("Chat")
