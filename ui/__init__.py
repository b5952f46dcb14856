"""The front end: Streamlit pages over the service's own client. `rag-adapt ui` runs `app.py`."""
