"""A small valid skill folder for tests to break, one file at a time.

It does not know how folders are read.
"""

import json
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

HEAD: dict[str, Any] = {
    "name": "colours",
    "title": "Colours",
    "description": "The colour of a thing.",
    "task": "classification",
    "scorer": "label",
    "labels": ["red", "blue"],
    "max_tokens": 8,
    "stop": ["\n"],
    "cluster": "the thing",
    "licence": "Apache-2.0",
    "source": "written for a test",
}
LINES: tuple[dict[str, Any], ...] = (
    {"id": "a", "input": "rose", "targets": ["red"], "split": "train", "cluster": "1"},
    {"id": "b", "input": "sea", "targets": ["blue"], "split": "train", "cluster": "2"},
    {"id": "c", "input": "blood", "targets": ["red"], "split": "dev", "cluster": "3"},
    {"id": "d", "input": "sky", "targets": ["blue"], "split": "test", "cluster": "4"},
)
PROMPT = 'system = ""\nuser = "One of {labels}: {input}"\n'
CONTEXT = 'system = ""\nuser = "{context} One of {labels}: {input}"\n'


def skill_folder(
    parent: Path,
    *,
    head: Mapping[str, Any] = HEAD,
    lines: Iterable[Mapping[str, Any] | str] = LINES,
    templates: Mapping[str, str] | None = None,
    documents: Mapping[str, str] | None = None,
) -> Path:
    """Write a skill folder named by its head; `documents` makes a corpus."""
    folder = parent / str(head.get("name", "colours"))
    (folder / "templates").mkdir(parents=True)
    toml = "".join(f"{key} = {json.dumps(value)}\n" for key, value in head.items())
    (folder / "skill.toml").write_text(toml)
    written = (line if isinstance(line, str) else json.dumps(line) for line in lines)
    (folder / "items.jsonl").write_text("".join(f"{line}\n" for line in written))
    for name, text in (templates or {"prompt": PROMPT}).items():
        (folder / "templates" / f"{name}.toml").write_text(text)
    if documents is not None:
        (folder / "corpus").mkdir()
        for name, text in documents.items():
            (folder / "corpus" / name).write_text(text)
    return folder


def changed(number: int, **values: Any) -> list[Mapping[str, Any]]:
    """The valid lines, with values of one of them changed (None removes a key)."""
    lines: list[Mapping[str, Any]] = list(LINES)
    line = {**lines[number], **values}
    lines[number] = {key: value for key, value in line.items() if value is not None}
    return lines
