"""Cards of several adapters side by side: what differs, and how well each learnt.

It does not know how adapters are trained.
"""

from collections.abc import Callable, Mapping, Sequence
from typing import Any, Final

import streamlit as st

from rag_adapt.client import Client
from rag_adapt.schemas.catalog import AdapterInfo
from rag_adapt.schemas.records import Card
from ui.figure import figure
from ui.run_charts import Chart
from ui.run_marks import Axis, colours
from ui.run_marks import curves as lines
from ui.wording import NOTHING, Row, day, duration, size

MOST: Final = 6
"""Cards side by side."""
FACT: Final = "of the card"
"""The first column: it stays in sight where the others are scrolled."""
FACTS: Final[Mapping[str, Callable[[Card], Any]]] = {
    "skill": lambda card: card.skill,
    "learnt from": lambda card: card.learned_from,
    "with passages": lambda card: "yes" if card.with_context else "no",
    "bits held out, before": lambda card: card.dev_bits_before,
    "bits held out, after": lambda card: card.dev_bits_after,
    "best step": lambda card: card.best_step,
    "rank": lambda card: card.settings.rank,
    "alpha": lambda card: card.settings.alpha,
    "learning rate": lambda card: card.settings.learning_rate,
    "epochs": lambda card: card.settings.epochs,
    "examples per step": lambda card: card.settings.batch_size,
    "share of general data": lambda card: card.settings.general_share,
    "seed": lambda card: card.settings.seed,
    "examples": lambda card: card.examples,
    "tokens": lambda card: card.tokens,
    "training": lambda card: duration(card.seconds),
    "memory at most": lambda card: _size(card.peak_memory_bytes),
    "size": lambda card: size(card.size_bytes),
    "computed in": lambda card: card.settings.dtype,
    "on": lambda card: card.settings.device,
    "base model": lambda card: card.base_model,
    "weights": lambda card: card.weights_hash[:12],
    "template": lambda card: card.template_hash,
    "skill's data": lambda card: card.skill_hash,
    "made": lambda card: f"{day(card.created)} UTC",
}
"""By name: one fact of a card."""


def compare_form(adapters: Sequence[AdapterInfo]) -> None:
    """Choose some; the address names them."""
    if len(adapters) < 2:
        return
    with st.form("compare-adapters"):
        chosen = st.multiselect(
            "Compare", [one.version for one in adapters], max_selections=MOST, key="compared"
        )
        sent = st.form_submit_button("Compare side by side")
    if sent and len(chosen) >= 2:
        st.query_params.clear()
        st.query_params["compare"] = ",".join(chosen)
        st.rerun()
    if sent:
        st.warning("Choose two at least.")


def show_compared(client: Client, asked: str) -> None:
    """The cards that the address names, fact by fact, and their curves in one chart.

    Raises:
        ApiError: `adapter-not-found`.
    """
    cards = [client.adapters.show(version) for version in asked.split(",")[:MOST] if version]
    only = st.toggle("Only what differs", value=True)
    rows = facts(cards, only_differing=only)
    if rows:
        st.dataframe(
            rows,
            hide_index=True,
            height="content",
            column_config={FACT: st.column_config.TextColumn(pinned=True)},
            alt="Cards side by side",
        )
    else:
        st.info("These cards say the same of everything.")
    chart = curves(cards)
    if chart is None:
        st.caption("None of them was measured on held-out items while it learnt.")
    else:
        figure(chart, key="compared")


def facts(cards: Sequence[Card], *, only_differing: bool) -> list[dict[str, str]]:
    """A row per fact, a column per card."""
    rows = []
    for name, of in FACTS.items():
        said = [_said(of(card)) for card in cards]
        if not only_differing or len(set(said)) > 1:
            versions = [card.version for card in cards]
            rows.append({FACT: name, **dict(zip(versions, said, strict=True))})
    return rows


def curves(cards: Sequence[Card]) -> Chart | None:
    """Held-out code length by step, a line per card that has one; None where none has."""
    rows: list[Row] = [
        {"adapter": card.version, "step": step, "bits": bits}
        for card in cards
        if card.dev_curve
        for step, bits in [(0, card.dev_bits_before), *((p.step, p.bits) for p in card.dev_curve)]
        if bits is not None
    ]
    if not rows:
        return None
    return Chart(
        title="Held-out code length by step (bits per answer token)",
        sentence="Fewer bits: the adapter expects the right answers more. Step 0 is the base.",
        drawing=lines(
            rows,
            x=Axis(field="step", title="step", whole=True),
            y=Axis(field="bits", title="bits per answer token"),
            colour=colours("adapter", columns=1),
        ),
        rows=rows,
        file="adapters.csv",
    )


def _said(value: Any) -> str:
    if value is None or value == "":
        return NOTHING
    return f"{value:,.4g}" if isinstance(value, float) else str(value)


def _size(count: int | None) -> str | None:
    return None if not count else size(count)
