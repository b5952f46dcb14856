"""Which runs still quote the documents of a collection: their answers keep what the model was sent.

It does not know what a run is beyond its folder: every file of answers names the collections that
its passages came from.
"""

import re
from pathlib import Path
from typing import Final

FILES: Final = ("answers.jsonl", "dev.jsonl")
"""Of a run: every answer with its trace, prompts included."""
_BLOCK: Final = 1 << 22
"""Bytes that are looked through at once."""


def quoting_runs(runs: Path, collection: str) -> tuple[str, ...]:
    """Names of the runs whose answers were given with passages of a collection, in order.

    Args:
        runs: The folder of all runs, `home/runs`.
        collection: Its name; every state that it was ever in counts.
    """
    mark = re.compile(rb'"collection":\s*"' + re.escape(collection.encode()) + rb'@[0-9a-f]+"')
    folders = sorted(path for path in runs.glob("*") if path.is_dir())
    return tuple(
        folder.name for folder in folders if any(_holds(folder / name, mark) for name in FILES)
    )


def _holds(path: Path, mark: "re.Pattern[bytes]") -> bool:
    if not path.is_file():
        return False
    with path.open("rb") as file:
        tail = b""
        while block := file.read(_BLOCK):
            if mark.search(tail + block):
                return True
            tail = block[-200:]  # a mark is shorter: names have 48 letters at most
    return False
