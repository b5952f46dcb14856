"""Votes and corrections of a skill's answers that wait for somebody's decision.

It does not know what is made of them. Questions and answers are foreign and shown as text.
"""

from typing import Final, get_args

import streamlit as st

from rag_adapt.client import Client
from rag_adapt.schemas.feedback import FeedbackInfo
from rag_adapt.schemas.records import ExportKind
from ui.faults import shown
from ui.offered import route_name
from ui.plain import label
from ui.wording import moment, plural

AT_ONCE: Final = 10
"""Pieces that are shown: the newest."""
MOST: Final = 4000
"""Characters of one text that are shown."""


@st.fragment
def decide_feedback(client: Client, skill: str) -> None:
    """What waits, each piece with two buttons, and the rows of what was accepted before."""
    with shown():
        found = client.feedback.page(state="pending", skill=skill, limit=AT_ONCE)
        st.caption("What is accepted becomes rows to train on; nothing learns from it by itself.")
        if not found.data:
            st.info("No vote or correction waits. The page Chat takes them, under each answer.")
        for one in found.data:
            _piece(client, one)
        if found.next:
            st.caption(f"More wait; these are the newest {AT_ONCE}.")
        if st.toggle("Rows of what was accepted", key=f"rows-{skill}"):
            _rows(client, skill)


def _piece(client: Client, one: FeedbackInfo) -> None:
    with st.container(border=True):
        st.caption(label(f"{route_name(one.model)} · {moment(one.given)}", most=120))
        st.text(_cut(f"Question: {one.question}"))
        st.text(_cut(f"Answer: {one.answer}"))
        if one.vote is not None:
            st.badge("good" if one.vote == "up" else "not good", color="gray")
        if one.correction is not None:
            st.text(_cut(f"Should have been: {one.correction}"))
        with st.container(horizontal=True):
            accepted = st.button("Accept", key=f"accept-{one.id}", type="primary")
            rejected = st.button("Reject", key=f"reject-{one.id}")
        if accepted or rejected:
            _decide(client, one.id, accepted=accepted)


def _decide(client: Client, id: str, *, accepted: bool) -> None:
    """The service may refuse: a test item is no row to learn from, and not every key decides."""
    with shown():
        if accepted:
            client.feedback.accept(id)
        else:
            client.feedback.reject(id)
        st.toast("Accepted." if accepted else "Rejected.")
        st.rerun()


def _rows(client: Client, skill: str) -> None:
    """Fetched when they are wanted."""
    with shown(), st.container(horizontal=True):
        for kind in get_args(ExportKind):
            found = client.feedback.export(kind, skill=skill)
            count = plural(found.lines.count(b"\n"), "row")
            st.download_button(
                f"{kind}.jsonl ({count})",
                found.lines,
                file_name=f"{skill}-{kind}.jsonl",
                mime="application/jsonl",
                on_click="ignore",
            )


def _cut(text: str) -> str:
    return text if len(text) <= MOST else f"{text[:MOST]}… ({len(text):,} characters)"
