"""The formats that can be imported, and how a file's name or its top key tells which it is.

It does not know how they are read; kept apart so that the command line starts fast.
"""

from typing import Final, Literal

Format = Literal["csv", "tsv", "jsonl", "bigbench", "squad"]

ENDINGS: Final[dict[str, Format]] = {
    ".csv": "csv",
    ".tsv": "tsv",
    ".jsonl": "jsonl",
    ".ndjson": "jsonl",
}
SHAPES: Final[dict[str, Format]] = {"examples": "bigbench", "data": "squad"}
"""The key at the top of a JSON file tells its format."""
