"""Fixed and broken items, and mixed-up labels: the parts of a report that read answers.

It does not know how answers were made; every text here is foreign and shown as text.
"""

from collections.abc import Sequence
from typing import Final

import streamlit as st

from rag_adapt.client import Client
from rag_adapt.schemas.records import AnswerRow, Report
from ui.run_items import Turned, confused, turned
from ui.wording import NOTHING, plural, points, table_csv

AT_ONCE: Final = 10
"""Items on one page."""
MOST: Final = 4000
"""Characters of one text that are shown."""
MAX_LABELS: Final = 40
"""Labels of a matrix that is drawn; above it the table must do."""
_KEPT: Final = "run-answers"


def show_turns(client: Client, run: str, report: Report, skill: str) -> None:
    """One contrast's items whose score turned, both answers side by side.

    Raises:
        ApiError: the answers could not be read.
    """
    pairs = [pair for pair in report.pairs if pair.skill == skill]
    if not pairs:
        st.caption("This run compared no two arms.")
        return
    names = [f"{pair.b} over {pair.a}: {pair.fixed} fixed, {pair.broken} broken" for pair in pairs]
    chosen = st.selectbox("Contrast", names, index=None, key=f"contrast-{run}-{skill}")
    if chosen is None:
        st.caption("Choose a contrast to see the items that turned, with both answers.")
        return
    pair = pairs[names.index(chosen)]
    rows = {arm: _answers(client, run, skill, arm) for arm in (pair.a, pair.b)}
    _side_by_side(turned(rows[pair.a], rows[pair.b]), pair.a, pair.b, key=f"{run}-{skill}-{chosen}")


def show_confusions(client: Client, run: str, report: Report, skill: str) -> None:
    """Which labels were answered for which, for one arm.

    Raises:
        ApiError: the answers could not be read.
    """
    arms = [arm.arm for arm in report.arms if arm.skill == skill and arm.measured]
    arm = st.selectbox("Arm", arms, index=None, key=f"confusion-{run}-{skill}")
    if arm is None:
        st.caption("Choose an arm to see which labels it answered for which.")
        return
    rows = confused(_answers(client, run, skill, arm))
    labels = list(dict.fromkeys(str(row[name]) for name in ("target", "answered") for row in rows))
    if len(labels) <= MAX_LABELS:
        _matrix(rows, labels)
    st.dataframe(rows, hide_index=True, alt="Answers by target and answered label")
    st.download_button(
        "Download as CSV", table_csv(rows), file_name=f"{skill}-{arm}-labels.csv", on_click="ignore"
    )


def _matrix(rows: Sequence[dict[str, str | int]], labels: list[str]) -> None:
    import altair as alt

    st.caption("Targets down, answered labels across; a stronger colour is more answers.")
    base = alt.Chart(alt.Data(values=list(rows))).encode(
        x=alt.X("answered:N", title="answered", sort=labels),
        y=alt.Y("target:N", title="target", sort=labels),
    )
    cells = base.mark_rect().encode(
        color=alt.Color("answers:Q", title="answers"),
        tooltip=["target:N", "answered:N", "answers:Q"],
    )
    st.altair_chart(cells, width="stretch", alt="Answers by target and answered label")


def _answers(client: Client, run: str, skill: str, arm: str) -> list[AnswerRow]:
    """A finished run's answers never change: those of the last two arms are kept."""
    kept: dict[tuple[str, str, str], list[AnswerRow]] = st.session_state.setdefault(_KEPT, {})
    key = (run, skill, arm)
    if key not in kept:
        kept[key] = list(client.runs.answers(run, skill=skill, arm=arm))
        for old in list(kept)[:-2]:
            del kept[old]
    return kept[key]


def _side_by_side(items: Sequence[Turned], a: str, b: str, *, key: str) -> None:
    fixed = sum(one.turn == "fixed" for one in items)
    st.text(f"{plural(fixed, 'item')} fixed by {b}, {len(items) - fixed} broken.")
    if not items:
        return
    left, right = st.columns(2)
    kinds = ["all", "fixed", "broken"]
    kind = left.segmented_control("Show", kinds, default="all", required=True, key=f"kind-{key}")
    shown = [one for one in items if kind in ("all", None, one.turn)]
    pages = max(1, -(-len(shown) // AT_ONCE))
    page = right.number_input("Page", 1, pages, 1, key=f"page-{key}") if pages > 1 else 1
    for one in shown[(page - 1) * AT_ONCE : page * AT_ONCE]:
        _item(one, a, b)


def _item(one: Turned, a: str, b: str) -> None:
    with st.container(border=True):
        st.text(f"{one.turn}, {points(one.change)} points · {one.item}")
        st.text(_cut(one.input))
        st.caption("Accepted answers")
        st.text(_cut(" | ".join(one.targets[:3])))
        left, right = st.columns(2)
        for place, arm, said in ((left, a, one.a), (right, b, one.b)):
            with place:
                st.caption(f"`{arm}`")
                for text in said:
                    st.code(_cut(text) or NOTHING, language=None, wrap_lines=True)


def _cut(text: str) -> str:
    return text if len(text) <= MOST else f"{text[:MOST]}… ({len(text):,} characters)"
