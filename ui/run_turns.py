"""Fixed and broken items, and mixed-up labels: the parts of a report that read answers.

It does not know how answers were made; every text here is foreign and shown as text.
"""

from collections.abc import Sequence
from typing import Final

import streamlit as st

from rag_adapt.client import Client
from rag_adapt.schemas.records import Report
from ui.figure import figure
from ui.plain import label
from ui.run_charts import Chart
from ui.run_items import Turned, confused, turned
from ui.run_kept import answers_of
from ui.run_marks import cells
from ui.wording import NOTHING, plural, points

AT_ONCE: Final = 5
"""Items on one page."""
MOST: Final = 4000
"""Characters of one text that are shown."""
MAX_LABELS: Final = 40
"""Labels of a matrix that is drawn; above it the table must do."""


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
    rows = {arm: answers_of(client, run, skill, arm) for arm in (pair.a, pair.b)}
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
    rows = confused(answers_of(client, run, skill, arm))
    labels = list(dict.fromkeys(str(row[name]) for name in ("target", "answered") for row in rows))
    if not rows:
        st.caption("No answer of this arm was scored by its label.")
    elif len(labels) <= MAX_LABELS:
        figure(_matrix(rows, labels, f"{skill}-{arm}-labels.csv"), key=f"labels-{run}-{skill}")
    else:
        st.caption(f"{len(labels)} labels are too many for a drawing.")
        st.dataframe(rows, hide_index=True, alt="Answers by target and answered label")


def _matrix(rows: Sequence[dict[str, str | int]], labels: list[str], file: str) -> Chart:
    """Labels are foreign text; in a chart they are text too."""
    return Chart(
        title="Answers by target (down) and answered label (across)",
        sentence="On the diagonal the answer was right; a stronger colour is more answers.",
        drawing=cells(rows, x="answered", y="target", value="answers", order=labels),
        rows=rows,
        file=file,
    )


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
        st.caption(label(f"{one.turn}, {points(one.change)} points · {one.item}", most=200))
        st.text(f"{_cut(one.input)}\nAccepted answers: {_cut(' | '.join(one.targets[:3]))}")
        left, right = st.columns(2)
        for place, arm, said in ((left, a, one.a), (right, b, one.b)):
            place.text("\n".join([f"{arm}:", *(_cut(text) or NOTHING for text in said)]))


def _cut(text: str) -> str:
    return text if len(text) <= MOST else f"{text[:MOST]}… ({len(text):,} characters)"
