"""Imports an uploaded file as a skill inside a limited process: plain JSON in, plain JSON out.

It does not know HTTP, nor where the skill goes afterwards: it is made in a private home.
"""

from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final

from rag_adapt.limited.bounds import Bounds
from rag_adapt.skills.importing import Import, ImportReport, import_skill
from rag_adapt.skills.splitting import ratio_for
from rag_adapt.skills.tables import Columns

SHOWN: Final = 100
"""Bad rows that are spelled out."""
BOUNDS: Final = Bounds(seconds=300, cpu_seconds=120, memory_bytes=2 << 30)
"""Enough for half a million rows: measured 0.2 ms of computing and 1.5 KB each."""


def import_uploaded(asked: dict[str, Any]) -> dict[str, Any]:
    """Import `file`, with the documents of `corpus`, into the private home `home`.

    Args:
        asked: Those three paths, and the fields of the form.

    Returns:
        The fields of `rag_adapt.schemas.skills.Imported`.

    Raises:
        SkillError: the file cannot be read, a row is bad, or no skill can be made of it.
    """
    return _told(import_skill(_order(asked), home=Path(asked["home"])))


def _order(asked: Mapping[str, Any]) -> Import:
    corpus = asked["corpus"]
    return Import(
        file=Path(asked["file"]),
        name=asked["name"],
        columns=Columns(input=asked["input"], target=asked["target"], split=asked["split"]),
        format=asked["format"],
        ratio=ratio_for(asked["split_ratio"], column=asked["split"]),
        corpus=None if corpus is None else Path(corpus),
        task=asked["task"],
        scorer=asked["scorer"],
        labels=tuple(filter(None, map(str.strip, asked["labels"].split(",")))),
        max_labels=asked["max_labels"],
        limit=asked["limit"],
        seed=asked["seed"],
        skip_bad=asked["skip_bad"],
    )


def _told(report: ImportReport) -> dict[str, Any]:
    skill = report.skill
    splits = {"train": skill.training_items, "dev": skill.dev_items, "test": skill.test_items}
    return {
        "name": skill.name,
        "format": report.format,
        "rows": report.rows,
        "items": {split: len(items) for split, items in splits.items()},
        "left_out": [str(fault)[:500] for fault in report.left_out[:SHOWN]],
        "notes": [note[:500] for note in report.notes],
    }
