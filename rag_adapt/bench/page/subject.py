"""One skill's share of a report, as the sections of the page read it.

It does not know markup.
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from rag_adapt.bench.dose_figures import Crossover, DoseReport
from rag_adapt.bench.figures import (
    AdapterFigures,
    ArmReport,
    Interaction,
    Leaks,
    Pair,
    ReadOut,
    Recommendation,
    Report,
    Retrieved,
)
from rag_adapt.bench.page.evidence import Confusion, Evidence, Turns


@dataclass(frozen=True, kw_only=True)
class Subject:
    """Everything that a report says of one skill."""

    number: int
    """Its place in the report, from 1: what links name it by."""
    skill: str
    run: Mapping[str, Any]
    arms: tuple[ArmReport, ...]
    pairs: tuple[Pair, ...]
    recommendation: Recommendation | None
    interactions: tuple[Interaction, ...]
    leaks: Leaks | None
    readout: ReadOut | None
    retrieved: tuple[Retrieved, ...]
    doses: tuple[DoseReport, ...]
    crossovers: tuple[Crossover, ...]
    turns: tuple[Turns, ...]
    confusions: tuple[Confusion, ...]

    @property
    def measured(self) -> tuple[ArmReport, ...]:
        """Arms with a score: routes first, then controls, each in the plan's order."""
        scored = [arm for arm in self.arms if arm.measured and arm.score is not None]
        return tuple(sorted(scored, key=lambda arm: arm.control))

    @property
    def routes(self) -> tuple[ArmReport, ...]:
        """Measured arms that can be chosen."""
        return tuple(arm for arm in self.measured if not arm.control)

    @property
    def adapters(self) -> tuple[AdapterFigures, ...]:
        """Every adapter of the skill once, in the order of its arms."""
        return tuple({one.version: one for arm in self.arms for one in arm.adapters}.values())

    @property
    def file(self) -> str:
        """The beginning of its downloads' names."""
        return re.sub(r"[^a-z0-9]+", "-", self.skill.lower()).strip("-")[:40] or "skill"

    @property
    def asked(self) -> str | None:
        """How many of the skill's test items were asked, in words; None where unknown."""
        items, of = self.told("items"), self.told("available_items")
        if items is None:
            return None
        return f"{items} test items" if of in (None, items) else f"{items} of {of} test items"

    def told(self, key: str) -> Any:
        """What the run says of this skill under `key`; None where it says nothing."""
        return self.run.get(key, {}).get(self.skill)


def subjects(report: Report, evidence: Evidence) -> tuple[Subject, ...]:
    """One per skill, in the report's order."""
    named = [
        *(arm.skill for arm in report.arms),
        *(one.skill for one in report.recommendations),
        *(one.skill for one in report.readouts),
    ]
    return tuple(
        _subject(number, skill, report, evidence)
        for number, skill in enumerate(dict.fromkeys(named), start=1)
    )


def _subject(number: int, skill: str, report: Report, evidence: Evidence) -> Subject:
    return Subject(
        number=number,
        skill=skill,
        run=report.run,
        arms=tuple(one for one in report.arms if one.skill == skill),
        pairs=tuple(one for one in report.pairs if one.skill == skill),
        recommendation=next((one for one in report.recommendations if one.skill == skill), None),
        interactions=tuple(one for one in report.interactions if one.skill == skill),
        leaks=next((one for one in report.leaks if one.skill == skill), None),
        readout=next((one for one in report.readouts if one.skill == skill), None),
        retrieved=tuple(one for one in report.retrieved if one.skill == skill),
        doses=tuple(one for one in report.doses if one.skill == skill),
        crossovers=tuple(one for one in report.crossovers if one.skill == skill),
        turns=evidence.turns.get(skill, ()),
        confusions=evidence.confusions.get(skill, ()),
    )
