"""Opens a cited passage where it stands in its document, the exact span marked.

It does not know who cited it.
"""

from html import escape
from typing import Final

import streamlit as st

from rag_adapt.core.errors import UserError
from rag_adapt.schemas.answers import Citation
from ui.connection import service
from ui.faults import show

BEFORE: Final = 500
"""Characters of the document that are shown before the span, few enough to see it at once."""
AFTER: Final = 700
"""And after it."""
LONGEST_NAME: Final = 48
"""Characters of a collection's name; a skill's own is cut to them."""


@st.dialog("Passage", width="medium", position="right")
def open_passage(citation: Citation, skill: str | None) -> None:
    """Show it beside the page."""
    st.text(f"{citation.document}\ncharacters {citation.start:,} to {citation.end:,}")
    text = _document(citation, skill)
    if text is None:
        st.html(marked(citation.text, 0, len(citation.text)))
    elif text[citation.start : citation.end] == citation.text:
        st.html(marked(text, citation.start, citation.end))
    else:
        st.info("The document has changed since. This is the passage as it was sent.")
        st.html(marked(citation.text, 0, len(citation.text)))


def marked(text: str, start: int, end: int) -> str:
    """Text around a span as HTML, all of it escaped, the span in `mark`.

    Args:
        text: The whole document.
        start: First character of the span.
        end: One past its last.

    >>> marked("a <b> c", 2, 5)
    '<div style="white-space: pre-wrap; overflow-wrap: anywhere">a <mark>&lt;b&gt;</mark> c</div>'
    """
    before, after = text[max(0, start - BEFORE) : start], text[end : end + AFTER]
    first = "… " if start > BEFORE else ""
    last = " …" if end + AFTER < len(text) else ""
    inside = f"{first}{escape(before)}<mark>{escape(text[start:end])}</mark>{escape(after)}{last}"
    return f'<div style="white-space: pre-wrap; overflow-wrap: anywhere">{inside}</div>'


def _document(citation: Citation, skill: str | None) -> str | None:
    """The document's text; None, with the reason on the page, where there is none."""
    if skill is None:
        return None
    try:
        name = f"skill-{skill}"[:LONGEST_NAME]
        return service().collections.document(name, citation.document).text
    except UserError as error:
        show(error)
        return None
