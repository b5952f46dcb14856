"""What clients send to be answered, in OpenAI's shape.

It does not know routes or engines; what neither can do is refused here, with the reason.
"""

from typing import Annotated, Any, Final, Literal

from pydantic import AfterValidator, Field, StringConstraints

from rag_adapt.schemas.wire import Wire

MOST_CHOICES: Final = 8
MOST_TOKENS: Final = 8192
MOST_MESSAGES: Final = 256
MOST_CHARACTERS: Final = 400_000
MOST_STOPS: Final = 16
MOST_METADATA: Final = 64
ECHO: Final = (
    "is refused: it sends the prompt back with its log-probabilities, and one such request can "
    "kill a server that holds adapters; leave it out"
)
TOOLS: Final = (
    "is refused: a route answers with a template and never calls tools, and the engines do not "
    "either; leave it out"
)


def _refused(reason: str) -> AfterValidator:
    """A field that clients know and that is never served; null and false say nothing."""

    def refuse(value: object) -> None:
        if not any(value is allowed for allowed in (None, False)):
            raise ValueError(reason)

    return AfterValidator(refuse)


def _neutral(value: float | None) -> None:
    if value:
        raise ValueError("this service has no penalties; leave it out or send 0")


Text = Annotated[str, StringConstraints(max_length=MOST_CHARACTERS)]
Stop = Annotated[str, StringConstraints(min_length=1, max_length=200)]
Nothing = Annotated[list[Any], Field(max_length=0)]
ModelName = Annotated[
    str,
    Field(
        min_length=1,
        max_length=300,
        description="`route:prompt/SKILL`, `route:rag/SKILL`, `route:lora/SKILL` (or an adapter's "
        "version), `route:rag+lora/SKILL`, `route:auto/SKILL` (what the latest run recommends), "
        "or the engine model's own name. `GET /v1/models` lists them.",
    ),
]


class TextPart(Wire):
    """A piece of a message; text is all that the models read."""

    type: Literal["text"]
    text: Text


class ChatMessage(Wire):
    """One message of a conversation."""

    role: Literal["system", "developer", "user", "assistant"]
    """`developer` is read as `system`."""
    content: Text | Annotated[list[TextPart], Field(fail_fast=True, min_length=1, max_length=64)]
    name: str | None = Field(default=None, max_length=200)
    """Accepted and not used."""
    refusal: None = None
    """This and what follows clients send back with an answer of ours: empty, and not used."""
    audio: None = None
    function_call: None = None
    annotations: Nothing | None = None
    tool_calls: Nothing | None = None

    @property
    def text(self) -> str:
        """The content as one text."""
        if isinstance(self.content, str):
            return self.content
        return "".join(part.text for part in self.content)


class StreamOptions(Wire):
    """How a stream ends."""

    include_usage: bool | None = None
    """Whether one more chunk says what was used."""
    include_obfuscation: bool | None = None
    """Accepted and not used."""


class Generation(Wire):
    """What chat and text completions have in common."""

    model: ModelName
    max_tokens: int | None = Field(default=None, ge=1, le=MOST_TOKENS)
    """Longest answer in tokens; default the skill's own."""
    temperature: float | None = Field(default=None, ge=0, le=2)
    """0 (greedy, as benchmarks ask) by default."""
    top_p: float | None = Field(default=None, gt=0, le=1)
    n: int | None = Field(default=None, ge=1, le=MOST_CHOICES)
    """Answers to the same question; with temperature 0 they are alike."""
    stop: Stop | Annotated[list[Stop], Field(fail_fast=True, max_length=MOST_STOPS)] | None = None
    """On a route these come on top of the skill's own."""
    seed: int | None = Field(default=None, ge=-(2**63), le=2**63 - 1)
    """Default: another one for every request."""
    stream: bool | None = None
    stream_options: StreamOptions | None = None
    frequency_penalty: Annotated[float | None, AfterValidator(_neutral)] = None
    presence_penalty: Annotated[float | None, AfterValidator(_neutral)] = None
    prompt_logprobs: Annotated[int | bool | None, _refused(ECHO)] = Field(
        default=None, json_schema_extra={"enum": [None, False]}
    )
    echo: Annotated[bool | None, _refused(ECHO)] = Field(
        default=None, json_schema_extra={"enum": [None, False]}
    )
    user: str | None = None
    """Accepted and not used."""
    metadata: Annotated[dict[str, Any], Field(max_length=MOST_METADATA)] | None = None
    """Accepted and not used."""
    store: bool | None = None
    """Accepted and not used."""

    @property
    def stops(self) -> tuple[str, ...]:
        """The client's stop strings."""
        if self.stop is None:
            return ()
        return (self.stop,) if isinstance(self.stop, str) else tuple(self.stop)


class ChatRequest(Generation):
    """`POST /v1/chat/completions`."""

    messages: Annotated[
        list[ChatMessage], Field(fail_fast=True, min_length=1, max_length=MOST_MESSAGES)
    ]
    """The last one is the user's; on a route it is the item, and the others stand before it."""
    max_completion_tokens: int | None = Field(default=None, ge=1, le=MOST_TOKENS)
    """The newer name of `max_tokens`; the smaller of the two holds."""
    logprobs: bool | None = None
    """Log-probabilities of the answer's tokens, where the engine gives them."""
    top_logprobs: int | None = Field(default=None, ge=0, le=0)
    """Only 0: alternatives to the chosen tokens are not given."""
    tools: Annotated[list[Any] | None, _refused(TOOLS)] = Field(
        default=None, json_schema_extra={"enum": [None]}
    )
    """Refused: neither routes nor the engines call tools."""

    @property
    def limit(self) -> int | None:
        """Longest answer in tokens, if the client names one."""
        named = [one for one in (self.max_tokens, self.max_completion_tokens) if one is not None]
        return min(named, default=None)


class CompletionRequest(Generation):
    """`POST /v1/completions`."""

    prompt: (
        Text | Annotated[list[Text], Field(fail_fast=True, min_length=1, max_length=MOST_CHOICES)]
    )
    """The item; with the plain model it is sent as one user message. Several are answered each."""
    logprobs: int | None = Field(default=None, ge=0, le=1)
    """0 or 1: log-probabilities of the answer's tokens, where the engine gives them."""
    best_of: int | None = Field(default=None, ge=1, le=1)
    """Only 1."""
    suffix: Annotated[str | None, _refused("answers end where they end: leave it out")] = Field(
        default=None, json_schema_extra={"enum": [None]}
    )

    @property
    def prompts(self) -> tuple[str, ...]:
        """The prompts, one or several."""
        return (self.prompt,) if isinstance(self.prompt, str) else tuple(self.prompt)
