"""A skill in memory: the door that keeps test items from trainers."""

from pathlib import Path

import pytest

from rag_adapt.core.errors import SkillError
from rag_adapt.skills.load import load_skill
from rag_adapt.skills.skill import only_training
from tests.skills.folders import skill_folder


def test_training_items_pass_the_door(tmp_path: Path) -> None:
    skill = load_skill(skill_folder(tmp_path))

    assert only_training(skill.training_items, purpose="the trainer") == skill.training_items


@pytest.mark.parametrize("split", ["dev", "test"])
def test_other_items_are_refused_at_the_door(tmp_path: Path, split: str) -> None:
    skill = load_skill(skill_folder(tmp_path))
    held = [item for item in skill.items if item.split == split]

    with pytest.raises(SkillError, match=rf"the trainer was handed item '.' of the '{split}'"):
        only_training([*skill.training_items, *held], purpose="the trainer")


def test_the_splits_partition_the_items(tmp_path: Path) -> None:
    skill = load_skill(skill_folder(tmp_path))

    parts = (*skill.training_items, *skill.dev_items, *skill.test_items)

    assert sorted(item.id for item in parts) == sorted(item.id for item in skill.items)
