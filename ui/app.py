"""The front end's frame: which pages there are, and who may open them. `rag-adapt ui` runs it.

It does not know what any page shows.
"""

from typing import Final

import streamlit as st

from ui.connection import admitted, sign_out_offered

# What Streamlit's own settings do not say: less empty room, answers that wrap where it is narrow,
# and what is written on the main colour, which is pale in the dark theme.
STYLE: Final = """<style>
[data-testid="stMainBlockContainer"], [data-testid="stBottomBlockContainer"] { max-width: 112rem; }
[data-testid="stMainBlockContainer"] { padding: 3.5rem clamp(1rem, 4vw, 4rem) 2rem; }
[data-testid="stBottomBlockContainer"] { padding: 1rem clamp(1rem, 4vw, 4rem) 1.5rem; }
[class*="st-key-answers-"] [data-testid="stColumn"] { min-width: min(15rem, 100%); }
.stButton [data-testid$="-primary"], [data-testid="stBaseButton-primaryFormSubmit"],
.stMultiSelect [data-tag] { color: light-dark(#fff, #030d1c); }
</style>"""
# Without icons: Streamlit makes a page's icon the browser tab's, and fetches it from the internet.
PAGES: Final = [
    st.Page("views/chat.py", title="Chat", default=True),
    st.Page("views/benchmark.py", title="Benchmark"),
    st.Page("views/skills.py", title="Skills"),
    st.Page("views/collections.py", title="Collections"),
    st.Page("views/adapters.py", title="Adapters"),
    st.Page("views/system.py", title="System"),
]

st.set_page_config(page_title="rag-adapt", layout="wide")
st.html(STYLE)
page = st.navigation(PAGES)
if admitted():
    page.run()
    sign_out_offered()
