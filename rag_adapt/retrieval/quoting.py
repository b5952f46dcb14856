"""What still quotes the documents of a collection: runs, traces and conversations keep what the
model was sent.

It does not know what any of them is beyond its bytes: runs and traces name the collections that
their passages came from, answers in a conversation their skill, whose collection they read.
"""

import re
import sqlite3
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from rag_adapt.retrieval.catalog import LONGEST, SKILLS
from rag_adapt.retrieval.sqlite import open_reader, translated

RUNS: Final = "runs"
"""Below a home: a folder for each run."""
FILES: Final = ("answers.jsonl", "dev.jsonl")
"""Of a run: every answer with its trace, prompts included."""
_BLOCK: Final = 1 << 22
"""Bytes that are looked through at once."""
STATE: Final = "state.db"
"""Below a home: holds the service's traces, in the table `traces`, and its conversations, whose
answers are in the table `generations`."""
QUOTES: Final = "instr(body, CAST(? AS BLOB)) > 0"
"""Of a trace; see `mark_of`."""
CITATIONS: Final = "$.rag_adapt.citations"
"""Where an answer keeps the passages of its prompt."""
CITES: Final = f"""json_array_length(answer, '{CITATIONS}') > 0
    AND substr('{SKILLS}' || json_extract(answer, '$.rag_adapt.skill'), 1, {LONGEST}) = ?"""
"""Of a generation, by the name of the collection that its skill has."""
CONVERSATIONS_QUOTING: Final = f"""SELECT count(DISTINCT conversation)
    FROM generations JOIN turns ON turns.id = turn WHERE {CITES}"""


@dataclass(frozen=True, kw_only=True)
class Quotations:
    """What quotes a collection, in any state that it was ever in, and keeps its text."""

    runs: tuple[str, ...]
    """Names of those whose answers were given with its passages, in order. `rag-adapt runs list`
    shows where they lie; they stay until somebody deletes them."""
    traces: int
    """Of the service. `rag-adapt traces remove --collection NAME` deletes them."""
    conversations: int
    """Of the service, of whomever, that hold its passages beside an answer. The same command takes
    them out."""


def quotations(home: Path, collection: str) -> Quotations:
    """Everything below a home that quotes a collection.

    Raises:
        CollectionError: the file of traces and conversations is damaged.
    """
    path = home / STATE
    traces = conversations = 0
    if path.is_file():
        with closing(open_reader(path)) as connection, translated(path):
            known = tables_of(connection)
            if "traces" in known:
                counting = f"SELECT count(*) FROM traces WHERE {QUOTES}"
                traces = _count(connection, counting, mark_of(collection))
            if "generations" in known:
                conversations = _count(connection, CONVERSATIONS_QUOTING, collection)
    return Quotations(
        runs=quoting_runs(home / RUNS, collection), traces=traces, conversations=conversations
    )


def mark_of(collection: str) -> str:
    """What a trace holds that was answered with passages of a collection, in any of its states."""
    return f'"collection": "{collection}@'


def tables_of(connection: sqlite3.Connection) -> frozenset[str]:
    """Names of the tables of a file."""
    rows = connection.execute("SELECT name FROM sqlite_schema WHERE type = 'table'")
    return frozenset(row[0] for row in rows)


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


def _count(connection: sqlite3.Connection, counting: str, value: str) -> int:
    return int(connection.execute(counting, (value,)).fetchone()[0])


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
