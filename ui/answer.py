"""One route's answer in its column: text, figures, passages, votes, another try.

It does not know the other columns or the conversation around them.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

import streamlit as st

from rag_adapt.schemas.comparisons import AnswerInfo
from rag_adapt.schemas.conversations import GenerationInfo
from rag_adapt.schemas.feedback import FeedbackInfo
from ui.connection import service
from ui.faults import said, shown
from ui.judgement import judge
from ui.offered import route_name
from ui.passage import open_passage
from ui.plain import label
from ui.trace import open_trace

WRITING: Final = frozenset({"queued", "running"})
ENDED_EARLY: Final = {
    "cancelled": "Stopped.",
    "interrupted": "The service ended before the answer did. Ask again.",
}


@dataclass(frozen=True, kw_only=True)
class Column:
    """What one route said to one question."""

    conversation: str
    turn: str
    model: str
    tries: Sequence[GenerationInfo]
    """Oldest first; one at least."""
    feedback: FeedbackInfo | None = None
    """What was said of the newest."""
    busy: bool = False
    """Whether an answer is being written: nothing else can be asked meanwhile."""

    @property
    def newest(self) -> GenerationInfo:
        """The one that is shown."""
        return self.tries[-1]


def show_text(one: GenerationInfo) -> None:
    """Who speaks, and the answer as far as it is."""
    st.badge(label(_heading(one)), color="gray" if one.failure else "blue")
    if one.failure is not None:
        said(one.failure.detail, one.failure.hint)
    elif one.text or one.state not in WRITING:
        st.text(one.text or "(an empty answer)")
    else:
        st.caption("waiting …" if one.state == "queued" else "writing …")


def show_answer(column: Column) -> None:
    """An answer that has ended, with everything that belongs under it."""
    one = column.newest
    show_text(one)
    if one.state in ENDED_EARLY:
        st.caption(ENDED_EARLY[one.state])
    if one.answer is not None:
        _origin(one.answer)
        _passages(one.id, one.answer)
    _acts(column)
    if one.answer is not None and one.answer.rag_adapt.trace_kept:
        judge(one.id, one.answer, column.feedback)
    if len(column.tries) > 1:
        with st.expander(f"Earlier answers ({len(column.tries) - 1})"):
            for earlier in column.tries[-2::-1]:
                st.text(earlier.text or "(an empty answer)")


def figures(answer: AnswerInfo) -> str:
    """Times and tokens on one line."""
    used, times = answer.usage, answer.times
    return (
        f"{times.first_token:.2f} s to first token · {times.total:.2f} s · "
        f"{used.prompt_tokens} tokens in, {used.completion_tokens} out"
    )


def _heading(one: GenerationInfo) -> str:
    asked = route_name(one.model)
    if one.answer is None or one.answer.rag_adapt.route in (asked, "plain"):
        return asked
    return f"{asked}: {one.answer.rag_adapt.route}"


def _origin(answer: AnswerInfo) -> None:
    st.caption(figures(answer))
    if answer.rag_adapt.adapter is not None:
        st.caption(f"adapter {label(answer.rag_adapt.adapter)}")
    if answer.finish_reason == "length":
        st.caption("Cut where the longest answer ends.")


def _passages(id: str, answer: AnswerInfo) -> None:
    found = answer.rag_adapt.citations
    if not found:
        return
    with st.expander(f"Passages ({len(found)})", icon=":material/menu_book:"):
        for place, citation in enumerate(found):
            name = f"{place + 1}. {citation.document}"
            if st.button(label(name), key=f"passage.{id}.{place}", type="tertiary"):
                open_passage(citation, answer.rag_adapt.skill)


def _acts(column: Column) -> None:
    one = column.newest
    with st.container(horizontal=True):
        if st.button(
            "Again",
            key=f"again.{one.id}",
            icon=":material/refresh:",
            disabled=column.busy,
            help="Another answer of this route; this one stays below it.",
        ):
            with shown():
                service().conversations.again(column.conversation, column.turn, model=column.model)
                st.rerun()
        trace = _trace(one)
        if trace and st.button("Trace", key=f"trace.{one.id}", icon=":material/manage_search:"):
            open_trace(trace)


def _trace(one: GenerationInfo) -> str | None:
    if one.answer is not None:
        return one.answer.rag_adapt.trace_id if one.answer.rag_adapt.trace_kept else None
    return one.failure.trace_id if one.failure is not None else None
