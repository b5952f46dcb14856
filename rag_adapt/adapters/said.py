"""What a training says of a step while it runs, and how that is read back from its progress.

It does not know who shows it.
"""

import re
from dataclasses import dataclass
from typing import Final

STAGE: Final = "train"
"""The stage of a training's progress; one unit is one step."""
_LOSS: Final = re.compile(r"(?:^|, )loss (-?[0-9.]+)(?:,|$)")
_BITS: Final = re.compile(r"(?:^|, )held-out (-?[0-9.]+) bits/token$")


@dataclass(frozen=True, kw_only=True)
class StepFigures:
    """What is known at one step."""

    loss: float | None
    """Of this step, in nats per answer token; None before the first."""
    bits: float | None
    """Held-out bits per answer token when they were last measured."""


def note_of(figures: StepFigures, first: str = "") -> str:
    """The note of a progress report.

    Args:
        figures: Of the step.
        first: Stands before them.
    """
    loss = "" if figures.loss is None else f"loss {figures.loss:.3f}"
    bits = "" if figures.bits is None else f"held-out {figures.bits:.2f} bits/token"
    return ", ".join(part for part in (first, loss, bits) if part)


def figures_of(note: str) -> StepFigures:
    """The other way round; figures that are not there are None.

    >>> figures_of("loss 1.250, held-out 0.50 bits/token")
    StepFigures(loss=1.25, bits=0.5)
    """
    return StepFigures(loss=_number(_LOSS, note), bits=_number(_BITS, note))


def _number(pattern: re.Pattern[str], note: str) -> float | None:
    found = pattern.search(note)
    try:
        return None if found is None else float(found[1])
    except ValueError:
        return None
