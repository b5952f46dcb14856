"""Which formats can be imported, how a file's format is told, and who reads it.

It does not know what becomes of the rows.
"""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Final

from rag_adapt.core.errors import SkillError
from rag_adapt.skills.formats import ENDINGS, SHAPES, Format
from rag_adapt.skills.json_sets import read_big_bench, read_json, read_squad
from rag_adapt.skills.tables import Columns, Table, read_delimited, read_json_lines

READERS: Final[dict[Format, Callable[[Path, Columns], Table]]] = {
    "csv": lambda path, columns: read_delimited(path, columns, delimiter=","),
    "tsv": lambda path, columns: read_delimited(path, columns, delimiter="\t"),
    "jsonl": read_json_lines,
    "bigbench": read_big_bench,
    "squad": read_squad,
}


def read_table(path: Path, columns: Columns, format: Format | None) -> tuple[Format, Table]:
    """The file's rows, and the format they were read by: the given one, or the one found.

    Raises:
        SkillError: there is no such file, or it has no shape that is known.
    """
    if not path.is_file():
        raise SkillError(f"there is no file {str(path)!r}", hint="Check the path of FILE.")
    with path.open("rb") as stream:
        head = stream.read(65536)
    if head.startswith((b"\xff\xfe", b"\xfe\xff")):
        raise SkillError(
            f"{str(path)!r} is UTF-16, not UTF-8",
            hint=f"Convert it: iconv -f UTF-16 -t UTF-8 {path} > {path.stem}-utf8{path.suffix}",
        )
    chosen = format or format_of(path, head)
    if chosen not in READERS:
        raise SkillError(
            f"there is no format {chosen!r}", hint=f"Choose one of: {', '.join(READERS)}."
        )
    return chosen, READERS[chosen](path, columns)


def format_of(path: Path, head: bytes) -> Format:
    """The format by the file's ending or, failing that, by how it begins.

    Raises:
        SkillError: neither tells.
    """
    if (ending := path.suffix.lower()) in ENDINGS:
        return ENDINGS[ending]
    first = head.removeprefix(b"\xef\xbb\xbf").lstrip().partition(b"\n")[0]
    if first.startswith((b"{", b"[")):
        return _json_format(path, first)
    if b"\t" in first:
        return "tsv"
    if b"," in first:
        return "csv"
    raise SkillError(
        f"cannot tell the format of {str(path)!r} from its name or its first line",
        hint=f"Name it with --format ({', '.join(READERS)}).",
    )


def _json_format(path: Path, first: bytes) -> Format:
    try:
        value = json.loads(first)
    except (ValueError, RecursionError):
        value = read_json(path)
    for key, format in SHAPES.items():
        if isinstance(value, dict) and isinstance(value.get(key), list):
            return format
    if isinstance(value, dict) and path.suffix.lower() != ".json":
        return "jsonl"
    keys = ", ".join(map(repr, value)) if isinstance(value, dict) else type(value).__name__
    raise SkillError(
        f"{str(path)!r} is JSON of a shape that is not known: {keys}",
        hint='Known are BIG-Bench ({"examples": [...]}) and SQuAD ({"data": [...]}); for one JSON '
        "object per line give --format jsonl.",
    )
