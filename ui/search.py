"""Search in a collection without asking a model: passages with their ranks in every mode.

It does not know how anything is searched. Documents are foreign text and shown escaped.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Final

import streamlit as st

from rag_adapt.client import Client, filled
from rag_adapt.schemas.collections import Hit, SearchRequest
from ui.passage import marked
from ui.plain import label
from ui.wording import NOTHING

MODES: Final = ("fused", "dense", "lexical")
"""Routes use the first; the others show where its ranks come from."""
Span = tuple[str, int, int]


@dataclass(frozen=True, kw_only=True)
class Found:
    """One passage, wherever it was found."""

    hit: Hit
    ranks: Mapping[str, int]
    """By mode, from 1; a mode that did not find it is left out."""
    scores: Mapping[str, float]


def search_form(client: Client, name: str) -> None:
    """A question, and how many passages each way of searching shall give.

    Raises:
        ApiError: the collection cannot be searched.
    """
    with st.form("search"):
        left, right = st.columns([4, 1])
        query = left.text_input("Look for", placeholder="A question as a user would ask it")
        k = right.number_input("Passages", min_value=1, max_value=100, value=4)
        sent = st.form_submit_button("Search", type="primary")
    if not sent:
        return
    if not (query or "").strip():
        st.warning("Type what to look for.")
        return
    hits = {mode: _hits(client, name, query or "", int(k), mode) for mode in MODES}
    _show(client, name, merged(hits))


def merged(hits: Mapping[str, Sequence[Hit]]) -> list[Found]:
    """Passages of all modes, in the order of the first mode, then of the next ones."""
    spans: dict[Span, Hit] = {}
    ranks: dict[Span, dict[str, int]] = {}
    scores: dict[Span, dict[str, float]] = {}
    for mode, found in hits.items():
        for rank, hit in enumerate(found, start=1):
            span = (hit.document, hit.start, hit.end)
            spans.setdefault(span, hit)
            ranks.setdefault(span, {})[mode] = rank
            scores.setdefault(span, {})[mode] = hit.score
    return [Found(hit=hit, ranks=ranks[span], scores=scores[span]) for span, hit in spans.items()]


def _hits(client: Client, name: str, query: str, k: int, mode: str) -> list[Hit]:
    order = filled(SearchRequest, query=query, k=k, mode=mode)
    return client.collections.search(name, order).data


def _show(client: Client, name: str, found: Sequence[Found]) -> None:
    if not found:
        st.info("Nothing was found. Try other words, or add documents.")
        return
    st.caption("The rank of a passage in each way of searching; higher scores are better.")
    st.dataframe([_row(one) for one in found], hide_index=True, alt="Passages and their ranks")
    texts: dict[str, str] = {}
    for place, one in enumerate(found, start=1):
        hit = one.hit
        if hit.document not in texts:
            texts[hit.document] = client.collections.document(name, hit.document).text
        text = texts[hit.document]
        with st.expander(f"{place}. {label(hit.document)}", expanded=place == 1):
            st.caption(f"Characters {hit.start:,} to {hit.end:,}; the passage is marked.")
            if text[hit.start : hit.end] == hit.text:
                st.html(marked(text, hit.start, hit.end))
            else:
                st.html(marked(hit.text, 0, len(hit.text)))


def _row(one: Found) -> dict[str, str | int]:
    row: dict[str, str | int] = {}
    for mode in MODES:
        rank = one.ranks.get(mode)
        row[mode] = NOTHING if rank is None else f"{rank} ({one.scores[mode]:.3g})"
    return row | {
        "document": one.hit.document,
        "from": one.hit.start,
        "to": one.hit.end,
        "passage": " ".join(one.hit.text.split())[:200],
    }
