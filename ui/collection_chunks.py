"""One document of a collection with the boundaries of its chunks drawn in its text.

It does not know how anything is cut. What a document says is foreign and shown escaped.
"""

from collections.abc import Iterator, Sequence
from html import escape
from itertools import pairwise
from typing import Final

import streamlit as st

from rag_adapt.client import Client
from rag_adapt.schemas.collections import ChunkInfo
from ui.wording import plural, size

AT_ONCE: Final = 40
"""Chunks on one page of a document."""
LONGEST: Final = 60_000
"""Characters that are drawn at once."""
BANDS: Final = ("rgba(47, 128, 237, 0.24)", "rgba(31, 157, 85, 0.24)")
"""Of chunks in turn, on light and on dark paper."""
SHARED: Final = "rgba(214, 69, 69, 0.36)"
EDGE: Final = "rgba(128, 128, 128, 0.9)"


def show_chunks(client: Client, name: str, document: str) -> None:
    """The text, its chunks, and the way to further ones.

    Raises:
        ApiError: the document is not indexed.
    """
    text = client.collections.document(name, document).text
    after = _place(st.query_params.get("after"))
    page = client.collections.chunks_page(name, document, limit=AT_ONCE, cursor=after)
    st.caption(
        f"{plural(len(text), 'character')}, {size(len(text.encode()))}. Each band is a chunk: what "
        "is embedded, searched and given to a model. A number stands where one begins; red is "
        "what two of them share, plain text belongs to none."
    )
    last = page.next is None
    _draw(text, page.data, whole=not after and last)
    _turn(page.next, after)
    with st.expander("The chunks as a table"):
        rows = [
            {
                "chunk": one.number,
                "under": " > ".join(one.headings),
                "from": one.start,
                "to": one.end,
                "characters": one.end - one.start,
            }
            for one in page.data
        ]
        st.dataframe(rows, hide_index=True, alt="The chunks of the document")


def drawn(text: str, spans: Sequence[tuple[int, int]], *, first: int = 1) -> str:
    """Text as HTML, all of it escaped: each span a band with its number, what two share in red.

    Args:
        text: What is drawn, whole.
        spans: Start and end of every chunk in it, in order of their starts.
        first: Number of the first chunk.

    >>> drawn("a <b>", [(2, 5)]).count("&lt;b&gt;")
    1
    """
    return (
        '<div style="white-space: pre-wrap; overflow-wrap: anywhere; line-height: 1.7">'
        f"{''.join(_pieces(text, spans, first))}</div>"
    )


def _pieces(text: str, spans: Sequence[tuple[int, int]], first: int) -> Iterator[str]:
    """Stretches between two edges, each coloured by the chunks that hold it."""
    starts: dict[int, list[int]] = {}
    for number, (start, _) in enumerate(spans):
        starts.setdefault(start, []).append(number)
    edges = sorted({0, len(text), *(edge for span in spans for edge in span)})
    open_: list[int] = []
    for left, right in pairwise(edges):
        open_ = [n for n in [*open_, *starts.get(left, ())] if spans[n][1] > left]
        for number in starts.get(left, ()):
            yield _number(number + first)
        piece = escape(text[left:right])
        yield f'<span style="background: {_colour(open_)}">{piece}</span>' if open_ else piece


def _number(number: int) -> str:
    return (
        f'<span style="border-left: 2px solid {EDGE}; padding: 0 0.3em; margin-left: 1px; '
        f'font-size: 0.72em; font-weight: 700; user-select: none">{number}</span>'
    )


def _colour(numbers: Sequence[int]) -> str:
    return SHARED if len(numbers) > 1 else BANDS[numbers[0] % len(BANDS)]


def _draw(text: str, chunks: Sequence[ChunkInfo], *, whole: bool) -> None:
    """The stretch that these chunks cover; all of the text where they are all."""
    if not chunks:
        st.info("No chunk: the document holds nothing that could be searched.")
        return
    left = 0 if whole else chunks[0].start
    right = len(text) if whole else max(one.end for one in chunks)
    right = min(right, left + LONGEST)
    spans = [(one.start - left, min(one.end, right) - left) for one in chunks if one.start < right]
    with st.container(height=460, border=True):
        st.html(drawn(text[left:right], spans, first=chunks[0].number))
    if len(spans) < len(chunks) or (whole and right < len(text)):
        st.caption(f"The first {LONGEST:,} characters of this page are shown.")


def _turn(more: int | None, after: int | None) -> None:
    with st.container(horizontal=True):
        if after and st.button("First chunks", icon=":material/first_page:"):
            del st.query_params["after"]
            st.rerun()
        if more is not None and st.button("Further chunks", icon=":material/chevron_right:"):
            st.query_params["after"] = str(more)
            st.rerun()


def _place(asked: str | None) -> int | None:
    return int(asked) if asked is not None and asked.isdecimal() and len(asked) < 16 else None
