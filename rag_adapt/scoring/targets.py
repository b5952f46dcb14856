"""Checks that a skill's own targets would be scored right: else the judge is the wrong one.

It does not know models or answers.
"""

from collections.abc import Callable, Iterator
from pathlib import Path

from rag_adapt.core.types import Item, ScorerName
from rag_adapt.scoring.registry import scorer_for
from rag_adapt.scoring.text import fault_of_pattern
from rag_adapt.skills.faults import Fault, skill_error
from rag_adapt.skills.load import read_skill
from rag_adapt.skills.skill import Skill


def checked_skill(folder: Path, *, report: Callable[[Fault], None]) -> Skill:
    """Read a skill folder and try its targets on its scorer.

    Args:
        folder: The skill's.
        report: Is told every single fault; the error spells out only the first ones.

    Raises:
        SkillError: there are faults.
    """
    reading = read_skill(folder)
    skill, faults = reading.skill, reading.faults
    if skill is not None:
        faults = unfit_targets(skill)
    if skill is None or faults:
        for fault in faults:
            report(fault)
        hint = f"Correct these files, then run `rag-adapt skills check {folder}`."
        raise skill_error(f"skill {str(folder)!r}", faults, hint=hint)
    return skill


def unfit_targets(skill: Skill) -> tuple[Fault, ...]:
    """A fault for every target that its skill's primary scorer would not give 1.

    For `regex` a target is a pattern; there the fault is one that does not compile.
    """
    return tuple(_faults(skill))


def _faults(skill: Skill) -> Iterator[Fault]:
    for item in skill.items:
        for target in item.targets:
            reason = _fault(skill.scorer, skill.labels, item, target)
            if reason is not None:
                yield Fault(file="items.jsonl", reason=f"item {item.id!r}: {reason}")


def _fault(name: ScorerName, labels: tuple[str, ...], item: Item, target: str) -> str | None:
    if name == "regex":
        return fault_of_pattern(target)
    score = scorer_for(name, labels).score(target, item)
    if score.value == 1.0:
        return None
    return f"scorer {name!r} would not accept its target {target!r}: {score.explanation}"
