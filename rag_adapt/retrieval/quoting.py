"""What still quotes the documents of a collection: runs and traces keep what the model was sent.

It does not know what a run or a trace is beyond its bytes: both name the collections that their
passages came from.
"""

import re
from contextlib import closing
from pathlib import Path
from typing import Final

from rag_adapt.retrieval.sqlite import open_reader, translated

FILES: Final = ("answers.jsonl", "dev.jsonl")
"""Of a run: every answer with its trace, prompts included."""
_BLOCK: Final = 1 << 22
"""Bytes that are looked through at once."""


STATE: Final = "state.db"
"""Below a home: holds the service's traces, in the table `traces`."""
QUOTES: Final = "instr(body, CAST(? AS BLOB)) > 0"
"""Of a trace; see `mark_of`."""


def mark_of(collection: str) -> str:
    """What a trace holds that was answered with passages of a collection, in any of its states."""
    return f'"collection": "{collection}@'


def quoting_traces(home: Path, collection: str) -> int:
    """How many of the service's traces were answered with passages of a collection.

    Raises:
        CollectionError: the file of the traces is damaged.
    """
    path = home / STATE
    if not path.is_file():
        return 0
    with closing(open_reader(path)) as connection, translated(path):
        if connection.execute("SELECT 1 FROM sqlite_schema WHERE name = 'traces'").fetchone():
            sql = f"SELECT count(*) FROM traces WHERE {QUOTES}"
            return int(connection.execute(sql, (mark_of(collection),)).fetchone()[0])
    return 0


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
