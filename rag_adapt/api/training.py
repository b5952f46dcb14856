"""`GET /v1/jobs/{id}/training`: loss and held-out code length of a training, step by step.

It does not know how a training is computed: it reads what its job has reported.
"""

import asyncio
import json
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any, Final

from fastapi import APIRouter, Request

from rag_adapt.adapters.said import STAGE, figures_of
from rag_adapt.api.desk import BENCH, JOB, desk_of, shown
from rag_adapt.api.jobs import JobId
from rag_adapt.jobs.job import log_path
from rag_adapt.schemas.adapters import TrainingProgress, TrainingStep

router = APIRouter(tags=["adapters"])
PROGRESS: Final[dict[str, Any]] = {
    "job": JOB["id"],
    "steps": 50,
    "data": [{"step": 0, "loss": None, "bits": 4.2}, {"step": 1, "loss": 3.1, "bits": None}],
}
MOST_BYTES: Final = 8 * 2**20
"""Of a job's log, its end: ten reports a second for two hours."""
MOST_STEPS: Final = 400
"""More points are not told apart on a screen."""


@router.get(
    "/v1/jobs/{id}/training",
    summary="Follow a training",
    operation_id="training",
    response_model=TrainingProgress,
    responses=shown(PROGRESS, 404, 507),
    openapi_extra=BENCH,
)
async def training(request: Request, id: JobId) -> TrainingProgress:
    """The curve so far of `rag-adapt adapters train`; empty for other jobs. After its end the card
    has every step.
    """
    desk = desk_of(request)
    await desk.find(id)
    return await asyncio.to_thread(lambda: read(id, log_path(desk.jobs.folder, id)))


def read(job: str, log: Path) -> TrainingProgress:
    """The reports of a log as a curve."""
    reports = list(_reports(log))
    steps = max((int(one["total"]) for one in reports), default=0)
    return TrainingProgress(job=job, steps=steps, data=thinned(list(_curve(reports))))


def _reports(log: Path) -> Iterator[dict[str, Any]]:
    try:
        with log.open("rb") as file:
            file.seek(max(0, log.stat().st_size - MOST_BYTES))
            lines = file.read().splitlines()
    except FileNotFoundError:
        return
    for line in lines:
        if STAGE.encode() not in line:
            continue
        try:
            value = json.loads(line)
        except ValueError:  # the end of a line that begins before what is read, or is being written
            continue
        if isinstance(value, dict) and value.get("stage") == STAGE and _counts(value):
            yield value


def _counts(value: dict[str, Any]) -> bool:
    return isinstance(value.get("done"), int) and isinstance(value.get("total"), int)


def _curve(reports: Iterable[dict[str, Any]]) -> Iterator[TrainingStep]:
    """A point per step; a training that was interrupted says some of them again."""
    last: int | None = None
    bits: float | None = None
    for report in reports:
        step, figures = int(report["done"]), figures_of(str(report.get("note", "")))
        if last is not None and step <= last:
            continue
        measured = figures.bits if figures.bits != bits else None
        last, bits = step, figures.bits
        yield TrainingStep(step=step, loss=figures.loss, bits=measured)


def thinned(points: Sequence[TrainingStep], most: int = MOST_STEPS) -> list[TrainingStep]:
    """At most so many evenly chosen points, the first and the last, and those with bits."""
    if len(points) <= most:
        return list(points)
    kept = {round(number * (len(points) - 1) / (most - 1)) for number in range(most)}
    return [
        point for number, point in enumerate(points) if number in kept or point.bits is not None
    ]
