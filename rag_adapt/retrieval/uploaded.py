"""Reads uploaded documents inside a limited process, to say which of them cannot be used.

It does not know HTTP or collections; indexing reads the documents again.
"""

from pathlib import Path
from typing import Any, Final

from rag_adapt.core.errors import CollectionError
from rag_adapt.limited.bounds import Bounds
from rag_adapt.retrieval.parse import read_corpus

SHOWN: Final = 5
"""Documents that are named."""
BOUNDS: Final = Bounds(seconds=60, cpu_seconds=30, memory_bytes=1 << 30)


def check_documents(asked: dict[str, Any]) -> dict[str, Any]:
    """Read every document of `folder` as indexing will.

    Raises:
        CollectionError: naming those that cannot be read, and why.
    """
    folder = Path(asked["folder"])
    try:
        failed = read_corpus(folder, confined=True).failed
    except CollectionError as error:
        fact = error.fact.replace(f"corpus {str(folder)!r} holds", "the upload holds")
        raise CollectionError(fact, hint="Upload documents that hold text.") from error
    if failed:
        named = "; ".join(f"{one.path}: {one.reason}" for one in failed[:SHOWN])
        more = f"; and {len(failed) - SHOWN} more" if len(failed) > SHOWN else ""
        raise CollectionError(
            f"documents cannot be read: {named}{more}",
            hint="Leave them out or mend them; nothing of this upload was kept.",
        )
    return {}
