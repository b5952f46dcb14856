"""Where long work is handed in: every request for it becomes a job, and is answered at once.

It does not know what any job does, nor who may start one.
"""

import asyncio
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Annotated, Any, Final

from fastapi import Header, Request, Response

from rag_adapt.api.job_results import error_text, proof_of, result_path
from rag_adapt.api.problems import responses
from rag_adapt.api.security import caller_of
from rag_adapt.engines.vllm_server import VllmServer
from rag_adapt.jobs.job import Job
from rag_adapt.jobs.runner import JobRunner
from rag_adapt.jobs.store import JobStore
from rag_adapt.schemas.jobs import JobInfo, Progress
from rag_adapt.settings import Settings

BENCH: Final[dict[str, Any]] = {"x-scope": "bench"}
CHAT: Final[dict[str, Any]] = {"x-scope": "chat"}
JOB: Final[dict[str, Any]] = {
    "id": "0b6d7c3f9d3c4c0f8c1f5d2a7e9b4a61",
    "command": ["bench", "--json", "--arms=prompt,rag", "--", "orders"],
    "state": "running",
    "created": 1790000000.0,
    "started": 1790000001.5,
    "ended": None,
    "exit_code": None,
    "progress": {"stage": "orders: ask", "done": 40, "total": 160, "note": ""},
    "cancelling": False,
    "result": None,
    "error": None,
    "proof": None,
}
LOCATION: Final[dict[str, Any]] = {
    "Location": {"description": "Path of the job.", "schema": {"type": "string"}, "required": True}
}
IdempotencyKey = Annotated[
    str | None,
    Header(
        min_length=1,
        max_length=200,
        pattern=r"^[!-~]+$",
        description="One key makes one job, however often it is sent; the same key with another "
        "request is refused (409).",
        examples=["4f9c1f1e-orders-1"],
    ),
]


@dataclass(frozen=True, kw_only=True)
class Desk:
    """The jobs of one home, and the settings that they run with."""

    settings: Settings
    jobs: JobStore
    runner: JobRunner
    beat: float = 15.0
    """Seconds after which a watched job is shown again though it did not change: connections that
    say nothing are cut."""

    @classmethod
    def of(cls, settings: Settings, *, program: Sequence[str] | None = None) -> "Desk":
        """The desk of a home; `start` of its runner begins to work off what waits.

        Args:
            settings: What every job runs with.
            program: What stands before a job's arguments; our own command line by default.
        """
        jobs = JobStore(settings.home)
        # A training that was killed took down a vLLM on its GPU, and nobody else starts it again.
        tend = VllmServer(settings.home).relaunch
        runner = JobRunner(jobs, home=settings.home, program=program, tend=tend)
        return cls(settings=settings, jobs=jobs, runner=runner)

    @property
    def home(self) -> Path:
        """Where runs, adapters, skills and jobs lie."""
        return self.settings.home

    async def find(self, id: str) -> JobInfo:
        """A job as clients see it.

        Raises:
            JobNotFoundError: there is none.
        """
        return await asyncio.to_thread(lambda: self.shown(self.jobs.get(id)))

    def shown(self, job: Job) -> JobInfo:
        """A job as clients see it; reads its files where it has ended."""
        folder = self.jobs.folder
        return JobInfo(
            id=job.id,
            command=list(job.argv),
            state=job.state,
            created=job.created,
            started=job.started,
            ended=job.ended,
            exit_code=job.exit_code,
            progress=None if job.progress is None else Progress(**asdict(job.progress)),
            cancelling=job.cancelling,
            result=result_path(job, folder),
            error=error_text(job, folder),
            proof=proof_of(job, folder),
        )


def desk_of(request: Request) -> Desk:
    """The desk of this application."""
    desk = request.app.state.desk
    assert isinstance(desk, Desk)  # endpoints that need one are mounted only where there is one
    return desk


async def accept(
    request: Request, response: Response, argv: Sequence[str], key: str | None
) -> JobInfo:
    """Make a job of a command and point to it; the same caller's same key makes it once.

    Raises:
        QueueFullError: too many wait.
        JobError: the key belongs to another request.
    """
    desk = desk_of(request)
    named = None if key is None else f"{caller_of(request).name} {key}"
    job = await asyncio.to_thread(desk.jobs.submit, argv, key=named)
    response.headers["Location"] = f"/v1/jobs/{job.id}"
    return await asyncio.to_thread(desk.shown, job)


def accepted(*more: int) -> dict[int | str, dict[str, Any]]:
    """The `responses=` of an operation that makes a job."""
    content = {"application/json": {"example": {**JOB, "state": "queued", "progress": None}}}
    made = {"description": "A job was made.", "content": content, "headers": LOCATION}
    return {202: made, **responses(409, 507, *more)}


def shown(example: Any, *more: int, status: int = 200) -> dict[int | str, dict[str, Any]]:
    """The `responses=` of an operation that answers with JSON."""
    answered = {"description": "OK", "content": {"application/json": {"example": example}}}
    return {status: answered, **responses(*more)}
