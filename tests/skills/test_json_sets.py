"""BIG-Bench and SQuAD files: rows, options, documents and exact gold spans."""

import json
from pathlib import Path
from typing import Any

import pytest

from rag_adapt.core.errors import SkillError
from rag_adapt.core.types import Span
from rag_adapt.skills.json_sets import read_big_bench, read_squad
from rag_adapt.skills.tables import Columns, Table


def read(tmp_path: Path, value: Any, kind: str) -> Table:
    path = tmp_path / "set.json"
    path.write_text(value if isinstance(value, str) else json.dumps(value))
    reader = {"bigbench": read_big_bench, "squad": read_squad}[kind]
    return reader(path, Columns())


def squad(context: str, *questions: Any, title: str = "The Moon!") -> dict[str, Any]:
    paragraphs = [{"context": context, "qas": list(questions)}]
    return {"version": "1.1", "data": [{"title": title, "paragraphs": paragraphs}]}


def question(text: str, *answers: tuple[str, int]) -> dict[str, Any]:
    return {
        "id": text,
        "question": text,
        "answers": [{"text": said, "answer_start": start} for said, start in answers],
    }


def test_big_bench_examples_become_rows(tmp_path: Path) -> None:
    examples = [{"input": "a", "target": "(A)"}, {"input": "b", "target": ["x", "y"]}]

    table = read(tmp_path, {"canary": "c", "examples": examples}, "bigbench")

    assert [(row.number, row.input, row.targets) for row in table.rows] == [
        (1, "a", ("(A)",)),
        (2, "b", ("x", "y")),
    ]


def test_target_scores_become_options_and_the_best_of_them_targets(tmp_path: Path) -> None:
    example = {"input": "Which?", "target_scores": {"one": 0, "two": 1, "three": 1}}

    row = read(tmp_path, {"examples": [example]}, "bigbench").rows[0]

    assert row.input == "Which?\nOptions:\n- one\n- two\n- three"
    assert row.targets == ("two", "three")


def test_bad_examples_are_told_by_number(tmp_path: Path) -> None:
    table = read(
        tmp_path, {"examples": [{"input": "a"}, 7, {"input": "", "target": "x"}]}, "bigbench"
    )

    assert [str(fault) for fault in table.faults] == [
        "set.json: example 1: has no 'target'",
        "set.json: example 2: is not an object but int",
        "set.json: example 3: 'input' is empty",
    ]


@pytest.mark.parametrize("kind", ["bigbench", "squad"])
@pytest.mark.parametrize(
    ("value", "message"),
    [
        ("{", "is not JSON: .* at line 1, column 2"),
        ({"examples": [], "data": []}, "has not the shape"),
        ([1], "has not the shape"),
        ("[" * 200_000, "is nested too deeply"),
    ],
    ids=["broken", "empty", "list", "deep"],
)
def test_a_file_of_another_shape_is_refused(
    tmp_path: Path, kind: str, value: Any, message: str
) -> None:
    with pytest.raises(SkillError, match=message):
        read(tmp_path, value, kind)


def test_bytes_that_are_no_utf8_are_refused(tmp_path: Path) -> None:
    path = tmp_path / "set.json"
    path.write_bytes(b'{"examples": "\xff"}')

    with pytest.raises(SkillError, match="is not UTF-8: byte 15"):
        read_big_bench(path, Columns())


def test_squad_paragraphs_become_documents_with_exact_spans(tmp_path: Path) -> None:
    context = "The Moon is far.\r\nIt is \u00e9 grey."
    asked = question("Colour?", ("grey", context.index("grey")), ("\u00e9 grey", 24))

    table = read(tmp_path, squad(context, asked), "squad")

    (name, text), *_ = table.documents.items()
    row = table.rows[0]
    assert name == "the-moon-0001.txt"
    assert "\r" not in text
    assert row.targets == ("grey", "\u00e9 grey")
    assert row.group == name
    assert [text[span.start : span.end] for span in row.gold] == ["grey", "\u00e9 grey"]
    assert row.gold[1] == Span(document=name, start=24, end=30)


def test_equal_paragraphs_are_one_document(tmp_path: Path) -> None:
    one = squad("Same text.", question("a?", ("Same", 0)))
    other = squad("Same text.", question("b?", ("text", 5)), title="Other")

    table = read(tmp_path, {"data": one["data"] + other["data"]}, "squad")

    assert list(table.documents) == ["the-moon-0001.txt"]
    assert {row.group for row in table.rows} == {"the-moon-0001.txt"}


def test_impossible_questions_are_left_out_with_a_note(tmp_path: Path) -> None:
    impossible = {"question": "?", "is_impossible": True, "answers": []}

    table = read(tmp_path, squad("Text.", impossible, question("a?", ("Text", 0))), "squad")

    assert len(table.rows) == 1
    assert table.faults == ()
    assert table.notes == ("left out 1 questions marked as impossible",)


@pytest.mark.parametrize(
    ("asked", "reason"),
    [
        (question("a?", ("Text", 1)), "the answer 'Text' does not stand at character 1"),
        (question("a?", ("Text", -5)), "does not stand at character -5"),
        (question("a?"), "has no answers"),
        ({"question": "a?"}, "has no 'answers'"),
        (question("", ("Text", 0)), "'question' is empty"),
        (question("a?", ("", 0)), "'text' is empty"),
        (7, "not subscriptable"),
    ],
)
def test_a_bad_question_is_told_with_its_place(tmp_path: Path, asked: Any, reason: str) -> None:
    told = [str(fault) for fault in read(tmp_path, squad("Text.", asked), "squad").faults]

    assert len(told) == 1
    assert told[0].startswith("set.json: data[0].paragraphs[0].qas[0]: ")
    assert reason in told[0]


def test_a_bad_article_and_a_bad_paragraph_are_told_with_their_place(tmp_path: Path) -> None:
    value = {"data": [7, {"title": "x"}, {"paragraphs": [{"qas": []}, 7]}]}

    told = [str(fault) for fault in read(tmp_path, value, "squad").faults]

    assert [text.split(": ")[1] for text in told] == [
        "data[0]",
        "data[1]",
        "data[2].paragraphs[0]",
        "data[2].paragraphs[1]",
    ]
