"""A desk whose jobs are done in this process when somebody says so: the first of each kind.

It does not know what asks for them. A process for each would take seconds of computing.
"""

import contextlib
import io
from collections import Counter

from rag_adapt.api.desk import Desk
from rag_adapt.cli.app import run
from rag_adapt.jobs.job import Job, output_path
from rag_adapt.jobs.runner import JobRunner
from rag_adapt.settings import Settings

WORTH = {"index": 5, "bench": 1, "adapters import": 1}
"""How many jobs of a kind are done; all others wait until they are cancelled."""


class AtOnce(JobRunner):
    """Runs nothing by itself."""

    def __init__(self, desk: Desk) -> None:
        super().__init__(desk.jobs, home=desk.home)
        self._desk = desk
        self._did: Counter[str] = Counter()

    def start(self) -> None:
        """Nothing begins."""

    def work_off(self) -> None:
        """Do the job that was just made, if it is among the first of its kind."""
        job, *others = self._desk.jobs.list("queued") or (None,)
        if job is None:
            return
        kind = " ".join(job.argv[:2]) if job.argv[0] == "adapters" else job.argv[0]
        if self._did[kind] < WORTH.get(kind, 0):
            self._did[kind] += 1
            for other in others:  # which would come before it
                self._desk.jobs.ask_to_cancel(other.id)
            self._do(job)

    def _do(self, job: Job) -> None:
        """As the job's process would, its output included."""
        store = self._desk.jobs
        claimed = store.claim()
        assert claimed is not None
        assert claimed.id == job.id
        said = io.StringIO()
        with contextlib.redirect_stdout(said), contextlib.redirect_stderr(io.StringIO()):
            code = run(["--home", str(self._desk.home), *job.argv])
        output_path(store.folder, job.id).write_text(said.getvalue())
        store.finish(job.id, "failed" if code else "done", exit_code=code)


def desk_of(settings: Settings) -> Desk:
    """A desk at which nobody works by himself."""
    plain = Desk.of(settings)
    return Desk(settings=settings, jobs=plain.jobs, runner=AtOnce(plain))
