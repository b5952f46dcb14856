"""The trace drawer: every step of an answer, and exactly what was sent to the model.

It does not know what the steps mean.
"""

import json
from collections.abc import Mapping
from typing import Any

import streamlit as st

from ui.connection import service
from ui.faults import shown
from ui.plain import label


@st.dialog("Trace", width="medium", position="right")
def open_trace(id: str) -> None:
    """Show it beside the page."""
    with shown():
        document = service().answers.trace(id)
        st.download_button(
            "Download as JSON",
            document.model_dump_json(indent=2),
            file_name=f"trace-{document.id}.json",
            mime="application/json",
            icon=":material/download:",
        )
        for answer in document.answers:
            _proof(answer.get("proof"))
            _events(answer.get("trace", {}).get("events", []))


def _proof(found: Mapping[str, Any] | None) -> None:
    """Every check of the adapter that answered, with what was compared."""
    if found is None:
        return
    st.subheader("Proof of the adapter", anchor=False)
    for check in found.get("checks", []):
        st.caption(f"{label(str(check['name']))}: {'passed' if check['passed'] else 'failed'}")
        st.text(str(check["detail"]))


def _events(events: list[Mapping[str, Any]]) -> None:
    sent = [event["detail"].get("call") for event in events if event["name"] == "generate"]
    for call in sent:
        st.subheader("Sent to the model", anchor=False)
        for message in (call or {}).get("messages", []):
            st.caption(label(str(message.get("role"))))
            st.code(str(message.get("content")), language=None, wrap_lines=True)
    st.subheader("Steps", anchor=False)
    for event in events:
        with st.expander(f"{label(event['name'])}, {event['seconds']:.3f} s"):
            shown_detail = json.dumps(event["detail"], indent=2, ensure_ascii=False)
            st.code(shown_detail, language="json", wrap_lines=True)
