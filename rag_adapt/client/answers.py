"""Asking: chat and text completions, whole or in pieces, and their traces.

It does not know how answers are made.
"""

from rag_adapt.client.connection import Connection, Request, path
from rag_adapt.client.errors import parsed
from rag_adapt.client.streams import Reading, Stream
from rag_adapt.schemas.answers import ChatChunk, ChatResponse, CompletionResponse
from rag_adapt.schemas.catalog import TraceDocument
from rag_adapt.schemas.requests import ChatRequest, CompletionRequest


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

    def trace(self, id: str) -> TraceDocument:
        """Every step of an answer and exactly what was sent to the model.

        Raises:
            ApiError: `trace-not-found`: there is none, or it is another caller's.
        """
        return self._connection.fetch(TraceDocument, Request(path=path("traces", id)))
