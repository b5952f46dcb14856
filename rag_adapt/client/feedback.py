"""Votes and better answers: given, decided, exported.

It does not know where feedback is kept or what may be learned from.
"""

from collections.abc import Iterator
from dataclasses import dataclass

from rag_adapt.client.connection import Connection, Request, path
from rag_adapt.client.pages import entries
from rag_adapt.schemas.feedback import FeedbackInfo, FeedbackList, FeedbackRequest, Withdrawn
from rag_adapt.schemas.records import ExportKind, FeedbackState


@dataclass(frozen=True, kw_only=True)
class Exported:
    """Rows to learn from."""

    lines: bytes
    """JSON Lines."""
    left_out: int
    """Accepted pieces that are not among them: test items, and those of unreadable skills."""


class Feedback:
    """`client.feedback`."""

    def __init__(self, connection: Connection) -> None:
        self._connection = connection

    def give(self, verdict: FeedbackRequest) -> FeedbackInfo:
        """Vote for or against one of your own answers, or say what it should have been.

        It replaces what you said of that answer before, as long as nobody has decided it.

        Raises:
            ApiError: `trace-not-found`, or it was decided already.
        """
        request = Request(method="POST", path="/v1/feedback", body=verdict, repeatable=True)
        return self._connection.fetch(FeedbackInfo, request)

    def page(
        self,
        *,
        state: FeedbackState | None = None,
        skill: str | None = None,
        route: str | None = None,
        limit: int | None = None,
        cursor: str | None = None,
    ) -> FeedbackList:
        """One page, newest first; everybody's with the scope `bench`, otherwise your own.

        Raises:
            ApiError: the service gave none.
        """
        query = {"state": state, "skill": skill, "route": route, "limit": limit, "cursor": cursor}
        return self._connection.fetch(FeedbackList, Request(path="/v1/feedback", query=query))

    def all(
        self,
        *,
        state: FeedbackState | None = None,
        skill: str | None = None,
        route: str | None = None,
    ) -> Iterator[FeedbackInfo]:
        """All of it, newest first, fetched page by page.

        Raises:
            ApiError: a page did not come.
        """
        return entries(
            lambda cursor: self.page(
                state=state, skill=skill, route=route, limit=100, cursor=cursor
            )
        )

    def show(self, id: str) -> FeedbackInfo:
        """What was said, the answer that it judges, what was decided.

        Raises:
            ApiError: there is none of that id, or it is somebody else's.
        """
        return self._connection.fetch(FeedbackInfo, Request(path=path("feedback", id)))

    def withdraw(self, id: str) -> Withdrawn:
        """Delete what you said, as long as nobody has decided it.

        Raises:
            ApiError: it is decided, or somebody else said it.
        """
        request = Request(method="DELETE", path=path("feedback", id))
        return self._connection.fetch(Withdrawn, request)

    def accept(self, id: str) -> FeedbackInfo:
        """From now on it is exported.

        Raises:
            ApiError: `leak`: its question is, or resembles, a test item of its skill.
        """
        return self._decided(id, "accept")

    def reject(self, id: str) -> FeedbackInfo:
        """It is kept and never exported.

        Raises:
            ApiError: there is none of that id.
        """
        return self._decided(id, "reject")

    def export(self, kind: ExportKind = "training", *, skill: str | None = None) -> Exported:
        """What was accepted, as rows to train on.

        Args:
            kind: `training` is `{"input", "targets"}`, `preferences` is
                `{"prompt", "chosen", "rejected"}`, each a list of messages.
            skill: Of this skill alone.

        Raises:
            ApiError: the service gave none.
        """
        query = {"kind": kind, "skill": skill}
        found = self._connection.answer(
            Request(path="/v1/feedback:export", query=query, patience="work")
        )
        left_out = found.headers.get("x-left-out", "")
        return Exported(lines=found.body, left_out=int(left_out) if left_out.isdecimal() else 0)

    def _decided(self, id: str, decision: str) -> FeedbackInfo:
        request = Request(method="POST", path=path("feedback", id, decision), repeatable=True)
        return self._connection.fetch(FeedbackInfo, request)
