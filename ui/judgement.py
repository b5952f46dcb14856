"""A vote on an answer, and what it should have been; both are kept by the service.

It does not know what becomes of them.
"""

from typing import Any, Final, Literal

import streamlit as st

from rag_adapt.client import filled
from rag_adapt.schemas.comparisons import AnswerInfo
from rag_adapt.schemas.feedback import FeedbackInfo, FeedbackRequest
from ui.connection import service
from ui.faults import shown
from ui.window import close, window

VOTES: Final[tuple[Literal["down", "up"], ...]] = ("down", "up")
"""By the number of Streamlit's thumb."""
LONGEST: Final = 8000
"""Characters of a correction."""


def judge(id: str, answer: AnswerInfo, given: FeedbackInfo | None) -> None:
    """Thumbs and a correction under one answer.

    Args:
        id: Of the generation: names the widgets.
        answer: What is judged.
        given: What was said of it before.
    """
    decided = given is not None and given.state != "pending"
    _vote(id, answer, given, decided=decided)
    _correction(id, answer, given, decided=decided)
    if given is not None and given.state != "pending":
        st.caption(f"Your feedback was {given.state}.")


def _vote(id: str, answer: AnswerInfo, given: FeedbackInfo | None, *, decided: bool) -> None:
    before = None if given is None or given.vote is None else VOTES.index(given.vote)
    now = st.feedback("thumbs", key=f"vote.{id}", default=before, disabled=decided)
    if now == before or decided:
        return
    with shown():
        if now is None and given is not None and given.correction is None:
            service().feedback.withdraw(given.id)
        else:
            _give(answer, given, vote=None if now is None else VOTES[now])
        st.toast("Noted." if now is not None else "Taken back.")


def _correction(id: str, answer: AnswerInfo, given: FeedbackInfo | None, *, decided: bool) -> None:
    said = None if given is None else given.correction
    name, key = "Corrected" if said else "Correct", f"correcting.{id}"
    with (
        window(name, key=key, disabled=decided),
        st.form(f"correct.{id}", border=False),
    ):
        text = st.text_area(
            "What the answer should have been",
            value=said or answer.text,
            max_chars=LONGEST,
            key=f"correction.{id}",
        )
        st.caption(
            "It waits until somebody accepts it on the skill's page; then it is a row to train on."
        )
        if st.form_submit_button("Save", type="primary", disabled=decided):
            with shown():
                _give(answer, given, correction=text)
                close(key)
                st.toast("Noted.")
                st.rerun()


def _give(answer: AnswerInfo, given: FeedbackInfo | None, **said: Any) -> None:
    """Say this and what was said before: the service keeps one piece for each answer."""
    before = {} if given is None else given.model_dump(include={"vote", "correction", "note"})
    whole = {name: value for name, value in (before | said).items() if value is not None}
    trace = answer.rag_adapt.trace_id
    service().feedback.give(filled(FeedbackRequest, trace_id=trace, **whole))
