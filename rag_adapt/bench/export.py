"""A run's answers for a spreadsheet.

It does not know what the answers are for; a cell that a spreadsheet would run is defused.
"""

import csv
from typing import Final, TextIO

from rag_adapt.bench.store import AnswerRow, RunFolder

FORMULA_STARTS: Final = ("=", "+", "-", "@", "\t", "\r")
COLUMNS: Final = tuple(
    name for name in AnswerRow.model_fields if name not in {"trace", "scores", "targets"}
)


def write_csv(run: RunFolder, file: TextIO) -> int:
    """Write one line per answer and return how many; streams, so memory stays flat."""
    writer = csv.writer(file, lineterminator="\n")
    writer.writerow(COLUMNS)
    lines = 0
    for row in run.rows():
        writer.writerow([_cell(getattr(row, name)) for name in COLUMNS])
        lines += 1
    return lines


def _cell(value: object) -> object:
    if isinstance(value, str) and value.startswith(FORMULA_STARTS):
        return f"'{value}"
    return "" if value is None else value
