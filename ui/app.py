"""The front end's frame: which pages there are, and who may open them. `rag-adapt ui` runs it.

It does not know what any page shows.
"""

import streamlit as st

from ui.connection import admitted, sign_out_offered

# Without icons: Streamlit makes a page's icon the browser tab's, and fetches it from the internet.
PAGES = [
    st.Page("views/chat.py", title="Chat", default=True),
    st.Page("views/benchmark.py", title="Benchmark"),
    st.Page("views/skills.py", title="Skills"),
    st.Page("views/collections.py", title="Collections"),
    st.Page("views/adapters.py", title="Adapters"),
    st.Page("views/system.py", title="System"),
]

st.set_page_config(page_title="rag-adapt", layout="wide")
page = st.navigation(PAGES)
if admitted():
    page.run()
    sign_out_offered()
