"""A skill's documents as whole texts, for what reads them without searching.

It does not know collections or chunks.
"""

from collections.abc import Mapping
from pathlib import Path

from rag_adapt.core.types import Passage
from rag_adapt.retrieval.parse import read_corpus


def read_documents(folder: Path) -> tuple[Passage, ...]:
    """Whole documents, parsed as collections parse them.

    Raises:
        CollectionError: the folder holds nothing that can be read.
    """
    return whole({document.path: document.text for document in read_corpus(folder).documents})


def whole(texts: Mapping[str, str]) -> tuple[Passage, ...]:
    """Each text as one passage."""
    return tuple(
        Passage(document=name, start=0, end=len(text), text=text) for name, text in texts.items()
    )
