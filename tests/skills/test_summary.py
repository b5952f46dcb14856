"""Counts and warnings of a skill, and the list that shows faulty skills too."""

from pathlib import Path

from rag_adapt.skills.load import load_skill
from rag_adapt.skills.summary import entries, summarise
from tests.skills.folders import CONTEXT, HEAD, LINES, PROMPT, changed, skill_folder


def test_splits_are_counted_and_measured(tmp_path: Path) -> None:
    folder = skill_folder(
        tmp_path,
        lines=changed(3, gold=[{"document": "a.md", "start": 0, "end": 1}]),
        templates={"prompt": PROMPT, "context": CONTEXT},
        documents={"a.md": "x"},
    )

    summary = summarise(load_skill(folder))

    train, dev, test = summary.splits
    assert (train.items, train.clusters, train.median_input, train.longest_input) == (2, 2, 4, 4)
    assert (dev.items, dev.longest_target) == (1, 3)
    assert (test.items, test.with_gold) == (1, 1)
    assert summary.documents == 1
    assert summary.warnings == ("test has 1 clusters; below 50 intervals are wide",)


def test_what_may_hurt_a_measurement_is_warned_of(tmp_path: Path) -> None:
    twin = {"id": "e", "input": "SKY!", "targets": ["blue"], "split": "dev", "cluster": "5"}
    folder = skill_folder(tmp_path, lines=[LINES[0], LINES[3], twin])
    bare = skill_folder(tmp_path / "bare", lines=[LINES[3]])

    warned = summarise(load_skill(folder)).warnings
    assert "nearly identical inputs in different splits: 1 items, 1 pairs" in warned
    assert "no training item for 1 labels: blue" in warned
    assert "there are no training items: lora and few-shot cannot be measured" in (
        summarise(load_skill(bare)).warnings
    )
    assert "there are no dev items: nothing can be tuned without touching test" in (
        summarise(load_skill(bare)).warnings
    )


def test_faulty_skills_are_listed_with_their_first_fault(tmp_path: Path) -> None:
    skills = tmp_path / "skills"
    skill_folder(skills)
    skill_folder(skills, head={**HEAD, "name": "broken", "task": "x", "scorer": "y"})
    skill_folder(skills, head={**HEAD, "name": "orders"})

    listed = {(entry.name, entry.origin): entry for entry in entries(tmp_path)}

    assert listed["colours", "imported"].skill is not None
    assert listed["colours", "imported"].fault is None
    assert listed["orders", "bundled"].skill is not None
    broken = listed["broken", "imported"].fault
    assert broken is not None
    assert broken.startswith("skill.toml:4: task:")
    assert broken.endswith("(and 1 more)")
    assert listed["orders", "imported"].fault == "its name belongs to a bundled skill: rename it"
