"""What a check says: fine, a warning, or a fault, and the command that mends it.

It does not know any check.
"""

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Final, Literal

from rag_adapt.core.errors import RagAdaptError
from rag_adapt.doctor.machine import Machine
from rag_adapt.settings import Settings

State = Literal["ok", "warning", "fault"]
SERVE_PORT: Final = 8000


@dataclass(frozen=True, kw_only=True)
class Patient:
    """What is looked at."""

    settings: Settings
    machine: Machine
    port: int = SERVE_PORT
    """Where `serve` would listen on this machine."""


@dataclass(frozen=True, kw_only=True)
class Observation:
    """One thing that a check saw."""

    state: State
    """`fault`: a command of ours fails or is unsafe until it is mended."""
    what: str
    remedy: str = ""
    """What to do, with the exact command; empty where nothing needs doing."""


@dataclass(frozen=True, kw_only=True)
class Finding:
    """An observation and the check that made it."""

    name: str
    state: State
    what: str
    remedy: str = ""


Check = Callable[[Patient], Iterable[Observation]]


def ok(what: str) -> Observation:
    """Nothing to do."""
    return Observation(state="ok", what=what)


def warning(what: str, *, remedy: str) -> Observation:
    """It works, but not as well as it could, or not for long."""
    return Observation(state="warning", what=what, remedy=remedy)


def fault(what: str, *, remedy: str) -> Observation:
    """Something fails or is unsafe."""
    return Observation(state="fault", what=what, remedy=remedy)


def fault_of(error: RagAdaptError) -> Observation:
    """An error of ours, with its own hint as the remedy."""
    return fault(error.fact, remedy=error.hint)
