"""The state of the service and of its machine on the wire.

It does not know how any of it is found out.
"""

from typing import Literal

from rag_adapt.schemas.wire import Wire


class EngineInfo(Wire):
    """What answers."""

    engine: str
    """`embedded`, `remote` or `scripted`."""
    model: str
    """As the settings name it."""
    weights: str
    """Content hash, or the provider's name where the weights are not ours."""
    dtype: str
    device: str


class FindingInfo(Wire):
    """What one check says."""

    name: str
    state: Literal["ok", "warning", "fault"]
    """`fault`: something fails or is unsafe until it is mended."""
    what: str
    remedy: str
    """What the operator can do, with the exact command; empty where nothing needs doing."""


class SystemInfo(Wire):
    """`GET /v1/system`."""

    healthy: bool
    """Whether there is no fault; warnings do not count."""
    uptime: float
    """Seconds since the service started."""
    versions: dict[str, str]
    """Of rag-adapt, of Python, and of what answers and searches."""
    engine: EngineInfo
    checked: float
    """When the findings were made, in seconds since 1970; they are told for some seconds."""
    findings: list[FindingInfo]
    """In the order of `rag-adapt doctor`."""
