"""Conversations that stay on the server: begun, asked, read while they are answered.

It does not know how an answer is made.
"""

import json
from collections.abc import Iterator

from rag_adapt.client.connection import Connection, Request, path
from rag_adapt.client.errors import ApiError, filled, parsed, problem
from rag_adapt.client.events import Event
from rag_adapt.client.pages import entries
from rag_adapt.client.streams import Reading, Reconnect, Stream
from rag_adapt.schemas.conversations import (
    AgainRequest,
    ConversationDetail,
    ConversationInfo,
    ConversationList,
    ConversationRemoved,
    ConversationRequest,
    GenerationInfo,
    GenerationPiece,
    RenameRequest,
    TurnInfo,
    TurnRequest,
)


class Conversations:
    """`client.conversations`: the caller's own."""

    def __init__(self, connection: Connection) -> None:
        self._connection = connection

    def create(self, order: ConversationRequest) -> ConversationInfo:
        """Begin one; the same models are asked every time, each with its own earlier answers.

        Raises:
            ApiError: there is no such model or skill, or there are too many conversations.
        """
        request = Request(method="POST", path="/v1/conversations", body=order)
        return self._connection.fetch(ConversationInfo, request)

    def page(self, *, limit: int | None = None, cursor: str | None = None) -> ConversationList:
        """One page, newest first, without turns.

        Raises:
            ApiError: the service gave none.
        """
        query = {"limit": limit, "cursor": cursor}
        return self._connection.fetch(
            ConversationList, Request(path="/v1/conversations", query=query)
        )

    def all(self) -> Iterator[ConversationInfo]:
        """All of them, newest first, fetched page by page.

        Raises:
            ApiError: a page did not come.
        """
        return entries(lambda cursor: self.page(limit=100, cursor=cursor))

    def show(self, id: str) -> ConversationDetail:
        """Its turns, oldest first, with every answer as far as it is now.

        Raises:
            ApiError: there is none, or it is another caller's.
        """
        return self._connection.fetch(ConversationDetail, Request(path=path("conversations", id)))

    def rename(self, id: str, title: str) -> ConversationInfo:
        """Give it another title.

        Raises:
            ApiError: there is none, or the title is empty or too long.
        """
        request = Request(
            method="PATCH",
            path=path("conversations", id),
            body=filled(RenameRequest, title=title),
            repeatable=True,
        )
        return self._connection.fetch(ConversationInfo, request)

    def delete(self, id: str) -> ConversationRemoved:
        """Forget it with all its turns; answers under way are cancelled. Traces stay.

        Raises:
            ApiError: there is none.
        """
        request = Request(method="DELETE", path=path("conversations", id))
        return self._connection.fetch(ConversationRemoved, request)

    def ask(self, id: str, question: TurnRequest) -> TurnInfo:
        """Ask the next question: one generation per model begins, and goes on by itself.

        Raises:
            ApiError: an earlier answer is being written, or the conversation is too long.
        """
        request = Request(method="POST", path=path("conversations", id, "turns"), body=question)
        return self._connection.fetch(TurnInfo, request)

    def edit(self, id: str, turn: str, question: TurnRequest) -> TurnInfo:
        """Ask another question in place of one; its answers and all later turns are deleted.

        Raises:
            ApiError: there is no such turn.
        """
        place = path("conversations", id, "turns", turn)
        return self._connection.fetch(TurnInfo, Request(method="PUT", path=place, body=question))

    def again(self, id: str, turn: str, *, model: str | None = None) -> TurnInfo:
        """Answer a question again; earlier answers stay as alternatives.

        Args:
            id: Of the conversation.
            turn: Of the question.
            model: Who is asked; every model of the conversation by default.

        Raises:
            ApiError: there is no such turn or model, or an answer is being written.
        """
        given = {} if model is None else {"model": model}
        request = Request(
            method="POST",
            path=path("conversations", id, "turns", turn, "generations"),
            body=filled(AgainRequest, **given),
        )
        return self._connection.fetch(TurnInfo, request)

    def generation(self, id: str, generation: str) -> GenerationInfo:
        """One answer: its state, its text so far, and all of it once it is complete.

        Raises:
            ApiError: there is none.
        """
        place = path("conversations", id, "generations", generation)
        return self._connection.fetch(GenerationInfo, Request(path=place))

    def cancel(self, id: str, generation: str) -> GenerationInfo:
        """Stop it; its text so far is kept. One that has ended stays as it is.

        Raises:
            ApiError: there is none.
        """
        place = path("conversations", id, "generations", generation, "cancel")
        request = Request(method="POST", path=place, repeatable=True)
        return self._connection.fetch(GenerationInfo, request)

    def watch(
        self, id: str, generation: str, *, after: int = 0, reconnect: Reconnect | None = None
    ) -> Stream[GenerationPiece | GenerationInfo]:
        """Its text piece by piece, and the whole of it at every change of its state and at its end.

        A lost connection is made again and goes on behind the last piece. Closing it stops
        nothing: see `cancel`.

        Args:
            id: Of the conversation.
            generation: Which answer.
            after: Characters of its text that the reader has already.
            reconnect: How long a lost connection is made again.
        """
        place = path("conversations", id, "generations", generation, "events")
        headers = {"Last-Event-ID": str(after)} if after else {}
        return Stream(
            self._connection,
            Request(path=place, headers=headers),
            Reading(value=_Looks().value, failure=_failure),
            reconnect=reconnect or Reconnect(),
        )


class _Looks:
    """What a generation says, each state once also after a lost connection."""

    def __init__(self) -> None:
        self._last: GenerationInfo | None = None

    def value(self, event: Event) -> GenerationPiece | GenerationInfo | None:
        """What an event says; None where it says nothing new."""
        if event.name == "delta":
            return parsed(GenerationPiece, event.data)
        if event.name != "generation":
            return None
        found = parsed(GenerationInfo, event.data)
        changed, self._last = found != self._last, found
        return found if changed else None


def _failure(event: Event) -> ApiError | None:
    """An event `failure`: the generation cannot be read any further."""
    return problem(json.loads(event.data)) if event.name == "failure" else None
