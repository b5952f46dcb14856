"""Reads BIG-Bench and SQuAD files into rows, and SQuAD's paragraphs into documents.

It does not know splits, tasks or how a skill is written.
"""

import json
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from rag_adapt.core.errors import SkillError
from rag_adapt.core.types import Span
from rag_adapt.skills.faults import Fault
from rag_adapt.skills.tables import Columns, Row, Table, as_text, row_of


def read_json(path: Path) -> Any:
    """A whole JSON file.

    Raises:
        SkillError: it is not UTF-8 or not JSON, with the place.
    """
    hint = "Correct the file, or name its format with --format (csv, tsv, jsonl)."
    try:
        return json.loads(path.read_bytes().decode("utf-8-sig"))
    except UnicodeDecodeError as error:
        raise SkillError(
            f"{str(path)!r} is not UTF-8: byte {error.start + 1}", hint=hint
        ) from error
    except json.JSONDecodeError as error:
        where = f"line {error.lineno}, column {error.colno}"
        raise SkillError(f"{str(path)!r} is not JSON: {error.msg} at {where}", hint=hint) from error
    except RecursionError as error:
        raise SkillError(f"{str(path)!r} is nested too deeply", hint=hint) from error


def read_big_bench(path: Path, columns: Columns) -> Table:
    """Rows of `{"examples": [{"input", "target"}]}`; `target_scores` become options.

    Raises:
        SkillError: the file has another shape.
    """
    whole = read_json(path)
    examples = whole.get("examples") if isinstance(whole, dict) else None
    if not isinstance(examples, list) or not examples:
        raise _shape(path, '{"examples": [{"input": ..., "target": ...}]}')
    rows: list[Row] = []
    faults: list[Fault] = []
    for number, example in enumerate(examples, start=1):
        try:
            rows.append(_example(example, columns, number))
        except ValueError as error:
            faults.append(Fault(file=path.name, reason=f"example {number}: {error}"))
    return Table(rows=tuple(rows), faults=tuple(faults))


def read_squad(path: Path, columns: Columns) -> Table:
    """Rows of SQuAD 1.1 or 2.0: paragraphs become documents, answers exact gold spans.

    Questions marked impossible have no answer and are left out with a note. Questions on one
    paragraph form one group: they share its facts.

    Raises:
        SkillError: the file has another shape.
    """
    whole = read_json(path)
    data = whole.get("data") if isinstance(whole, dict) else None
    if not isinstance(data, list) or not data:
        raise _shape(path, '{"data": [{"paragraphs": [{"context": ..., "qas": [...]}]}]}')
    reading = _Squad(file=path.name)
    for number, article in enumerate(data):
        reading.read_article(article, f"data[{number}]")
    notes: tuple[str, ...] = ()
    if reading.impossible:
        notes = (f"left out {reading.impossible} questions marked as impossible",)
    return Table(
        rows=tuple(reading.rows),
        faults=tuple(reading.faults),
        documents={name: text for text, name in reading.names.items()},
        notes=notes,
    )


def _shape(path: Path, shape: str) -> SkillError:
    return SkillError(f"{str(path)!r} has not the shape {shape}", hint="Name its --format.")


def _example(example: Any, columns: Columns, number: int) -> Row:
    if not isinstance(example, dict):
        raise ValueError(f"is not an object but {type(example).__name__}")  # noqa: TRY004
    scores = example.get("target_scores")
    if not isinstance(scores, dict) or not scores or columns.target in example:
        return row_of(example, columns, number)
    best = max(scores.values())
    options = "".join(f"\n- {option}" for option in scores)
    shown = f"{as_text(example.get(columns.input), columns.input)}\nOptions:{options}"
    targets = [option for option, score in scores.items() if score == best]
    return row_of({columns.input: shown, columns.target: targets}, columns, number)


@dataclass(kw_only=True)
class _Squad:
    """The state of one reading: rows and documents found so far."""

    file: str
    rows: list[Row] = field(default_factory=list)
    faults: list[Fault] = field(default_factory=list)
    names: dict[str, str] = field(default_factory=dict)
    """Document names by text: equal paragraphs are one document."""
    impossible: int = 0

    def read_article(self, article: Any, where: str) -> None:
        try:
            title = article.get("title") or "document"
            paragraphs = list(enumerate(article["paragraphs"]))
        except (AttributeError, KeyError, TypeError) as error:
            self._fault(where, f"is not an article: {_reason(error)}")
            return
        for number, paragraph in paragraphs:
            place = f"{where}.paragraphs[{number}]"
            try:
                text = _as_document(as_text(paragraph["context"], "context"))
                questions = list(enumerate(paragraph["qas"]))
            except (KeyError, TypeError, ValueError) as error:
                self._fault(place, f"is not a paragraph: {_reason(error)}")
                continue
            self._read_questions(text, str(title), questions, place)

    def _read_questions(
        self, text: str, title: str, questions: list[tuple[int, Any]], where: str
    ) -> None:
        name = self.names.setdefault(text, f"{_slug(title)}-{len(self.names) + 1:04d}.txt")
        for number, question in questions:
            if isinstance(question, dict) and question.get("is_impossible") is True:
                self.impossible += 1
                continue
            try:
                self.rows.append(_question(question, text, name, len(self.rows) + 1))
            except (KeyError, TypeError, ValueError) as error:
                self._fault(f"{where}.qas[{number}]", _reason(error))

    def _fault(self, where: str, reason: str) -> None:
        self.faults.append(Fault(file=self.file, reason=f"{where}: {reason}"))


def _question(question: Mapping[str, Any], text: str, name: str, number: int) -> Row:
    answers = question["answers"]
    if not isinstance(answers, list) or not answers:
        raise ValueError("has no answers")
    spans = dict.fromkeys(_spans(answers, text, name))
    return Row(
        number=number,
        input=as_text(question["question"], "question"),
        targets=tuple(dict.fromkeys(text[span.start : span.end] for span in spans)),
        gold=tuple(spans),
        group=name,
    )


def _spans(answers: list[Any], text: str, name: str) -> Iterator[Span]:
    for answer in answers:
        said = _as_document(as_text(answer["text"], "text"))
        start = answer["answer_start"]
        if not isinstance(start, int) or start < 0 or text[start : start + len(said)] != said:
            raise ValueError(f"the answer {said!r} does not stand at character {start!r}")
        yield Span(document=name, start=start, end=start + len(said))


def _reason(error: Exception) -> str:
    return f"has no {error}" if isinstance(error, KeyError) else str(error)


def _as_document(text: str) -> str:
    """The text as reading its file will give it back: same length, so offsets hold."""
    return text.replace("\r\n", " \n").replace("\r", "\n").replace("\ufeff", " ")


def _slug(title: str) -> str:
    return re.sub(r"[^a-z0-9]+", "-", title.lower()).strip("-")[:40] or "document"
