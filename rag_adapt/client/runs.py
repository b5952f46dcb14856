"""Benchmarks: planned, started, read, compared.

It does not know how anything is measured.
"""

import json
from collections.abc import Iterator
from typing import Any

from rag_adapt.client.connection import Connection, Request, fresh_key, path
from rag_adapt.client.errors import parsed
from rag_adapt.client.pages import entries
from rag_adapt.schemas.jobs import JobInfo
from rag_adapt.schemas.records import AnswerRow, Comparison, Report
from rag_adapt.schemas.runs import (
    RunAnswers,
    RunDetail,
    RunInfo,
    RunList,
    RunPlan,
    RunProgress,
    RunRequest,
)


class Runs:
    """`client.runs`."""

    def __init__(self, connection: Connection) -> None:
        self._connection = connection

    def plan(self, order: RunRequest) -> RunPlan:
        """What a run would ask and which difference it could show; nothing is asked.

        Raises:
            ApiError: it cannot become a plan.
        """
        request = Request(
            method="POST", path="/v1/runs:plan", body=order, patience="work", repeatable=True
        )
        return self._connection.fetch(RunPlan, request)

    def start(self, order: RunRequest, *, key: str | None = None) -> JobInfo:
        """Make a job of it; its `result` is the path of the run.

        Args:
            order: What shall be measured.
            key: One key makes one job, however often it is sent; a new one by default.

        Raises:
            ApiError: it cannot become a plan, or too many jobs wait.
        """
        request = Request(
            method="POST", path="/v1/runs", body=order, patience="work", key=key or fresh_key()
        )
        return self._connection.fetch(JobInfo, request)

    def page(self, *, limit: int | None = None, cursor: str | None = None) -> RunList:
        """One page, newest first.

        Raises:
            ApiError: the service gave none.
        """
        query = {"limit": limit, "cursor": cursor}
        return self._connection.fetch(RunList, Request(path="/v1/runs", query=query))

    def of_job(self, job: str) -> RunInfo | None:
        """The run that a job made, makes, or began before it was stopped; None where it has none.

        Raises:
            ApiError: `job-not-found`.
        """
        found = self._connection.fetch(RunList, Request(path="/v1/runs", query={"job": job}))
        return found.data[0] if found.data else None

    def all(self) -> Iterator[RunInfo]:
        """All of them, newest first, fetched page by page.

        Raises:
            ApiError: a page did not come.
        """
        return entries(lambda cursor: self.page(limit=100, cursor=cursor))

    def show(self, id: str) -> RunDetail:
        """Its state, its plan and the model that it asks.

        Raises:
            ApiError: `run-not-found`.
        """
        return self._connection.fetch(RunDetail, Request(path=path("runs", id)))

    def progress(self, id: str) -> RunProgress:
        """How many questions of each arm were answered; no score before the end.

        Raises:
            ApiError: `run-not-found`.
        """
        return self._connection.fetch(RunProgress, Request(path=path("runs", id, "progress")))

    def resume(self, id: str, *, key: str | None = None) -> JobInfo:
        """Go on with a run that was stopped; the job that is at work on it, where there is one.

        Args:
            id: Of the run.
            key: One key makes one job, however often it is sent; a new one by default.

        Raises:
            ApiError: `run-state` where it is finished or would be another run by now.
        """
        request = Request(
            method="POST",
            path=path("runs", id, "resume"),
            patience="work",
            key=key or fresh_key(),
        )
        return self._connection.fetch(JobInfo, request)

    def report(self, id: str) -> Report:
        """Every figure of a finished run.

        Raises:
            ApiError: `run-not-found`, also while it is not finished; `unreadable-answer` where
                another version of rag-adapt wrote it: `report_document` gives it as it is.
        """
        return parsed(Report, self._connection.ask(Request(path=path("runs", id, "report"))))

    def report_document(self, id: str) -> dict[str, Any]:
        """The report as plain JSON, in whichever version it was written.

        Raises:
            ApiError: `run-not-found`, also while it is not finished.
        """
        found = json.loads(self._connection.ask(Request(path=path("runs", id, "report"))))
        return found if isinstance(found, dict) else {}

    def report_page(self, id: str) -> bytes:
        """The report as one HTML page that loads nothing, for a download.

        Raises:
            ApiError: `run-not-found`, also while it is not finished.
        """
        return self._connection.ask(Request(path=path("runs", id, "report.html")))

    def answers_page(
        self,
        id: str,
        *,
        skill: str | None = None,
        arm: str | None = None,
        alone: bool = False,
        traces: bool = False,
        limit: int | None = None,
        cursor: str | None = None,
    ) -> RunAnswers:
        """One page of a run's answers, in the order in which they were kept.

        Raises:
            ApiError: `run-not-found`, or no page named this cursor.
        """
        query = {
            **{"skill": skill, "arm": arm, "alone": alone or None, "traces": traces},
            **{"limit": limit, "cursor": cursor},
        }
        return self._connection.fetch(
            RunAnswers, Request(path=path("runs", id, "answers"), query=query)
        )

    def answers(
        self,
        id: str,
        *,
        skill: str | None = None,
        arm: str | None = None,
        alone: bool = False,
        traces: bool = False,
    ) -> Iterator[AnswerRow]:
        """All answers of a run, fetched page by page; those of a running one as far as it is.

        Args:
            id: Of the run.
            skill: Only this one's.
            arm: Only this one's.
            alone: Only those whose times are latencies: computed alone, not from the cache.
            traces: Whether they carry what was sent to the model.

        Raises:
            ApiError: a page did not come.
        """
        limit = 50 if traces else 500
        return entries(
            lambda cursor: self.answers_page(
                id, skill=skill, arm=arm, alone=alone, traces=traces, limit=limit, cursor=cursor
            )
        )

    def compare(self, a: str, b: str) -> Comparison:
        """Two runs item by item: `b` minus `a`.

        Raises:
            ApiError: `run-not-found`.
        """
        request = Request(path=path("runs", a, "compare", b), patience="work")
        return self._connection.fetch(Comparison, request)
