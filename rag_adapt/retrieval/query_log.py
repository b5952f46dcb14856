"""What was asked of a collection: time, question and the places that were found; off by default.

It does not know texts of documents: hits are places. The log lies in the collection's folder, is
bounded, and goes with the collection.
"""

import json
import time
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any, Final

from rag_adapt.core.types import Passage

QUERY_LOG: Final = "queries.jsonl"
"""In a collection's folder; questions are kept where this file is."""
LARGEST: Final = 1_000_000
"""Bytes of the log; beyond them the older half goes."""
LONGEST: Final = 2_000
"""Characters of one question that are kept."""


def switch_on(folder: Path) -> None:
    """Keep what is asked from now on; only the owner may read it."""
    (folder / QUERY_LOG).touch(mode=0o600)


def switch_off(folder: Path) -> None:
    """Keep nothing from now on, and forget what was kept."""
    (folder / QUERY_LOG).unlink(missing_ok=True)


def note(folder: Path, query: str, mode: str, hits: Sequence[Passage]) -> None:
    """Keep one question, if questions are kept; a log that cannot be written stops no search."""
    path = folder / QUERY_LOG
    if not path.is_file():
        return
    line = json.dumps(
        {
            "time": round(time.time(), 3),
            "query": query[:LONGEST],
            "mode": mode,
            "hits": [[hit.document, hit.start, hit.end] for hit in hits],
        },
        ensure_ascii=False,
    )
    with suppress(OSError):
        with path.open("a", encoding="utf-8") as file:
            file.write(f"{line}\n")
        if path.stat().st_size > LARGEST:
            _halve(path)


def asked(folder: Path) -> list[dict[str, Any]]:
    """What is kept, oldest first; a line that was cut off is left out."""
    path = folder / QUERY_LOG
    if not path.is_file():
        return []
    found = []
    for line in path.read_text(encoding="utf-8", errors="replace").splitlines():
        with suppress(ValueError):
            found.append(json.loads(line))
    return found


def _halve(path: Path) -> None:
    lines = path.read_bytes().splitlines(keepends=True)
    new = path.with_name(f"{QUERY_LOG}.new")
    new.touch(mode=0o600)
    new.write_bytes(b"".join(lines[len(lines) // 2 :]))
    new.replace(path)
