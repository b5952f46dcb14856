"""Targets that their own scorer would refuse are found before a run."""

from pathlib import Path

import pytest

from rag_adapt.core.errors import SkillError
from rag_adapt.scoring.targets import checked_skill, unfit_targets
from rag_adapt.skills.faults import Fault
from rag_adapt.skills.load import load_skill
from tests.skills.folders import HEAD, changed, skill_folder

FREE = {**HEAD, "task": "question", "labels": []}
PROMPT = {"prompt": 'system = ""\nuser = "{input}"\n'}


def test_fit_targets_have_no_faults(tmp_path: Path) -> None:
    assert unfit_targets(load_skill(skill_folder(tmp_path))) == ()


@pytest.mark.parametrize(
    ("scorer", "target", "reason"),
    [
        ("number", "seven", "no target is a number"),
        ("json", "{", "is not JSON"),
        ("json-fields", "[1]", "has no fields"),
        ("regex", "(", "is not a pattern"),
    ],
)
def test_an_unfit_target_is_told_with_its_item(
    tmp_path: Path, scorer: str, target: str, reason: str
) -> None:
    fit = {"number": "7", "json": "{}", "json-fields": "{}", "regex": "x+"}[scorer]
    lines = [{**line, "targets": [fit]} for line in changed(0)]
    lines[3]["targets"] = [target]
    folder = skill_folder(tmp_path, head={**FREE, "scorer": scorer}, lines=lines, templates=PROMPT)

    faults = unfit_targets(load_skill(folder))

    assert len(faults) == 1
    assert "item 'd'" in str(faults[0])
    assert reason in str(faults[0])


def test_checking_reports_every_fault_and_then_refuses(tmp_path: Path) -> None:
    told: list[Fault] = []
    folder = skill_folder(tmp_path, lines=changed(0, targets=["green"]))

    with pytest.raises(SkillError, match="has 1 fault:"):
        checked_skill(folder, report=told.append)

    assert [fault.line for fault in told] == [1]


def test_checking_a_good_skill_gives_it(tmp_path: Path) -> None:
    told: list[Fault] = []

    assert checked_skill(skill_folder(tmp_path), report=told.append).name == "colours"
    assert told == []
