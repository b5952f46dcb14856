"""Reading CSV, TSV and JSON Lines: every good row, and every bad line with its number."""

from pathlib import Path

import pytest

from rag_adapt.core.errors import SkillError
from rag_adapt.skills.tables import Columns, Table, read_delimited, read_json_lines

COLUMNS = Columns(input="text", target="label")


def table_of(tmp_path: Path, content: str | bytes, columns: Columns = COLUMNS) -> Table:
    path = tmp_path / "rows.csv"
    path.write_bytes(content if isinstance(content, bytes) else content.encode())
    return read_delimited(path, columns, delimiter=",")


def lines_of(tmp_path: Path, content: str | bytes, columns: Columns = COLUMNS) -> Table:
    path = tmp_path / "rows.jsonl"
    path.write_bytes(content if isinstance(content, bytes) else content.encode())
    return read_json_lines(path, columns)


def test_quoted_newlines_commas_and_quotes_are_part_of_a_field(tmp_path: Path) -> None:
    table = table_of(tmp_path, 'text,label\n"a\nb, ""c""",x\nd,y\n')

    assert [(row.number, row.input, row.targets) for row in table.rows] == [
        (2, 'a\nb, "c"', ("x",)),
        (4, "d", ("y",)),
    ]
    assert table.faults == ()


def test_a_byte_order_mark_and_blank_lines_do_not_matter(tmp_path: Path) -> None:
    table = table_of(tmp_path, b"\xef\xbb\xbftext,label\r\n\r\na,x\r\n\r\n")

    assert [(row.number, row.input) for row in table.rows] == [(3, "a")]


def test_tabs_separate_where_asked(tmp_path: Path) -> None:
    path = tmp_path / "rows.tsv"
    path.write_text("text\tlabel\na, b\tx\n")

    assert read_delimited(path, COLUMNS, delimiter="\t").rows[0].input == "a, b"


@pytest.mark.parametrize(
    ("content", "faults"),
    [
        pytest.param(
            "text,label\na\nb,x,y\nc,z\n",
            ["rows.csv:2: has 1 fields, the header has 2", "rows.csv:3: has 3 fields, the header"],
            id="ragged",
        ),
        pytest.param("text,label\n ,x\n", ["rows.csv:2: 'text' is empty"], id="no-input"),
        pytest.param("text,label\na,\n", ["rows.csv:2: 'label' is empty"], id="no-target"),
        pytest.param(
            b"text,label\nok,x\nb\xe9d,x\n",
            ["rows.csv:3: 'text' is not UTF-8 at character 2"],
            id="bytes",
        ),
        pytest.param(
            'text,label\n"a"b,x\nc,y\n', ["rows.csv:2: cannot be read: ',' expected"], id="quote"
        ),
        pytest.param(
            'text,label\nc,y\n"never closed,x\nd,z\n',
            ["rows.csv:3: cannot be read: unexpected end of data (up to line 4)"],
            id="open-quote",
        ),
    ],
)
def test_a_bad_line_is_told_with_its_number(
    tmp_path: Path, content: str | bytes, faults: list[str]
) -> None:
    told = [str(fault) for fault in table_of(tmp_path, content).faults]

    assert len(told) == len(faults)
    assert all(t.startswith(f) for t, f in zip(told, faults, strict=True))


def test_good_rows_after_a_bad_one_are_still_read(tmp_path: Path) -> None:
    assert [row.input for row in table_of(tmp_path, 'text,label\n"a"b,x\nc,y\n').rows] == ["c"]


@pytest.mark.parametrize(
    ("content", "columns", "message"),
    [
        ("", COLUMNS, "is empty"),
        ("text,kind\na,x\n", COLUMNS, "has no column 'label'; it has: 'text', 'kind'\n.*--target"),
        ("text,label\na,x\n", Columns(input="q", target="label"), "no column 'q'.*\n.*--input"),
        ("text,label,label\na,x,y\n", COLUMNS, "has more than one column 'label'"),
        (
            "text,label\na,x\n",
            Columns(input="text", target="label", split="part"),
            "no column 'part'.*\n.*--split",
        ),
    ],
    ids=["empty", "no-target", "no-input", "twice", "no-split"],
)
def test_a_header_without_the_column_is_refused(
    tmp_path: Path, content: str, columns: Columns, message: str
) -> None:
    with pytest.raises(SkillError, match=message):
        table_of(tmp_path, content, columns)


def test_json_lines_may_give_several_targets_numbers_and_objects(tmp_path: Path) -> None:
    table = lines_of(
        tmp_path,
        '{"text": "a", "label": ["x", "y", "x"]}\n\n'
        '{"text": 3, "label": 4.5}\n{"text": "b", "label": {"k": "v"}}\n'
        '{"text": "c", "label": true}\n',
    )

    assert table.faults == ()
    assert [(row.number, row.input, row.targets) for row in table.rows] == [
        (1, "a", ("x", "y")),
        (3, "3", ("4.5",)),
        (4, "b", ('{"k": "v"}',)),
        (5, "c", ("true",)),
    ]


def test_bad_json_lines_are_all_told(tmp_path: Path) -> None:
    table = lines_of(
        tmp_path,
        b'\xef\xbb\xbf{"text": "a", "label": "x"}\n{"text": "a"}\n{"text": null, "label": "x"}\n'
        b'{"text": "a", "label": []}\nno\n{"text": "\xff", "label": "x"}\n'
        b'{"text": "\\ud800", "label": "x"}\n',
    )

    assert len(table.rows) == 1
    assert [(fault.line, fault.reason[:16]) for fault in table.faults] == [
        (2, "has no 'label'"),
        (3, "'text' is empty"),
        (4, "'label' is an em"),
        (5, "is not JSON: Exp"),
        (6, "is not UTF-8: in"),
        (7, "holds half a cha"),
    ]


def test_a_key_that_no_line_has_is_refused_with_the_keys_there_are(tmp_path: Path) -> None:
    with pytest.raises(SkillError, match="has no column 'label'; it has: 'text', 'answer'"):
        lines_of(tmp_path, '{"text": "a", "answer": "x"}\n')
