"""Questions with places: what is wrong is said with its line."""

import json
from pathlib import Path
from typing import Any

import pytest

from rag_adapt.bench.search_questions import SearchQuestion, read_questions
from rag_adapt.core.errors import CollectionError
from rag_adapt.core.types import Span

TEXTS = {"a.md": "Water boils at 100.   Ice melts."}
GOOD: dict[str, Any] = {
    "question": "When does it boil?",
    "references": [{"document": "a.md", "start": 0, "end": 19}],
}


def written(tmp_path: Path, *lines: str) -> Path:
    path = tmp_path / "questions.jsonl"
    path.write_text("\n".join(lines), encoding="utf-8")
    return path


def test_questions_are_read_and_blank_lines_passed_over(tmp_path: Path) -> None:
    path = written(tmp_path, "\ufeff" + json.dumps(GOOD), "", json.dumps(GOOD))
    span = Span(document="a.md", start=0, end=19)
    question = SearchQuestion(question="When does it boil?", references=(span,))
    assert read_questions(path, TEXTS) == (question, question)


def reference(**changed: Any) -> str:
    return json.dumps({**GOOD, "references": [{**GOOD["references"][0], **changed}]})


@pytest.mark.parametrize(
    ("line", "reason"),
    [
        pytest.param("{", "no JSON: Expecting property name", id="no JSON"),
        pytest.param("[]", "Input should be a valid dictionary", id="no object"),
        pytest.param('{"question": "x"}', "references: Field required", id="no references"),
        pytest.param(json.dumps({**GOOD, "answer": 1}), "answer: Extra inputs", id="extra key"),
        pytest.param(json.dumps({**GOOD, "question": " "}), "question: String should", id="blank"),
        pytest.param(json.dumps({**GOOD, "references": []}), "references: List", id="empty list"),
        pytest.param(
            reference(start="0"), "references.0.start: Input should", id="text for number"
        ),
        pytest.param(reference(document="b.md"), "'b.md' 0-19: the collection", id="no document"),
        pytest.param(reference(end=99), "0-99 is not inside its document of 32", id="past the end"),
        pytest.param(reference(start=19), "19-19 is not inside", id="empty"),
        pytest.param(reference(start=19, end=22), "19-22 holds blanks only", id="blanks"),
    ],
)
def test_a_bad_line_is_named_with_its_number_and_reason(
    tmp_path: Path, line: str, reason: str
) -> None:
    path = written(tmp_path, json.dumps(GOOD), line)
    with pytest.raises(CollectionError) as caught:
        read_questions(path, TEXTS)
    assert f"{path}:2: " in str(caught.value)
    assert reason in str(caught.value)


def test_all_bad_lines_are_counted_and_the_first_are_shown(tmp_path: Path) -> None:
    with pytest.raises(CollectionError, match=r"and 5 more") as caught:
        read_questions(written(tmp_path, *["{"] * 25), TEXTS)
    assert ":20: no JSON" in str(caught.value)


@pytest.mark.parametrize("content", [b"", b"\n\n", b"\xff\xfe\xff"])
def test_a_file_without_questions_is_refused(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "questions.jsonl"
    path.write_bytes(content)
    with pytest.raises(CollectionError, match=r"questions\.jsonl"):
        read_questions(path, TEXTS)


def test_a_missing_file_is_refused(tmp_path: Path) -> None:
    with pytest.raises(CollectionError, match="cannot be read"):
        read_questions(tmp_path / "none.jsonl", TEXTS)
