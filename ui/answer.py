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
from rag_adapt.schemas.proof import AdapterProof
from ui.answer_words import adapter_name, cost, proof_figures, proof_state, times, tokens
from ui.connection import service
from ui.faults import said, shown
from ui.judgement import judge
from ui.offered import route_name
from ui.passage import open_passage
from ui.plain import label
from ui.trace import open_trace

WRITING: Final = frozenset({"queued", "running"})
UNPROVEN: Final = "not-proven"
"""A failure's code: the adapter was not shown to be active, so it did not answer."""
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
        if one.failure.code == UNPROVEN:
            st.badge("adapter not proven", icon=":material/gpp_bad:", color="red")
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
        with st.container(gap="xxsmall"):
            _origin(one.answer)
        _passages(one.id, one.answer)
    with st.container(horizontal=True, vertical_alignment="center", gap="xsmall"):
        if one.answer is not None and one.answer.rag_adapt.trace_kept:
            judge(one.id, one.answer, column.feedback)
        _acts(column)
    if len(column.tries) > 1:
        with st.expander(f"Earlier answers ({len(column.tries) - 1})"):
            for earlier in column.tries[-2::-1]:
                st.text(earlier.text or "(an empty answer)")


def _heading(one: GenerationInfo) -> str:
    asked = route_name(one.model)
    if one.answer is None or one.answer.rag_adapt.route in (asked, "plain"):
        return asked
    return f"{asked}: {one.answer.rag_adapt.route}"


def _origin(answer: AnswerInfo) -> None:
    st.caption(f"{times(answer)} · {tokens(answer)} · {cost(answer.cost)}")
    if answer.rag_adapt.adapter is not None:
        _adapter(answer.rag_adapt.adapter, answer.proof)
    if answer.finish_reason == "length":
        st.caption("Cut: it reached the length that this skill's answers may have.")


def _adapter(version: str, proof: AdapterProof | None) -> None:
    """Which weights answered, and how it was shown that they did."""
    proven = proof is not None and proof.proven
    with st.container(horizontal=True, vertical_alignment="center", gap="xsmall"):
        st.badge(
            proof_state(proof),
            icon=":material/verified:" if proven else ":material/help:",
            color="green" if proven else "orange",
        )
        figures = proof_figures(proof)
        st.caption(label(f"adapter {adapter_name(version)}", most=200), width="content")
        if figures:
            st.caption(label(figures, most=200), width="content")


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
    if st.button(
        "Again",
        key=f"again.{one.id}",
        icon=":material/refresh:",
        type="tertiary",
        disabled=column.busy,
        help="Another answer of this route; this one stays below it.",
    ):
        with shown():
            service().conversations.again(column.conversation, column.turn, model=column.model)
            st.rerun()
    trace, key = _trace(one), f"trace.{one.id}"
    if trace and st.button("Trace", key=key, icon=":material/manage_search:", type="tertiary"):
        open_trace(trace)


def _trace(one: GenerationInfo) -> str | None:
    if one.answer is not None:
        return one.answer.rag_adapt.trace_id if one.answer.rag_adapt.trace_kept else None
    return one.failure.trace_id if one.failure is not None else None
