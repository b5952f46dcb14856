"""One question and its answers side by side, also while they are written.

It does not know which conversation comes next.
"""

from collections.abc import Iterator, Mapping, Sequence
from typing import Final

import streamlit as st
from streamlit.delta_generator import DeltaGenerator

from rag_adapt.client import filled
from rag_adapt.schemas.conversations import GenerationInfo, TurnInfo, TurnRequest
from rag_adapt.schemas.feedback import FeedbackInfo
from ui.answer import WRITING, Column, show_answer, show_text
from ui.connection import service
from ui.faults import shown
from ui.window import close, window

TICK: Final = 0.3
"""Seconds between two looks at answers that are being written."""


def is_writing(turn: TurnInfo) -> bool:
    """Whether an answer of it is on its way."""
    return any(one.state in WRITING for one in turn.generations)


def stop(conversation: str, turns: Sequence[TurnInfo]) -> None:
    """End every answer that is on its way; what was written stays."""
    for turn in turns:
        for one in turn.generations:
            if one.state in WRITING:
                service().conversations.cancel(conversation, one.id)


def show_turn(
    conversation: str,
    turn: TurnInfo,
    models: Sequence[str],
    *,
    feedback: Mapping[str, FeedbackInfo],
    busy: bool,
) -> None:
    """The question, and under it one column for each model.

    Args:
        conversation: Its id.
        turn: As the service has it now.
        models: The columns, in order.
        feedback: What was said of answers before, by trace.
        busy: Whether an answer of the conversation is being written.
    """
    _question(conversation, turn, busy=busy)
    if is_writing(turn):
        _written(conversation, turn, models)
        return
    for place, model in _places(turn.id, models):
        tries = [one for one in turn.generations if one.model == model]
        with place:
            if tries:
                show_answer(_column(conversation, turn.id, tries, feedback, busy=busy))


def _places(turn: str, models: Sequence[str]) -> Iterator[tuple[DeltaGenerator, str]]:
    """A column for each model; `app.py` lets them wrap where they have no room."""
    with st.container(key=f"answers-{turn}"):
        places = st.columns(len(models), border=True)
    return zip(places, models, strict=True)


def _column(
    conversation: str,
    turn: str,
    tries: Sequence[GenerationInfo],
    feedback: Mapping[str, FeedbackInfo],
    *,
    busy: bool,
) -> Column:
    answer = tries[-1].answer
    return Column(
        conversation=conversation,
        turn=turn,
        model=tries[-1].model,
        tries=tries,
        feedback=None if answer is None else feedback.get(answer.rag_adapt.trace_id),
        busy=busy,
    )


def _question(conversation: str, turn: TurnInfo, *, busy: bool) -> None:
    key = f"editing.{turn.id}"
    with st.chat_message("user"), st.container(horizontal=True, vertical_alignment="center"):
        st.text(turn.question, width="stretch")
        with (
            window("Edit", key=key, icon=":material/edit:"),
            st.form(f"edit.{turn.id}", border=False),
        ):
            text = st.text_area("Question", value=turn.question, key=f"question.{turn.id}")
            st.caption("Its answers and all later questions are deleted.")
            if st.form_submit_button("Ask this instead", type="primary", disabled=busy):
                with shown():
                    asked = filled(TurnRequest, question=text)
                    service().conversations.edit(conversation, turn.id, asked)
                    close(key)
                    st.rerun()


@st.fragment(run_every=TICK)
def _written(conversation: str, turn: TurnInfo, models: Sequence[str]) -> None:
    """Looks again and again without the rest of the page; in the end the page is drawn whole."""
    with shown():
        latest = {one.model: _now(conversation, one) for one in turn.generations}
        if not any(one.state in WRITING for one in latest.values()):
            st.rerun()
        for place, model in _places(turn.id, models):
            with place:
                if model in latest:
                    show_text(latest[model])


def _now(conversation: str, one: GenerationInfo) -> GenerationInfo:
    if one.state not in WRITING:
        return one
    return service().conversations.generation(conversation, one.id)
