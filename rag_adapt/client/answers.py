"""Asking: chat and text completions, whole or in pieces, and their traces.

It does not know how answers are made.
"""

from typing import Final

from rag_adapt.client.connection import Connection, Request, path
from rag_adapt.client.errors import parsed
from rag_adapt.client.events import Event
from rag_adapt.client.streams import Reading, Stream
from rag_adapt.schemas.answers import ChatChunk, ChatResponse, CompletionResponse
from rag_adapt.schemas.catalog import TraceDocument
from rag_adapt.schemas.comparisons import Compared, ComparedDelta, Comparison, ComparisonRequest
from rag_adapt.schemas.requests import ChatRequest, CompletionRequest

COMPARED: Final[dict[str, type[ComparedDelta] | type[Compared]]] = {
    "delta": ComparedDelta,
    "answer": Compared,
    "failure": Compared,
}
"""By name of an event; others a newer service may send are left out."""


class Answers:
    """`client.answers`."""

    def __init__(self, connection: Connection) -> None:
        self._connection = connection

    def chat(self, request: ChatRequest) -> ChatResponse:
        """The whole answer; `rag_adapt` says where it came from.

        Raises:
            ApiError: there is none.
        """
        body = request.model_copy(update={"stream": False, "stream_options": None})
        asked = Request(method="POST", path="/v1/chat/completions", body=body, patience="answer")
        return self._connection.fetch(ChatResponse, asked)

    def chat_stream(self, request: ChatRequest) -> Stream[ChatChunk]:
        """The answer in pieces; the last one carries `rag_adapt`. Closing it cancels the work."""
        body = request.model_copy(update={"stream": True})
        asked = Request(method="POST", path="/v1/chat/completions", body=body, patience="answer")
        reading = Reading(value=lambda event: parsed(ChatChunk, event.data))
        return Stream(self._connection, asked, reading)

    def complete(self, request: CompletionRequest) -> CompletionResponse:
        """As `chat`, in OpenAI's older shape.

        Raises:
            ApiError: there is no answer.
        """
        body = request.model_copy(update={"stream": False, "stream_options": None})
        asked = Request(method="POST", path="/v1/completions", body=body, patience="answer")
        return self._connection.fetch(CompletionResponse, asked)

    def complete_stream(self, request: CompletionRequest) -> Stream[CompletionResponse]:
        """As `chat_stream`, in OpenAI's older shape."""
        body = request.model_copy(update={"stream": True})
        asked = Request(method="POST", path="/v1/completions", body=body, patience="answer")
        reading = Reading(value=lambda event: parsed(CompletionResponse, event.data))
        return Stream(self._connection, asked, reading)

    def compare(self, request: ComparisonRequest) -> Comparison:
        """One question to several models, all answers at once; each may have failed by itself.

        Raises:
            ApiError: none of them was asked.
        """
        body = request.model_copy(update={"stream": False})
        asked = Request(method="POST", path="/v1/comparisons", body=body, patience="answer")
        return self._connection.fetch(Comparison, asked)

    def compare_stream(self, request: ComparisonRequest) -> Stream[ComparedDelta | Compared]:
        """The same in pieces, side by side; `Compared` is a model's end. Closing it cancels all."""
        body = request.model_copy(update={"stream": True})
        asked = Request(method="POST", path="/v1/comparisons", body=body, patience="answer")
        return Stream(self._connection, asked, Reading(value=_compared))

    def trace(self, id: str) -> TraceDocument:
        """Every step of an answer and exactly what was sent to the model.

        Raises:
            ApiError: `trace-not-found`: there is none, or it is another caller's.
        """
        return self._connection.fetch(TraceDocument, Request(path=path("traces", id)))


def _compared(event: Event) -> ComparedDelta | Compared | None:
    kind = COMPARED.get(event.name)
    return None if kind is None else parsed(kind, event.data)
