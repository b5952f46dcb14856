"""The values that everything else passes around; all frozen.

They do not know where they come from or where they go: no I/O, no defaults read from elsewhere.
"""

import hashlib
import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from typing import Any, Literal

Split = Literal["train", "dev", "test"]
Role = Literal["system", "user", "assistant"]
FinishReason = Literal["stop", "length"]
Task = Literal["classification", "extraction", "question", "text"]
LearnedFrom = Literal["examples", "corpus", "both"]
Optimiser = Literal["halving", "dspy"]
ScorerName = Literal["exact", "f1", "number", "regex", "json", "json-fields", "label"]


def content_hash(value: Any, digits: int = 12) -> str:
    """The first hex digits of the SHA-256 of a value's canonical JSON."""
    text = json.dumps(value, sort_keys=True, separators=(",", ":"), ensure_ascii=False)
    return hashlib.sha256(text.encode()).hexdigest()[:digits]


@dataclass(frozen=True, kw_only=True)
class Passage:
    """A stretch of a document."""

    document: str
    """The document's path inside its collection."""
    start: int
    """First character of the span in the parsed text."""
    end: int
    """One past the last character."""
    text: str
    """Exactly `parsed_text[start:end]`."""
    score: float = 0.0
    """The retriever's score; higher is better, the scale is the retriever's own."""


@dataclass(frozen=True, kw_only=True)
class Span:
    """A place in a document, without its text: where gold evidence stands."""

    document: str
    start: int
    end: int


@dataclass(frozen=True, kw_only=True)
class Via:
    """The link by which a passage was found."""

    kind: str
    """How the link itself was found: `given`, `headings`, `citation`, `terms` or `meaning`."""
    relation: str
    """`connects_to` or `same_level_as`."""
    source: Span
    """The passage that was found by itself and led here."""


@dataclass(frozen=True, kw_only=True)
class LinkedPassage(Passage):
    """A passage that was not found by itself, but through a link from one that was."""

    via: Via


@dataclass(frozen=True, kw_only=True)
class Item:
    """One problem."""

    id: str
    input: str
    targets: tuple[str, ...]
    """Accepted answers, never empty; the first is the one trained on."""
    split: Split
    cluster: str
    """Items of one cluster share a template or a fact and are not independent."""
    gold: tuple[Span, ...] = ()
    tags: tuple[str, ...] = ()


@dataclass(frozen=True, kw_only=True)
class Example:
    """A worked problem shown to a model, as a chat turn or as training data."""

    input: str
    output: str


@dataclass(frozen=True, kw_only=True)
class Message:
    """One chat message."""

    role: Role
    content: str


@dataclass(frozen=True, kw_only=True)
class Sampling:
    """How tokens are chosen; the same for all arms of a run."""

    max_tokens: int = 64
    temperature: float = 0.0
    """0 is greedy."""
    top_p: float = 1.0
    seed: int = 0
    """Per-request seed; with temperature 0 it changes nothing."""
    stop: tuple[str, ...] = ()
    """Generation ends before the first of these strings; it is not part of the text."""


@dataclass(frozen=True, kw_only=True)
class Call:
    """Everything that an engine needs to answer: what it is sent, and by which weights."""

    messages: tuple[Message, ...]
    sampling: Sampling
    adapter: str | None = None
    """Adapter version `name@sha12`, or None for the base model."""
    adapter_off: str | None = None
    """An adapter that is resident and must not act: the control arm is asked for itself."""
    repeat: int = 0
    """Which repetition this is: part of the cache's key, so that repeats are fresh."""

    def as_json(self) -> dict[str, Any]:
        return asdict(self)


@dataclass(frozen=True, kw_only=True)
class Usage:
    """Tokens of one answer."""

    tokens_in: int
    tokens_out: int


@dataclass(frozen=True, kw_only=True)
class Times:
    """Seconds of one answer, measured by the engine on a monotonic clock."""

    queued: float
    """From the arrival of the call to the start of its computation."""
    first_token: float
    """From the arrival of the call to its first token."""
    total: float
    """From the arrival of the call to its last token."""
    alone: bool = False
    """Whether nothing else was computed with it: only then is it a latency."""
    cached: bool = False
    """Whether it was read from the cache: then these are the first run's times."""


@dataclass(frozen=True, kw_only=True)
class Sent:
    """What the engine received, as the engine itself reports it."""

    messages: tuple[Message, ...]
    template_hash: str | None
    """Hash of the chat template that turned messages into tokens; None where unknown."""
    token_ids: tuple[int, ...] | None
    """The prompt's tokens, on local engines only."""
    adapter: str | None
    model: str
    """The model as the engine reports it: a local model's weights hash, a provider's name."""


@dataclass(frozen=True, kw_only=True)
class Outcome:
    """The end of a generation."""

    text: str
    finish_reason: FinishReason
    usage: Usage
    times: Times
    sent: Sent


@dataclass(frozen=True, kw_only=True)
class Delta:
    """A piece of an answer as it is generated; the last one carries the outcome."""

    text: str
    outcome: Outcome | None = None


@dataclass(frozen=True, kw_only=True)
class TokenLogProbs:
    """Log-probabilities of given continuation tokens, natural logarithm."""

    token_ids: tuple[int, ...]
    logprobs: tuple[float, ...]
    """One per token of the continuation."""
    text_bytes: int
    """UTF-8 bytes of the continuation, for per-byte normalisation."""

    @property
    def total(self) -> float:
        return sum(self.logprobs)


@dataclass(frozen=True, kw_only=True)
class Draft:
    """A request under construction. It never carries a target."""

    item_id: str
    input: str
    labels: tuple[str, ...] = ()
    gold: tuple[Passage, ...] = ()
    """Gold passages; filled for the oracle arm alone."""
    passages: tuple[Passage, ...] = ()
    examples: tuple[Example, ...] = ()
    """Worked examples, shown as alternating chat turns before the question."""
    turns: tuple[Message, ...] = ()
    """Earlier turns of the conversation, between the examples and the question."""
    adapter: str | None = None
    adapter_off: str | None = None
    """An adapter that is loaded but must not act."""


@dataclass(frozen=True, kw_only=True)
class Score:
    """What a scorer says of one answer."""

    value: float | None
    """In [0, 1]; None is "unscored", which is not zero."""
    extracted: str | None
    """The part of the output that was compared."""
    explanation: str


@dataclass(frozen=True, kw_only=True)
class Estimate:
    """A mean with its interval."""

    value: float
    low: float
    high: float
    n: int
    """Items."""
    clusters: int
    method: str
    """`wilson`, `wilson-clustered`, `t-clustered`, or for pairs `t-paired[-degenerate]`; followed
    by what else it counts: `+rare`, `+folds`, `+seeds`."""


@dataclass(frozen=True, kw_only=True)
class AdapterRef:
    """An adapter as an engine needs to know it."""

    version: str
    """`name@sha12`, where sha12 is the content hash of the weights."""
    path: str
    """Folder with `adapter_model.safetensors` and `adapter_config.json`."""
    rank: int


@dataclass(frozen=True, kw_only=True)
class Fingerprint:
    """What makes two engines answer alike: part of every cache key and every run's record."""

    engine: str
    model: str
    """The name that the user gave, for reading."""
    weights: str
    """Content hash of the weights, or the provider's model name where they are not ours."""
    template_hash: str | None
    dtype: str
    device: str
    deterministic: bool
    extra: Mapping[str, str] = field(default_factory=dict)
