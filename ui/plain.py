"""Foreign text where Streamlit would read markdown: labels, titles, notes.

It does not know what the text says. Whole answers and documents belong into `st.text`, which reads
nothing; this is for the places that take no other text.
"""

import re
from typing import Final

MOST: Final = 80
"""Characters of foreign text in a label."""
JOINER: Final = "\u2060"
"""Takes no room; breaks what would otherwise become a link, an icon or an emoji by itself."""
_SIGNS: Final = re.compile(r"([!-/:-@\[-`{-~])")
_BY_ITSELF: Final = re.compile(r"(?<=[:@])(?=\S)|(?<=www)(?=\.)", re.IGNORECASE)


def label(text: str, *, most: int = MOST) -> str:
    """Text on one line, cut, without anything that markdown, links or icons could be read from.

    >>> label("a *b*")
    'a \\\\*b\\\\*'
    """
    words = " ".join("".join(c if c.isprintable() else " " for c in text).split())
    cut = words if len(words) <= most else f"{words[: most - 1]}…"
    return _SIGNS.sub(r"\\\1", _BY_ITSELF.sub(JOINER, cut))
