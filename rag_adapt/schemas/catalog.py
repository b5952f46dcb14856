"""What there is: models, skills, adapters, traces, and whether the service is ready.

It does not know where any of it lies.
"""

from typing import Any, Literal

from rag_adapt.schemas.wire import Wire


class Model(Wire):
    """Something that can be named as `model`."""

    id: str
    object: Literal["model"] = "model"
    created: int = 0
    owned_by: Literal["rag-adapt"] = "rag-adapt"


class ModelList(Wire):
    """`GET /v1/models`."""

    object: Literal["list"] = "list"
    data: list[Model]


class SkillInfo(Wire):
    """One skill as it lies on disk."""

    name: str
    origin: Literal["bundled", "imported"]
    fault: str | None = None
    """Why it cannot be used; the other fields are then null."""
    title: str | None = None
    description: str | None = None
    task: str | None = None
    scorer: str | None = None
    labels: list[str] | None = None
    items: dict[str, int] | None = None
    """Number of items by split."""
    documents: bool | None = None
    """Whether it has a corpus to search."""
    data_hash: str | None = None


class SkillList(Wire):
    """`GET /v1/skills`."""

    object: Literal["list"] = "list"
    data: list[SkillInfo]


class AdapterInfo(Wire):
    """One adapter of the store."""

    version: str
    """`name@sha12`."""
    name: str
    skill: str
    current: bool
    """Whether its name points to it."""
    with_context: bool
    """Whether it was trained with retrieved passages."""
    fits: bool
    """Whether it was trained on the weights that this service runs."""
    base_model: str
    rank: int
    examples: int | None
    """Training items; null where it was trained elsewhere and imported."""
    size_bytes: int
    created: str
    """UTC, ISO 8601."""


class AdapterList(Wire):
    """`GET /v1/adapters`."""

    object: Literal["list"] = "list"
    data: list[AdapterInfo]


class TraceDocument(Wire):
    """`GET /v1/traces/{id}`: every step of one response and exactly what was sent."""

    id: str
    created: int
    """Seconds since 1970."""
    model: str
    answers: list[dict[str, Any]]
    """One per choice: `trace` with its events, and `text`, `finish_reason`, `cost` and its
    adapter's `proof`, or `failure`."""


class Health(Wire):
    """`GET /healthz`."""

    status: Literal["ok"] = "ok"


class Part(Wire):
    """One thing that answers depend on."""

    name: str
    ready: bool
    detail: str


class Readiness(Wire):
    """`GET /readyz`."""

    ready: bool
    parts: list[Part]
