"""A plan that cannot be trained, or would not be served, is refused before weights are loaded."""

from pathlib import Path
from typing import Any

import pytest

from rag_adapt.adapters.examples import training_rows
from rag_adapt.adapters.plan import Base, plan_for
from rag_adapt.core.errors import AdapterError
from rag_adapt.core.types import Passage
from rag_adapt.models.files import ModelFiles
from rag_adapt.models.loading import has_bfloat16
from rag_adapt.skills.load import load_skill
from tests.adapters.samples import TEMPLATE, items, plan
from tests.samples import write_skill


@pytest.mark.parametrize(
    ("change", "fact"),
    [
        ({"name": "No Name"}, "'No Name' cannot name an adapter"),
        ({"rows": ()}, "nothing to train adapter 'codes' on"),
        ({"rank": 3}, "rank 3 is not one that servers accept"),
        ({"epochs": 0}, "epochs is 0"),
        ({"batch_size": 0}, "batch_size is 0"),
        ({"learning_rate": 0.0}, "learning rate 0.0 is outside"),
        ({"learning_rate": float("nan")}, "learning rate nan is outside"),
    ],
)
def test_values_out_of_range_are_refused(change: dict[str, Any], fact: str) -> None:
    with pytest.raises(AdapterError, match=fact):
        plan(**change)


def test_a_test_row_that_came_another_way_is_refused() -> None:
    (row,) = training_rows(items(1), TEMPLATE)
    smuggled = type(row)(item_id="test-9", split="test", messages=row.messages, target=row.target)
    with pytest.raises(AdapterError, match="test-9"):
        plan(rows=(smuggled,))
    with pytest.raises(AdapterError, match="test-9"):
        plan(dev=(smuggled,))


def test_steps_count_the_last_short_batch_of_every_pass() -> None:
    assert plan(count=9, batch_size=4, epochs=2).steps == 6


def test_a_skill_is_planned_by_its_prompt_template_and_labels(own_folder: Path) -> None:
    skill = load_skill(write_skill(own_folder / "colours"))
    made = plan_for(skill, skill.items_of("train"), rank=4)
    assert made.name == "colours"
    assert made.alpha == 8
    assert made.template_hash == skill.prompt.hash
    assert made.rows[0].messages[0].content == "Answer with one of: red, blue."
    assert [row.split for row in made.dev] == ["dev", "dev"]
    assert made.with_context is False


def test_with_passages_the_context_template_is_trained(own_folder: Path) -> None:
    skill = load_skill(write_skill(own_folder / "colours"))
    passage = Passage(document="colours.md", start=0, end=9, text="# Colours")
    found = {"train-0": (passage,), "dev-0": (passage,)}
    made = plan_for(skill, skill.items_of("train")[:1], passages=found)
    assert made.with_context is True
    assert skill.context is not None
    assert made.template_hash == skill.context.hash
    assert "# Colours" in made.rows[0].messages[-1].content
    assert "# Colours" in made.dev[0].messages[-1].content


def test_the_base_computes_in_what_the_machine_has(tmp_path: Path) -> None:
    files = ModelFiles(name="tiny", path=tmp_path, weights="b" * 64, source="folder")
    plain, exact = Base.of(files, device="cpu"), Base.of(files, device="cpu", deterministic=True)
    assert plain.dtype == ("bfloat16" if has_bfloat16("cpu") else "float32")
    assert (exact.dtype, exact.device, exact.weights_hash) == ("float32", "cpu", "b" * 64)
