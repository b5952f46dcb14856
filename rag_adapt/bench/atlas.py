"""Every run is evidence for later: a row per skill, what cheap probes said and how it came out.

It does not know how figures were measured; it reads and writes the files of runs.

    <run>/evidence.json   the rows of one run
"""

import csv
import json
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, Final, TextIO

from pydantic import BaseModel, ConfigDict

from rag_adapt.bench.export import FORMULA_STARTS
from rag_adapt.bench.features import Features
from rag_adapt.bench.figures import Depth, Report, readable
from rag_adapt.bench.readout import read_out
from rag_adapt.bench.store import RunFolder, list_runs, write_atomically
from rag_adapt.core.errors import RunNotFoundError, StorageError

EVIDENCE: Final = "evidence.json"


class ArmOutcome(BaseModel):
    """How one arm came out."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    score: float | None
    n: int
    cost: float | None
    """Compute-seconds per answer."""


class Row(BaseModel):
    """One skill in one run."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    run: str
    created: str
    model: str
    weights: str
    """Content hash of the model's weights."""
    skill: str
    skill_hash: str | None
    features: dict[str, str | int | float | None] | None
    """See `rag_adapt.bench.features.Features`; null where nothing was probed."""
    depth: Depth | None
    """The read-out's word; null where nothing was probed."""
    arms: dict[str, ArmOutcome]
    """Measured arms."""
    verdicts: dict[str, str]
    """By contrast: `prompt>rag` holds the verdict on rag against prompt."""
    recommended: str | None
    basis: str | None
    regret: float | None


class Evidence(BaseModel):
    """`evidence.json`."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    schema_version: str = "1.0"
    rows: tuple[Row, ...]


def write_evidence(folder: RunFolder, report: Report, features: Sequence[Features]) -> Path:
    """Put a row for every skill of a report beside the run, whole or not at all.

    Args:
        folder: The run's.
        report: Its outcome.
        features: Of the skills that were probed.
    """
    path = folder.path / EVIDENCE
    evidence = Evidence(rows=rows_of(report, {one.skill: one for one in features}))
    write_atomically(path, evidence.model_dump_json(indent=2) + "\n")
    return path


def rows_of(report: Report, features: Mapping[str, Features]) -> tuple[Row, ...]:
    """One row per skill of a report, in its order."""
    skills = dict.fromkeys(arm.skill for arm in report.arms)
    return tuple(_row(report, skill, features.get(skill)) for skill in skills)


def atlas_rows(runs: Path) -> Iterator[dict[str, Any]]:
    """The rows of all finished runs, newest run first; of runs without probes, the outcome alone.

    Raises:
        StorageError: a file is damaged.
    """
    for folder in list_runs(runs):
        for row in _rows(folder):
            yield row.model_dump(mode="json")


def write_atlas(runs: Path, file: TextIO, *, as_json: bool) -> int:
    """Write every row and return how many.

    As JSON one row per line; else as CSV with one column per figure, the union over all rows,
    cells that a spreadsheet would run defused.

    Raises:
        StorageError: a file is damaged.
    """
    if as_json:
        lines = 0
        for row in atlas_rows(runs):
            file.write(json.dumps(row, ensure_ascii=False) + "\n")
            lines += 1
        return lines
    flat = [flatten(row) for row in atlas_rows(runs)]
    columns = list(dict.fromkeys(name for row in flat for name in row))
    writer = csv.writer(file, lineterminator="\n")
    writer.writerow([_cell(name) for name in columns])
    writer.writerows([_cell(row.get(name)) for name in columns] for row in flat)
    return len(flat)


def flatten(value: Mapping[str, Any], before: str = "") -> dict[str, Any]:
    """Nested figures as one level, names joined by dots; nothing for a null group.

    >>> flatten({"skill": "orders", "arms": {"rag": {"n": 3}}})
    {'skill': 'orders', 'arms.rag.n': 3}
    """
    flat: dict[str, Any] = {}
    for name, inner in value.items():
        if isinstance(inner, Mapping):
            flat |= flatten(inner, f"{before}{name}.")
        else:
            flat[f"{before}{name}"] = inner
    return flat


def _row(report: Report, skill: str, features: Features | None) -> Row:
    run = report.run
    found = next((one for one in report.recommendations if one.skill == skill), None)
    return Row(
        run=str(run.get("id", "")),
        created=str(run.get("created", "")),
        model=str(run.get("model", {}).get("model", "")),
        weights=str(run.get("model", {}).get("weights", "")),
        skill=skill,
        skill_hash=run.get("skills", {}).get(skill),
        features=None if features is None else features.as_json(),
        depth=None if features is None else read_out(features).depth,
        arms={
            arm.arm: ArmOutcome(
                score=arm.score, n=arm.n, cost=None if arm.cost is None else arm.cost.value
            )
            for arm in report.arms
            if arm.skill == skill and arm.measured
        },
        verdicts={f"{p.a}>{p.b}": p.verdict for p in report.pairs if p.skill == skill},
        recommended=None if found is None else found.route,
        basis=None if found is None else found.basis,
        regret=None if found is None else found.regret,
    )


def _rows(folder: RunFolder) -> tuple[Row, ...]:
    path = folder.path / EVIDENCE
    try:
        if path.exists():
            return Evidence.model_validate_json(path.read_bytes()).rows
        report = folder.report()
        if not readable(report.get("schema_version")):
            return ()  # older figures, which may mean other things
        return rows_of(Report.model_validate(report), {})
    except RunNotFoundError:
        return ()  # not finished
    except ValueError as exc:  # no JSON, or JSON of another shape
        raise StorageError(
            f"the figures of run {folder.path.name!r} cannot be read: {str(exc).splitlines()[0]}",
            hint=f"Remove the folder {str(folder.path)!r}, and repeat its command.",
        ) from exc


def _cell(value: object) -> object:
    if isinstance(value, str) and value.startswith(FORMULA_STARTS):
        return f"'{value}"
    return "" if value is None else value
