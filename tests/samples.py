"""Small skills, items and rows that several tests share."""

import json
from pathlib import Path

from rag_adapt.bench.store import AnswerRow
from rag_adapt.core.types import Item

COLOURS = ("red", "blue")


def item(number: int, *, split: str = "test", cluster: str | None = None) -> Item:
    """One classification item; even numbers are red, odd ones blue."""
    return Item(
        id=f"{split}-{number}",
        input=f"thing number {number}: {COLOURS[number % 2]}",
        targets=(COLOURS[number % 2],),
        split=split,  # type: ignore[arg-type]
        cluster=cluster or f"{split}-c{number}",
    )


def write_skill(folder: Path, *, test: int = 6, train: int = 6, corpus: bool = True) -> Path:
    """A valid skill folder: the colour of things, with one document per few things."""
    folder.mkdir(parents=True)
    (folder / "skill.toml").write_text(
        f"""name = "{folder.name}"
title = "Colours"
description = "Say the colour of a thing."
task = "classification"
scorer = "label"
scorers = ["exact"]
labels = ["red", "blue"]
max_tokens = 6
stop = ["\\n"]
cluster = "thing"
unique_targets = false
licence = "Apache-2.0"
source = "Made in a test"
"""
    )
    (folder / "templates").mkdir()
    (folder / "templates" / "prompt.toml").write_text(
        'system = "Answer with one of: {labels}."\nuser = "{input}"\n'
    )
    document = "# Colours\n\nThing number 1 is blue.\n\nThing number 2 is red.\n"
    if corpus:
        (folder / "corpus").mkdir()
        (folder / "corpus" / "colours.md").write_text(document)
        (folder / "templates" / "context.toml").write_text(
            'system = ""\nuser = "{context}\\nOne of {labels}.\\n{input}"\n'
        )
    start = document.index("Thing number 1")
    gold = [{"document": "colours.md", "start": start, "end": start + 23}]
    lines = []
    for split, count in (("train", train), ("dev", 2), ("test", test)):
        for number in range(count):
            line = {
                "id": f"{split}-{number}",
                "input": f"{split} thing number {number}: {COLOURS[number % 2]}",
                "targets": [COLOURS[number % 2]],
                "split": split,
                "cluster": f"{split}-c{number}",
            }
            if corpus:
                line["gold"] = gold  # type: ignore[assignment]
            lines.append(json.dumps(line))
    (folder / "items.jsonl").write_text("\n".join(lines) + "\n")
    return folder


def row(
    number: int = 1, *, arm: str = "prompt", score: float | None = 1.0, **more: object
) -> AnswerRow:
    """One kept answer."""
    fields: dict[str, object] = {
        "skill": "colours",
        "arm": arm,
        "item": f"i{number}",
        "cluster": f"c{number}",
        "repeat": 0,
        "input": "?",
        "target": "red",
        "targets": ("red",),
        "output": "red",
        "score": score,
        "tokens_in": 10,
        "tokens_out": 2,
        "queued": 0.5,
        "first_token": 1.0,
        "total": 2.5,
        "trace": {"events": []},
    }
    return AnswerRow.model_validate(fields | more)
