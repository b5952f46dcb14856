"""Telling a file's format by its name, or by how it begins."""

from pathlib import Path
from typing import cast, get_args

import pytest

from rag_adapt.core.errors import SkillError
from rag_adapt.skills.formats import Format
from rag_adapt.skills.sources import READERS, format_of, read_table
from rag_adapt.skills.tables import Columns


def test_every_format_has_a_reader() -> None:
    assert set(READERS) == set(get_args(Format))


@pytest.mark.parametrize(
    ("name", "content", "format"),
    [
        ("a.csv", "x", "csv"),
        ("a.TSV", "x", "tsv"),
        ("a.jsonl", "x", "jsonl"),
        ("a.ndjson", "x", "jsonl"),
        ("a.json", '{"examples": [1]}', "bigbench"),
        ("a.json", '{\n "data": [1]\n}', "squad"),
        ("a.txt", '{"input": "a"}\n{"input": "b"}\n', "jsonl"),
        ("a.txt", "input\ttarget\n", "tsv"),
        ("a", "input,target\n", "csv"),
    ],
)
def test_the_format_is_told_by_name_or_beginning(
    tmp_path: Path, name: str, content: str, format: str
) -> None:
    path = tmp_path / name
    path.write_text(content)

    assert format_of(path, content.encode()) == format


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("just words", "cannot tell the format"),
        ('{"rows": []}', "JSON of a shape that is not known: 'rows'"),
        ("[1, 2]", "JSON of a shape that is not known: list"),
    ],
)
def test_an_unknown_format_is_refused_with_the_known_ones(
    tmp_path: Path, content: str, message: str
) -> None:
    path = tmp_path / "a.json"
    path.write_text(content)

    with pytest.raises(SkillError, match=message):
        read_table(path, Columns(), None)


def test_a_missing_file_is_refused(tmp_path: Path) -> None:
    with pytest.raises(SkillError, match="there is no file"):
        read_table(tmp_path / "nowhere.csv", Columns(), None)


def test_utf_16_is_refused_with_the_command_that_converts_it(tmp_path: Path) -> None:
    path = tmp_path / "a.csv"
    path.write_text("input,target\n", encoding="utf-16")

    with pytest.raises(SkillError, match=r"UTF-16.*\n.*iconv -f UTF-16"):
        read_table(path, Columns(), None)


def test_a_format_that_does_not_exist_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "a.csv"
    path.write_text("input,target\n")

    with pytest.raises(SkillError, match="no format 'xml'"):
        read_table(path, Columns(), cast("Format", "xml"))


def test_the_given_format_wins_over_the_name(tmp_path: Path) -> None:
    path = tmp_path / "a.csv"
    path.write_text("input\ttarget\na,b\tx\n")

    format, table = read_table(path, Columns(), "tsv")

    assert format == "tsv"
    assert table.rows[0].input == "a,b"
