"""Long work: listed, watched, cancelled.

It does not know what any job does.
"""

from collections import deque
from collections.abc import Iterator

from rag_adapt.client.connection import Connection, Request, path
from rag_adapt.client.errors import parsed
from rag_adapt.client.pages import entries
from rag_adapt.client.streams import Reading, Reconnect, Stream
from rag_adapt.schemas.jobs import JobInfo, JobList
from rag_adapt.schemas.records import JobState


class Jobs:
    """`client.jobs`."""

    def __init__(self, connection: Connection) -> None:
        self._connection = connection

    def page(
        self, *, state: JobState | None = None, limit: int | None = None, cursor: str | None = None
    ) -> JobList:
        """One page, newest first.

        Raises:
            ApiError: the service gave none.
        """
        query = {"state": state, "limit": limit, "cursor": cursor}
        return self._connection.fetch(JobList, Request(path="/v1/jobs", query=query))

    def all(self, *, state: JobState | None = None) -> Iterator[JobInfo]:
        """All of them, newest first, fetched page by page.

        Raises:
            ApiError: a page did not come.
        """
        return entries(lambda cursor: self.page(state=state, limit=100, cursor=cursor))

    def show(self, id: str) -> JobInfo:
        """Its state, how far it is, and once it has ended what it made or why it failed.

        Raises:
            ApiError: `job-not-found`.
        """
        return self._connection.fetch(JobInfo, Request(path=path("jobs", id)))

    def cancel(self, id: str) -> JobInfo:
        """Ask for its end: what it has finished is kept. It may take 25 seconds.

        Raises:
            ApiError: `job-not-found`.
        """
        request = Request(method="POST", path=path("jobs", id, "cancel"), repeatable=True)
        return self._connection.fetch(JobInfo, request)

    def watch(self, id: str, *, reconnect: Reconnect | None = None) -> Stream[JobInfo]:
        """The job now and at every change, until it has ended.

        A lost connection is made again, over a restart of the service too. Closing it leaves the
        job alone.
        """
        last: list[JobInfo] = []

        def changed(data: str) -> JobInfo | None:
            job = parsed(JobInfo, data)
            if last == [job]:  # said again so that the connection lives, or after it was lost
                return None
            last[:] = [job]
            return job

        return Stream(
            self._connection,
            Request(path=path("jobs", id, "events")),
            Reading(value=lambda event: changed(event.data)),
            reconnect=reconnect or Reconnect(),
        )

    def result(self, id: str) -> JobInfo:
        """The job once it has ended, however long that takes.

        Raises:
            ApiError: it could not be watched to its end.
        """
        with self.watch(id) as looks:
            last = deque(looks, maxlen=1)
        return last.pop() if last else self.show(id)
