"""Examines the machine at most every few seconds, however often it is asked.

It does not know HTTP or any check.
"""

import asyncio
import time
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import Final

from rag_adapt.core.errors import EngineError
from rag_adapt.doctor.examine import CHECKS, examine
from rag_adapt.doctor.finding import Finding, Patient
from rag_adapt.doctor.machine import look_around
from rag_adapt.settings import Settings

FRESH: Final = 10.0
"""Seconds for which findings are told again."""
PATIENCE: Final = 30.0
"""Seconds that an examination may take before whoever asked is sent away; it goes on."""
KNOWN: Final = (
    *("fastapi", "uvicorn", "torch", "transformers", "peft"),
    *("sentence-transformers", "chromadb", "litellm", "vllm"),
)
"""Distributions whose version is told where they are installed."""


class StillLookingError(EngineError):
    """The examination takes longer than anybody waits."""

    code = "still-looking"
    status = 503


@dataclass(frozen=True, kw_only=True)
class Examined:
    """What an examination found."""

    findings: tuple[Finding, ...]
    versions: dict[str, str]
    at: float
    """Seconds since 1970."""


class Checkup:
    """One examination at a time, in a thread; all who ask meanwhile get its result.

    Args:
        look: Examines; blocking.
        fresh: Seconds for which a result is told again.
        patience: Seconds that somebody waits for one.
    """

    def __init__(
        self, look: Callable[[], Examined], *, fresh: float = FRESH, patience: float = PATIENCE
    ) -> None:
        self.begun = time.monotonic()
        """When the service started."""
        self._look, self._fresh, self._patience = look, fresh, patience
        self._last: Examined | None = None
        self._ended = 0.0
        self._running: asyncio.Task[Examined] | None = None

    @classmethod
    def of(cls, settings: Settings) -> "Checkup":
        """What `rag-adapt doctor` looks at, but for the port: the service itself has it."""
        return cls(partial(_examined, settings))

    async def ask(self) -> Examined:
        """The last result, if it is fresh; else a new one.

        Raises:
            StillLookingError: it takes too long. It goes on, and the next may find it done.
        """
        if self._last is not None and time.monotonic() - self._ended < self._fresh:
            return self._last
        if self._running is None:
            self._running = asyncio.create_task(self._run())
            self._running.add_done_callback(_seen)
        try:
            async with asyncio.timeout(self._patience):
                return await asyncio.shield(self._running)
        except TimeoutError as exc:
            raise StillLookingError(
                f"the machine is being examined for more than {self._patience:.0f} s",
                hint="Ask again in a moment, or run `rag-adapt doctor` on the server.",
            ) from exc

    async def _run(self) -> Examined:
        try:
            self._last = await asyncio.to_thread(self._look)
            self._ended = time.monotonic()
            return self._last
        finally:
            self._running = None


def _seen(task: "asyncio.Task[Examined]") -> None:
    """What went wrong is told to whoever waits; where nobody does any more, it is no news."""
    if not task.cancelled():
        task.exception()


def _examined(settings: Settings) -> Examined:
    machine = look_around()
    checks = {name: check for name, check in CHECKS.items() if name != "port"}
    versions = {"python": ".".join(map(str, machine.python))}
    versions |= {name: machine.installed[name] for name in KNOWN if name in machine.installed}
    findings = examine(Patient(settings=settings, machine=machine), checks)
    return Examined(findings=findings, versions=versions, at=time.time())
