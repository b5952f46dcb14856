"""What answers look like on the wire: OpenAI's shape, with one field of ours, `rag_adapt`.

It does not know how an answer came about.
"""

from typing import Any, ClassVar, Literal

from pydantic import SerializerFunctionWrapHandler, model_serializer

from rag_adapt.schemas.wire import Wire


class Usage(Wire):
    """Tokens of one response; the prompt of several choices counts once."""

    prompt_tokens: int
    completion_tokens: int
    total_tokens: int


class Citation(Wire):
    """A passage that stood in the prompt."""

    choice: int
    """Index of the choice that it was found for."""
    document: str
    """Path inside the skill's `corpus/`."""
    start: int
    """First character in the parsed document."""
    end: int
    """One past the last character."""
    text: str
    score: float
    """The retriever's; higher is better, the scale is its own."""


class Extension(Wire):
    """`rag_adapt`: where an answer came from."""

    route: str
    """What answered: `prompt`, `rag`, `lora`, `rag+lora`, another measured arm, or `plain`."""
    skill: str | None
    setup: str
    """In words: template, passages, worked examples."""
    adapter: str | None
    """Version `name@sha12` of the adapter that answered; null for the base model."""
    citations: list[Citation]
    """The passages of the prompt, in its order."""
    run: str | None
    """The run that the setup was taken from; null for the skill's first setup."""
    basis: str | None
    """Of that run's recommendation: `decided`, `non-inferior` or `undecided`."""
    recommended: bool
    """Whether this is the route that the run recommends."""
    sentence: str | None
    """The recommendation in words."""
    trace_id: str
    """`GET /v1/traces/{id}` shows every step and exactly what was sent."""
    trace_kept: bool = True
    """False where the trace could not be written; the answer is whole."""


class TokenLogProb(Wire):
    """One token of an answer."""

    token: str
    logprob: float
    """Natural logarithm."""
    bytes: list[int] | None = None
    top_logprobs: tuple[()] = ()
    """Always empty: alternatives are not given."""


class ChatLogProbs(Wire):
    """Log-probabilities of one choice."""

    content: list[TokenLogProb]
    refusal: None = None


class ChatAnswer(Wire):
    """The message of one choice."""

    role: Literal["assistant"] = "assistant"
    content: str


class ChatChoice(Wire):
    """One answer."""

    index: int
    message: ChatAnswer
    finish_reason: Literal["stop", "length"]
    logprobs: ChatLogProbs | None = None


class ChatResponse(Wire):
    """The response of `POST /v1/chat/completions` without `stream`."""

    id: str
    object: Literal["chat.completion"] = "chat.completion"
    created: int
    """Seconds since 1970."""
    model: str
    """As it was asked for."""
    choices: list[ChatChoice]
    usage: Usage
    rag_adapt: Extension


class Sparse(Wire):
    """Part of a chunk: what it does not say is left out, as clients expect."""

    always: ClassVar[frozenset[str]] = frozenset()
    """Fields that stay though they are null."""

    @model_serializer(mode="wrap")
    def _said(self, plain: SerializerFunctionWrapHandler) -> dict[str, Any]:
        fields: dict[str, Any] = plain(self)
        return {k: v for k, v in fields.items() if v is not None or k in self.always}


class ChatDelta(Sparse):
    """What a chunk adds to a message."""

    role: Literal["assistant"] | None = None
    content: str | None = None


class ChatChunkChoice(Sparse):
    """What a chunk adds to one choice."""

    always = frozenset({"finish_reason"})

    index: int
    delta: ChatDelta
    finish_reason: Literal["stop", "length"] | None = None
    logprobs: ChatLogProbs | None = None


class ChatChunk(Sparse):
    """One event of a stream."""

    id: str
    object: Literal["chat.completion.chunk"] = "chat.completion.chunk"
    created: int
    model: str
    choices: list[ChatChunkChoice]
    usage: Usage | None = None
    rag_adapt: Extension | None = None
    """In the last chunk."""


class TextLogProbs(Wire):
    """Log-probabilities of one choice, in the shape of text completions."""

    tokens: list[str]
    token_logprobs: list[float]
    top_logprobs: None = None
    text_offset: list[int]
    """Where each token begins in the joined tokens."""


class TextChoice(Wire):
    """One answer, or what a chunk adds to it."""

    index: int
    text: str
    finish_reason: Literal["stop", "length"] | None
    logprobs: TextLogProbs | None = None


class CompletionResponse(Wire):
    """The response of `POST /v1/completions`, and each event of its stream."""

    id: str
    object: Literal["text_completion"] = "text_completion"
    created: int
    model: str
    choices: list[TextChoice]
    usage: Usage | None = None
    """Null in all chunks but the last, and there only if asked for."""
    rag_adapt: Extension | None = None
    """Null in all chunks but the last."""
