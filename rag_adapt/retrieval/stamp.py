"""Remembers beside a record which state of it was the latest, so that an older one is noticed.

It does not know how records are written. The stamp follows the record: a writer that was killed
between the two leaves a record that is newer, which is no fault.
"""

import json
from pathlib import Path
from typing import Final

from rag_adapt.retrieval.record import Meta

STAMP: Final = "latest.json"
"""Beside the record: its generation and its content's hash."""


def write_stamp(folder: Path, meta: Meta) -> None:
    """Say that this is the latest state of the collection."""
    new = folder / f"{STAMP}.new"
    told = {"generation": meta.generation, "content_hash": meta.content_hash}
    new.write_text(json.dumps(told), encoding="utf-8")
    new.replace(folder / STAMP)


def older(folder: Path, meta: Meta) -> str | None:
    """How the record differs from the latest state, where it is not that one; None where it is.

    None also where there is no stamp: older versions wrote none.
    """
    try:
        told = json.loads((folder / STAMP).read_text(encoding="utf-8"))
        generation, content_hash = int(told["generation"]), str(told["content_hash"])
    except (OSError, ValueError, TypeError, KeyError):
        return None
    if meta.generation > generation or (meta.generation, meta.content_hash) == (
        generation,
        content_hash,
    ):
        return None
    return (
        f"it is of generation {meta.generation} ({meta.content_hash}), the last build made "
        f"generation {generation} ({content_hash}): it was restored from an older backup"
    )
