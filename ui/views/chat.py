"""The page Chat: one question to several routes of a skill, side by side.

It does not know how answers are made; conversations stay on the service.
"""

from itertools import islice
from typing import Final

import streamlit as st

from rag_adapt.client import filled
from rag_adapt.schemas.comparisons import MOST_MODELS
from rag_adapt.schemas.conversations import (
    ConversationDetail,
    ConversationRequest,
    TurnRequest,
)
from rag_adapt.schemas.feedback import FeedbackInfo
from ui.connection import service
from ui.conversation_list import open_conversation, open_id, show_list, show_settings
from ui.faults import shown
from ui.offered import LATER, OTHER, ROUTES, by_skill, model_name, route_name
from ui.plain import label
from ui.turns import is_writing, show_turn, stop

# Streamlit would print strings that stand alone in a page's file: notes here are comments.
SKILL: Final = "skill"  # query parameter: the skill that a new conversation is about
SHOWN: Final = 10  # turns that are drawn at first; the newest
JUDGED: Final = 200  # the latest pieces of feedback that are looked through for this page's


def begin() -> None:
    """A new conversation: a skill, its routes, the first question."""
    offer = by_skill(service().catalog.models())
    if not offer:
        st.info("There is no skill to ask. Import one on the page Skills, or by the command:")
        st.code("rag-adapt skills import FILE --name NAME", language=None)
        return
    st.caption("Ask one question and see what every way of using the model answers, side by side.")
    skills = list(offer)
    asked_for = st.query_params.get(SKILL)
    index = skills.index(asked_for) if asked_for in skills else 0
    skill = st.selectbox("Skill", skills, index=index)
    _describe(skill)
    st.query_params[SKILL] = skill
    routes = st.pills(
        "Routes to ask, one column each",
        offer[skill],
        selection_mode="multi",
        default=offer[skill],
        format_func=label,
        key=f"chat.routes.{skill}",
    )
    with st.container(gap="xxsmall"):
        for route in routes:
            st.caption(f"**{label(route)}**: {label(ROUTES.get(route, OTHER))}")
    if not routes:
        st.caption("Choose at least one route.")
    missing = [f"{route} {why}" for route, why in LATER.items() if route not in offer[skill]]
    if missing:
        st.caption(f"Not here yet: {'; '.join(missing)}.")
    question = st.chat_input("Ask every route the same question", disabled=not routes)
    if question and routes:
        _start(skill, routes[:MOST_MODELS], question)


def _describe(skill: str) -> None:
    found = next((one for one in service().skills.all() if one.name == skill), None)
    if found is not None and found.description:
        st.text(found.description)


def _start(skill: str, routes: list[str], question: str) -> None:
    models = [model_name(route, skill) for route in routes]
    talks = service().conversations
    asked = filled(TurnRequest, question=question)
    made = talks.create(filled(ConversationRequest, skill=skill, models=models))
    open_conversation(made.id)
    st.query_params.pop(SKILL, None)
    talks.ask(made.id, asked)
    st.rerun()


def go_on(id: str) -> None:
    """A conversation that has begun."""
    talk = service().conversations.show(id)
    _head(talk)
    busy = bool(talk.turns) and any(is_writing(turn) for turn in talk.turns)
    feedback = _feedback(talk.skill)
    hidden = 0 if st.session_state.get(f"chat.whole.{id}") else len(talk.turns) - SHOWN
    if hidden > 0 and st.button(f"Show {hidden} earlier questions", type="tertiary"):
        st.session_state[f"chat.whole.{id}"] = True
        st.rerun()
    for turn in talk.turns[max(0, hidden) :]:
        show_turn(id, turn, talk.models, feedback=feedback, busy=busy)
    if busy:
        _stop(talk)
    question = st.chat_input("Ask the next question", disabled=busy)
    if question:
        service().conversations.ask(id, filled(TurnRequest, question=question))
        st.rerun()


def _stop(talk: ConversationDetail) -> None:
    """Where the next question will be asked: in sight, however long the answers are."""
    with st.bottom:
        asked = st.button("Stop", key=f"stop.{talk.id}", icon=":material/stop_circle:")
    if asked:
        with shown():
            stop(talk.id, talk.turns)
        st.rerun()


def _head(talk: ConversationDetail) -> None:
    with st.container(horizontal=True, vertical_alignment="center"):
        with st.container(gap=None):
            st.subheader(label(talk.title or "Untitled"), anchor=False)
            about = f"{label(talk.skill)}: " if talk.skill else ""
            st.caption(about + ", ".join(label(route_name(model)) for model in talk.models))
        show_settings(talk.id, talk.title)


def _feedback(skill: str | None) -> dict[str, FeedbackInfo]:
    """What was said lately of this skill's answers, by trace."""
    found = islice(service().feedback.all(skill=skill), JUDGED)
    return {one.trace_id: one for one in found}


st.title("Chat", anchor=False)
current = open_id()
show_list(current)
with shown():
    if current is None:
        begin()
    else:
        go_on(current)
