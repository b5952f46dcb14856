"""What is kept of runs, as clients see it: the list, one run, its files.

It does not know HTTP or how anything is measured.
"""

import hashlib
from typing import Any, Final

from rag_adapt.api.desk import Desk
from rag_adapt.api.run_orders import public_command
from rag_adapt.bench.store import REPORT, RunFolder, list_runs
from rag_adapt.core.errors import RunNotFoundError
from rag_adapt.schemas.runs import RunDetail, RunInfo, RunList

PAGE: Final = "report.html"


def listed_runs(desk: Desk, limit: int, cursor: str | None) -> RunList:
    """A page of them, the newest first; damaged ones are left out."""
    found: list[RunInfo] = []
    for folder in list_runs(desk.home / "runs"):
        if cursor is not None and folder.path.name >= cursor:
            continue
        try:
            found.append(RunInfo(**info_of(folder)))
        except RunNotFoundError:
            continue  # damaged: there is nothing to show of it
        if len(found) > limit:
            break
    more = found[limit - 1].id if len(found) > limit else None
    return RunList(data=found[:limit], next=more)


def found_run(desk: Desk, id: str) -> RunFolder:
    """A run by its whole id: no beginning, no folder.

    Raises:
        RunNotFoundError: there is none.
    """
    for folder in list_runs(desk.home / "runs"):
        if folder.path.name == id:
            return folder
    raise RunNotFoundError(f"there is no run {id!r}", hint="GET /v1/runs lists them.")


def file_of(desk: Desk, id: str, name: str) -> bytes:
    """One file of a finished run.

    Raises:
        RunNotFoundError: there is no such run, or it was not finished.
    """
    try:
        return (found_run(desk, id).path / name).read_bytes()
    except FileNotFoundError as exc:
        raise RunNotFoundError(
            f"run {id!r} has no {name}: it was not finished",
            hint="Start the same run again: it goes on where it stopped.",
        ) from exc


def info_of(run: RunFolder) -> dict[str, Any]:
    """The fields of `RunInfo`.

    Raises:
        RunNotFoundError: its header is damaged.
    """
    header = run.header
    return {
        "id": run.path.name,
        "state": header.state,
        "created": header.created,
        "skills": list(header.plan.get("skills", ())),
        "arms": list(header.plan.get("arms", ())),
        "engine": str(header.fingerprint.get("engine", "")),
        "model": str(header.fingerprint.get("model", "")),
    }


def detail_of(run: RunFolder) -> RunDetail:
    """One run: its plan, its model, and what tells its report from an older one.

    Raises:
        RunNotFoundError: its header is damaged.
    """
    header = run.header
    return RunDetail(
        **info_of(run),
        command=public_command(header.command),
        report=_report_hash(run),
        plan=header.plan,
        fingerprint=header.fingerprint,
    )


def _report_hash(run: RunFolder) -> str | None:
    path = run.path / REPORT
    return hashlib.sha256(path.read_bytes()).hexdigest()[:12] if path.exists() else None
