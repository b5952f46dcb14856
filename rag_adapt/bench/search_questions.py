"""Reads questions with the places that answer them, to measure search.

It does not know search. What is wrong with a file is said with its line, all of it at once.
"""

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Final

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from rag_adapt.core.errors import CollectionError
from rag_adapt.core.types import Span
from rag_adapt.skills.faults import SHOWN, Fault, reasons

EXAMPLE: Final = (
    '{"question": "How much?", "references": [{"document": "a.md", "start": 0, "end": 20}]}'
)


@dataclass(frozen=True, kw_only=True)
class SearchQuestion:
    """A question and where its answer stands."""

    question: str
    references: tuple[Span, ...]
    """At least one; characters of the parsed texts."""


class _Reference(BaseModel):
    model_config = ConfigDict(extra="forbid", strict=True)

    document: str
    start: Annotated[int, Field(ge=0)]
    end: Annotated[int, Field(ge=1)]


class _Line(BaseModel):
    model_config = ConfigDict(extra="forbid", strict=True)

    question: Annotated[str, Field(pattern=r"\S")]
    references: Annotated[list[_Reference], Field(min_length=1)]


def read_questions(path: Path, texts: Mapping[str, str]) -> tuple[SearchQuestion, ...]:
    """The questions of a JSONL file; blank lines are passed over.

    Args:
        path: one JSON object a line, with `question` and `references`.
        texts: the collection's parsed texts by document.

    Raises:
        CollectionError: the file cannot be read or holds no question; a line is no JSON object
            of that form; a reference leaves its document, is blank, or names one that is not
            there.
    """
    try:
        lines = path.read_text(encoding="utf-8-sig").splitlines()
    except (OSError, UnicodeDecodeError) as exc:
        raise CollectionError(
            f"questions {str(path)!r} cannot be read: {exc}",
            hint=f"Name a file in UTF-8 with one JSON object a line: `{EXAMPLE}`.",
        ) from exc
    faults: list[Fault] = []
    questions: list[SearchQuestion] = []
    for number, line in enumerate(lines, start=1):
        if line.strip():
            found = list(_read(line, texts))
            questions += [each for each in found if isinstance(each, SearchQuestion)]
            faults += [
                Fault(file=str(path), line=number, reason=each)
                for each in found
                if isinstance(each, str)
            ]
    if faults or not questions:
        raise _error(path, faults)
    return tuple(questions)


def _read(line: str, texts: Mapping[str, str]) -> Iterator[SearchQuestion | str]:
    """The question of a line, or everything that is wrong with it."""
    try:
        read = _Line.model_validate(json.loads(line))
    except json.JSONDecodeError as exc:
        yield f"no JSON: {exc.msg} at character {exc.pos + 1}"
        return
    except ValidationError as exc:
        yield from (reason for _, reason in reasons(exc))
        return
    wrong = [fault for each in read.references if (fault := _wrong(each, texts))]
    yield from wrong
    if not wrong:
        spans = tuple(Span(document=r.document, start=r.start, end=r.end) for r in read.references)
        yield SearchQuestion(question=read.question, references=spans)


def _wrong(reference: _Reference, texts: Mapping[str, str]) -> str | None:
    place = f"{reference.document!r} {reference.start}-{reference.end}"
    if reference.document not in texts:
        return f"reference {place}: the collection has no such document"
    text = texts[reference.document]
    if not reference.start < reference.end <= len(text):
        return f"reference {place} is not inside its document of {len(text)} characters"
    if not text[reference.start : reference.end].strip():
        return f"reference {place} holds blanks only"
    return None


def _error(path: Path, faults: list[Fault]) -> CollectionError:
    shown = [f"  {fault}" for fault in faults[:SHOWN]]
    if len(faults) > SHOWN:
        shown.append(f"  ... and {len(faults) - SHOWN} more")
    fact = f"questions {str(path)!r} cannot be used:" if faults else f"no question in {str(path)!r}"
    return CollectionError("\n".join([fact, *shown]), hint=f"A line looks like this: `{EXAMPLE}`.")
