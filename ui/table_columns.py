"""The columns and first rows of a file that somebody means to upload.

It does not know what becomes of them: the service reads the file again, and says what is wrong.
"""

import csv
import io
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import islice
from typing import Any, Final

HEAD: Final = 256 * 2**10
"""Bytes of a file that are looked at."""
ROWS: Final = 5
"""Rows that are shown."""
MOST: Final = 200
"""Characters of a cell that are shown."""


@dataclass(frozen=True, kw_only=True)
class Columns:
    """What the beginning of a file shows."""

    names: tuple[str, ...]
    """Empty where the file has a shape of its own, or none that is known."""
    rows: tuple[Mapping[str, str], ...]


def columns_of(name: str, head: bytes) -> Columns:
    """Columns by the file's ending; empty where they cannot be told.

    Args:
        name: File name.
        head: Its first bytes.
    """
    text = head[:HEAD].decode("utf-8-sig", "replace")
    ending = name.lower().rpartition(".")[2]
    if ending in ("csv", "tsv"):
        return _of_table(text, "," if ending == "csv" else "\t")
    if ending in ("jsonl", "ndjson"):
        return _of_lines(text)
    return Columns(names=(), rows=())


def guess(names: Sequence[str], wanted: Sequence[str]) -> int | None:
    """Place of the first column that is called like one of these; None where none is."""
    lower = [name.strip().lower() for name in names]
    return next((lower.index(name) for name in wanted if name in lower), None)


def _of_table(text: str, delimiter: str) -> Columns:
    try:
        lines = list(islice(csv.reader(io.StringIO(text), delimiter=delimiter), ROWS + 1))
    except csv.Error:
        lines = []
    if not lines:
        return Columns(names=(), rows=())
    names = tuple(dict.fromkeys(name for name in lines[0] if name))
    rows = [
        {key: _cut(cell) for key, cell in zip(lines[0], row, strict=False)} for row in lines[1:]
    ]
    return Columns(names=names, rows=tuple(rows))


def _of_lines(text: str) -> Columns:
    found = [row for line in text.split("\n")[:ROWS] if (row := _object(line)) is not None]
    names = dict.fromkeys(name for row in found for name in row)
    return Columns(
        names=tuple(names),
        rows=tuple({key: _cut(_plain(value)) for key, value in row.items()} for row in found),
    )


def _object(line: str) -> dict[str, Any] | None:
    try:
        found = json.loads(line)
    except (ValueError, RecursionError):
        return None
    return found if isinstance(found, dict) else None


def _plain(value: object) -> str:
    return value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)


def _cut(text: str) -> str:
    return text if len(text) <= MOST else f"{text[:MOST]}…"
