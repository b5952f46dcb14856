"""What a job left behind: the path of what it made, what it measured, or why it failed.

It does not know processes or the table of jobs.
"""

import json
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final
from urllib.parse import quote

from pydantic import ValidationError

from rag_adapt.jobs.job import Job, log_path, output_path
from rag_adapt.jobs.watch import TAIL_BYTES
from rag_adapt.schemas.proof import AdapterProof

LONGEST: Final = 50_000_000
"""Bytes of a result that is still read."""
ERROR: Final = "error: "
HINT: Final = "  try: "
PROVE: Final = ("adapters", "prove")


def result_path(job: Job, folder: Path) -> str | None:
    """The path, on this service, of what a finished job made; None where it has none.

    Args:
        job: The job.
        folder: Where outputs lie.
    """
    maker = MAKERS.get(job.argv[:2]) or MAKERS.get(job.argv[:1])
    if job.state != "done" or maker is None:
        return None
    made = maker(_output(output_path(folder, job.id)))
    return None if made is None else f"{made.place}/{quote(made.id, safe='@/')}"


def proof_of(job: Job, folder: Path) -> AdapterProof | None:
    """What a proof that has ended measured; None for other jobs, and where it measured nothing.

    Args:
        job: The job.
        folder: Where outputs lie.
    """
    if job.argv[:2] != PROVE or not job.has_ended:
        return None
    said = _output(output_path(folder, job.id))
    told = {name: said.get(name) for name in AdapterProof.model_fields}
    try:
        return AdapterProof.model_validate(told)
    except ValidationError:  # it ended before it measured anything
        return None


def error_text(job: Job, folder: Path) -> str | None:
    """What a failed job's command said last: the error and its remedy."""
    if job.state != "failed":
        return None
    lines = _tail(log_path(folder, job.id)).splitlines()
    begins = [number for number, line in enumerate(lines) if line.startswith(ERROR)]
    if not begins:
        return f"the command ended with exit code {job.exit_code}"
    said = [lines[begins[-1]].removeprefix(ERROR)]
    said += [x.removeprefix(HINT) for x in lines[begins[-1] + 1 :] if not x.startswith("{")]
    return "\n".join(said)[:2000]


@dataclass(frozen=True, kw_only=True)
class _Made:
    """A thing with a path."""

    place: str
    id: str


def _run(report: dict[str, Any]) -> _Made | None:
    run = report.get("run")
    found = run.get("id") if isinstance(run, dict) else None
    return _Made(place="/v1/runs", id=found) if isinstance(found, str) else None


def _adapter(card: dict[str, Any]) -> _Made | None:
    found = card.get("version")
    return _Made(place="/v1/adapters", id=found) if isinstance(found, str) else None


def _collection(report: dict[str, Any]) -> _Made | None:
    found = report.get("collection")
    return _Made(place="/v1/collections", id=f"{found}/documents") if found else None


MAKERS: Final[dict[tuple[str, ...], Callable[[dict[str, Any]], _Made | None]]] = {
    ("bench",): _run,
    ("adapters", "train"): _adapter,
    ("adapters", "import"): _adapter,
    PROVE: _adapter,
    ("index", "build"): _collection,
}
"""By command: what its JSON result says was made."""


def _output(path: Path) -> dict[str, Any]:
    """A command's result as JSON; nothing where it is none."""
    try:
        if path.stat().st_size > LONGEST:
            return {}
        value = json.loads(path.read_bytes(), parse_constant=_no_figure)
    except (FileNotFoundError, ValueError):
        return {}
    return value if isinstance(value, dict) else {}


def _no_figure(_: str) -> None:
    """What no JSON has and Python writes: a figure that is infinite or none."""


def _tail(path: Path) -> str:
    try:
        with path.open("rb") as file:
            file.seek(max(0, path.stat().st_size - TAIL_BYTES))
            return file.read().decode("utf-8", "replace")
    except FileNotFoundError:
        return ""
