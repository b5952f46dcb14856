"""CSV and JSON lines: a paragraph per record, one `name: value` line per field.

It does not know what fields mean.
"""

import csv
import io
import json
from collections.abc import Iterator
from typing import Final

from rag_adapt.retrieval.parsers.encoding import decode_text, encoding_notes
from rag_adapt.retrieval.parsers.parsed import Parsed, UnusableError
from rag_adapt.retrieval.parsers.plain import refuse_other, unix_lines

SAMPLE: Final = 1 << 14
"""Characters from which a table's delimiter is guessed."""
DELIMITERS: Final = ",;\t|"


def parse_csv(raw: bytes) -> Parsed:
    """Rows under the names in the first row; its delimiter is found.

    Raises:
        UnusableError: it is no text, or no table.
    """
    refuse_other(raw)
    decoded = decode_text(raw)
    text = unix_lines(decoded.text)
    csv.field_size_limit(1 << 24)
    try:
        rows = [row for row in csv.reader(io.StringIO(text), _dialect(text)) if any(row)]
    except csv.Error as error:
        raise UnusableError(f"not CSV: {error}") from error
    if len(rows) < 2:
        raise UnusableError("no rows under its header" if rows else "empty")
    names, *records = rows
    paragraphs = ("\n".join(_fields(names, record)) for record in records)
    return Parsed(text="\n\n".join(paragraphs), notes=encoding_notes(decoded))


def parse_jsonl(raw: bytes) -> Parsed:
    """A JSON value per line; members of members have dotted names.

    Raises:
        UnusableError: it is no text, or a line is not JSON.
    """
    refuse_other(raw)
    decoded = decode_text(raw)
    paragraphs = []
    for number, line in enumerate(unix_lines(decoded.text).split("\n"), start=1):
        if not line.strip():
            continue
        try:
            value = json.loads(line)
        except ValueError as error:
            raise UnusableError(f"line {number} is not JSON: {error}") from error
        paragraphs.append("\n".join(_members(value, "")))
    return Parsed(text="\n\n".join(filter(None, paragraphs)), notes=encoding_notes(decoded))


def _dialect(text: str) -> type[csv.Dialect]:
    try:
        return csv.Sniffer().sniff(text[:SAMPLE].rsplit("\n", 1)[0] or text, DELIMITERS)
    except csv.Error:
        return csv.excel


def _fields(names: list[str], record: list[str]) -> Iterator[str]:
    for place, value in enumerate(record):
        name = names[place].strip() if place < len(names) else f"column {place + 1}"
        if value.strip():
            yield f"{name}: {value.strip()}" if name else value.strip()


def _members(value: object, name: str) -> Iterator[str]:
    if isinstance(value, dict):
        for key, inner in value.items():
            yield from _members(inner, f"{name}.{key}" if name else str(key))
    elif isinstance(value, list):
        for inner in value:
            yield from _members(inner, name)
    elif value is not None and (shown := _shown(value)):
        yield f"{name}: {shown}" if name else shown


def _shown(value: object) -> str:
    return value.strip() if isinstance(value, str) else json.dumps(value)
