"""Reads CSV, TSV and JSON Lines into rows, and keeps the faults of every line.

It does not know splits, tasks or how a skill is written.
"""

import csv
import json
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

from rag_adapt.core.errors import SkillError
from rag_adapt.core.types import Span
from rag_adapt.skills.faults import Fault
from rag_adapt.skills.files import json_object

_UNDECODABLE: Final = re.compile("[\ud800-\udfff]")


@dataclass(frozen=True, kw_only=True)
class Columns:
    """Where the parts of an item stand in a row."""

    input: str = "input"
    target: str = "target"
    split: str | None = None


@dataclass(frozen=True, kw_only=True)
class Row:
    """One item to be, before it has a split."""

    number: int
    """Line of the file, or number of the example, from 1."""
    input: str
    targets: tuple[str, ...]
    split: str | None = None
    """As the file has it."""
    gold: tuple[Span, ...] = ()
    group: str | None = None
    """What the row shares with others by the file's own structure, such as a paragraph."""


@dataclass(frozen=True, kw_only=True)
class Table:
    """What a file holds."""

    rows: tuple[Row, ...]
    faults: tuple[Fault, ...]
    """Rows that cannot be used, and why."""
    documents: Mapping[str, str] = field(default_factory=dict)
    """Texts for the corpus, by file name."""
    notes: tuple[str, ...] = ()
    """What a user should know about the reading."""


def read_delimited(path: Path, columns: Columns, *, delimiter: str) -> Table:
    """Rows of a CSV or TSV file with a header line; quoted fields may span lines.

    Raises:
        SkillError: the file has no header, or a column is missing from it.
    """
    faults: list[Fault] = []
    rows: list[Row] = []
    with path.open(encoding="utf-8-sig", errors="surrogateescape", newline="") as stream:
        records = _records(csv.reader(stream, delimiter=delimiter, strict=True), path, faults)
        header = next(records, None)
        if header is None:
            raise SkillError(f"{str(path)!r} is empty", hint="Give a file with a header and rows.")
        _demand_columns(path, columns, header.fields)
        for record in records:
            row = _delimited_row(path, columns, header.fields, record)
            rows.append(row) if isinstance(row, Row) else faults.append(row)
    return Table(rows=tuple(rows), faults=tuple(faults))


def read_json_lines(path: Path, columns: Columns) -> Table:
    """Rows of a JSON Lines file; a target may be a list of accepted answers.

    Raises:
        SkillError: no line has the column.
    """
    rows: list[Row] = []
    faults: list[Fault] = []
    seen: dict[str, None] = {}
    with path.open("rb") as stream:
        for number, line in enumerate(stream, start=1):
            raw = line.removeprefix(b"\xef\xbb\xbf") if number == 1 else line
            if not raw.strip():
                continue
            try:
                values = json_object(raw)
                seen.update(dict.fromkeys(values))
                rows.append(row_of(values, columns, number))
            except ValueError as error:
                faults.append(Fault(file=path.name, line=number, reason=str(error)))
    if seen:
        _demand_columns(path, columns, list(seen))
    return Table(rows=tuple(rows), faults=tuple(faults))


def row_of(values: Mapping[str, Any], columns: Columns, number: int) -> Row:
    """A row from named values.

    Raises:
        ValueError: a value is missing, empty, or of a kind that cannot be text.
    """
    wanted = _value(values, columns.target)
    targets = wanted if isinstance(wanted, list) else [wanted]
    if not targets:
        raise ValueError(f"{columns.target!r} is an empty list")
    split = None if columns.split is None else _text(values, columns.split)
    return Row(
        number=number,
        input=_text(values, columns.input),
        targets=tuple(dict.fromkeys(as_text(target, columns.target) for target in targets)),
        split=split,
    )


def as_text(value: Any, name: str) -> str:
    """A JSON value as an item's text: strings as they are, others as JSON.

    Raises:
        ValueError: it is null, empty, or holds half a character.
    """
    text = value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)
    if value is None or not text.strip():
        raise ValueError(f"{name!r} is empty")
    if found := _UNDECODABLE.search(text):
        raise ValueError(f"{name!r} is not UTF-8 at character {found.start() + 1}")
    return text


@dataclass(frozen=True, kw_only=True)
class _Record:
    line: int
    fields: Sequence[str]


def _records(reader: Any, path: Path, faults: list[Fault]) -> Iterator[_Record]:
    """The reader's records with the line each begins on; blank lines are passed over."""
    while True:
        line = reader.line_num + 1
        try:
            fields = next(reader)
        except StopIteration:
            return
        except csv.Error as error:
            upto = f" (up to line {reader.line_num})" if reader.line_num > line else ""
            reason = f"cannot be read: {error}{upto}"
            faults.append(Fault(file=path.name, line=line, reason=reason))
            continue
        if fields:
            yield _Record(line=line, fields=fields)


def _delimited_row(
    path: Path, columns: Columns, header: Sequence[str], record: _Record
) -> Row | Fault:
    if len(record.fields) != len(header):
        reason = f"has {len(record.fields)} fields, the header has {len(header)}"
        return Fault(file=path.name, line=record.line, reason=reason)
    values = dict(zip(header, record.fields, strict=True))
    try:
        return row_of(values, columns, record.line)
    except ValueError as error:
        return Fault(file=path.name, line=record.line, reason=str(error))


def _demand_columns(path: Path, columns: Columns, present: Sequence[str]) -> None:
    wanted = {"--input": columns.input, "--target": columns.target}
    if columns.split is not None:
        wanted["--split"] = columns.split
    for flag, name in wanted.items():
        if present.count(name) != 1:
            problem = "no column" if name not in present else "more than one column"
            raise SkillError(
                f"{str(path)!r} has {problem} {name!r}; it has: {', '.join(map(repr, present))}",
                hint=f"Name the column with {flag}.",
            )


def _value(values: Mapping[str, Any], name: str) -> Any:
    if name not in values:
        raise ValueError(f"has no {name!r}")
    return values[name]


def _text(values: Mapping[str, Any], name: str) -> str:
    return as_text(_value(values, name), name)
