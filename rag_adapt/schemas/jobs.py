"""What a job looks like on the wire.

It does not know what any job does.
"""

from rag_adapt.jobs.job import State
from rag_adapt.schemas.proof import AdapterProof
from rag_adapt.schemas.wire import Wire


class Progress(Wire):
    """How far a job is."""

    stage: str
    done: int
    total: int
    """Units of the stage, not of the job."""
    note: str


class JobInfo(Wire):
    """One job: a command of ours, as a process of its own."""

    id: str
    """32 hexadecimal digits."""
    command: list[str]
    """The command and its arguments, as after `rag-adapt`."""
    state: State
    """`interrupted`: the process is gone and did not say how it ended; start it again to go on."""
    created: float
    """Seconds since 1970, as all times here."""
    started: float | None
    ended: float | None
    exit_code: int | None
    progress: Progress | None
    """The last that it said; null before it said anything."""
    cancelling: bool
    """Whether somebody asked for its end."""
    result: str | None
    """Path of what it made, such as `/v1/runs/ID`; null before its end, and where it made nothing
    that has a path."""
    error: str | None
    """Why it failed, and the remedy; null where it did not."""
    proof: AdapterProof | None = None
    """What `adapters prove` measured, also where the adapter was not proven; null for other
    commands, before its end, and where nothing was measured."""


class JobList(Wire):
    """`GET /v1/jobs`: one page, newest first."""

    data: list[JobInfo]
    next: str | None
    """`cursor` of the next page; null on the last one."""
