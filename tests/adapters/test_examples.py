"""No test item passes the door to training, and rows are what routes render."""

import pytest

from rag_adapt.adapters.examples import pick, training_rows
from rag_adapt.core.errors import AdapterError
from rag_adapt.core.template import Template
from rag_adapt.core.types import Draft, Passage
from tests.adapters.samples import TEMPLATE, items


def test_a_row_is_what_the_route_sends_and_the_first_target() -> None:
    item = items(1)[0]
    (row,) = training_rows([item], TEMPLATE)
    assert row.messages == TEMPLATE.render(Draft(item_id=item.id, input=item.input))
    assert (row.item_id, row.split, row.target) == ("train-0", "train", "XQ7")


def test_labels_and_passages_reach_the_template() -> None:
    template = Template(system="One of {labels}.", user="{context}\n{input}")
    passage = Passage(document="a.md", start=0, end=4, text="Here")
    rows = training_rows(items(2), template, labels=("x", "y"), passages={"train-0": (passage,)})
    assert rows[0].messages[0].content == "One of x, y."
    assert rows[0].messages[1].content == "[1] <data>Here</data>\nword 0"
    assert rows[1].messages[1].content == "(no passages)\nword 1"


def test_a_test_item_is_refused_by_name() -> None:
    with pytest.raises(AdapterError, match=r"1 test items.*'test-0'"):
        training_rows([*items(2), *items(1, "test")], TEMPLATE)


def test_smaller_choices_are_part_of_larger_ones() -> None:
    pool = items(20)
    assert pick(pool, 12, seed=3)[:5] == pick(pool, 5, seed=3)
    assert pick(pool, 5, seed=3) != pick(pool, 5, seed=4)
    assert sorted(item.id for item in pick(pool, None, seed=3)) == sorted(i.id for i in pool)
