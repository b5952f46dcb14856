"""What is wrong with a file, where, and how many such faults become one error.

It does not know which files there are or how they are read.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from pydantic import ValidationError

from rag_adapt.core.errors import SkillError

SHOWN: Final = 20
"""Faults that one error message spells out; the rest are counted."""


@dataclass(frozen=True, kw_only=True)
class Fault:
    """One thing that is wrong."""

    file: str
    """Path as the user knows it, relative to the skill's folder where there is one."""
    reason: str
    line: int | None = None
    """Counted from 1; None where the fault is the whole file's."""

    def __str__(self) -> str:
        where = self.file if self.line is None else f"{self.file}:{self.line}"
        return f"{where}: {self.reason}"


def skill_error(what: str, faults: Sequence[Fault], *, hint: str) -> SkillError:
    """One error for all faults: the first `SHOWN` spelled out, and how many there are."""
    lines = [f"  {fault}" for fault in faults[:SHOWN]]
    if len(faults) > SHOWN:
        lines.append(f"  ... and {len(faults) - SHOWN} more")
    number = "1 fault" if len(faults) == 1 else f"{len(faults)} faults"
    return SkillError("\n".join([f"{what} has {number}:", *lines]), hint=hint)


def reasons(error: ValidationError) -> list[tuple[str, str]]:
    """Pairs of key and reason, the offending value shown where it is short."""
    found = []
    for problem in error.errors(include_url=False):
        key = ".".join(map(str, problem["loc"]))
        reason = problem["msg"].removeprefix("Value error, ")
        value = problem.get("input")
        if isinstance(value, str | int | float) and len(repr(value)) <= 60:
            reason = f"{reason} (it is {value!r})"
        found.append((key, f"{key}: {reason}" if key else reason))
    return found
