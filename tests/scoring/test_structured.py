"""Scorers of JSON: equality as JSON means it, partial credit by field."""

import json
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from rag_adapt.core.types import Item
from rag_adapt.scoring.structured import Json, JsonFields, NotJsonError, parse_json, same_json

VALUES: st.SearchStrategy[Any] = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=8),
    lambda inner: (
        st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=4), inner, max_size=3)
    ),
    max_leaves=8,
)


def item(*targets: str) -> Item:
    return Item(id="i", input="?", targets=targets, split="test", cluster="i")


@pytest.mark.parametrize(
    ("output", "target", "value"),
    [
        ('{"b": 2, "a": 1}', '{"a": 1.0, "b": 2}', 1.0),
        ('```json\n{"a": 1}\n```', '{"a": 1}', 1.0),
        ('Here it is: {"a": 1}', '{"a": 1}', 0.0),
        ('{"a": true}', '{"a": 1}', 0.0),
        ('{"a": "x  y"}', '{"a": "x y"}', 1.0),
        ('{"a": "X"}', '{"a": "x"}', 0.0),
        ("[1, 2]", "[2, 1]", 0.0),
        ("[1, [2]]", "[1, [2]]", 1.0),
        ("null", "null", 1.0),
        ('{"a": NaN}', '{"a": 1}', 0.0),
        ('{"a": 1, "a": 1}', '{"a": 1}', 0.0),
        ("[" * 200_000, "[]", 0.0),
        ("9" * 6000, "9", 0.0),
        ('{"a": 1}', "not json", None),
    ],
)
def test_json_is_right_or_wrong_as_a_whole(output: str, target: str, value: float | None) -> None:
    assert Json().score(output, item(target)).value == value


def test_json_takes_any_alias() -> None:
    assert Json().score("[2]", item("[1]", "[2]")).value == 1.0


@pytest.mark.parametrize(
    ("output", "target", "value", "named"),
    [
        ('{"a": 1, "b": 2}', '{"a": 1, "b": 2}', 1.0, "all fields right"),
        ('{"a": 1, "b": 3}', '{"a": 1, "b": 2}', 0.5, "b"),
        ('{"a": 1}', '{"a": 1, "b": 2}', 0.5, "b"),
        ('{"a": 1, "b": 2, "c": 3, "d": 4}', '{"a": 1, "b": 2}', 0.5, "c, d"),
        ('{"a": {"x": [1]}}', '{"a": {"x": [1]}}', 1.0, "all fields right"),
        ("{}", "{}", 1.0, "all fields right"),
        ("[1]", '{"a": 1}', 0.0, "no JSON object"),
        ("prose", '{"a": 1}', 0.0, "not JSON"),
        ("{}", "[1]", None, "no fields"),
    ],
)
def test_json_fields_counts_fields_of_both_sides(
    output: str, target: str, value: float | None, named: str
) -> None:
    score = JsonFields().score(output, item(target))

    assert score.value == value
    assert named in score.explanation


@settings(deadline=None)
@given(value=VALUES)
def test_any_json_equals_itself_however_it_is_spaced(value: Any) -> None:
    spaced = json.dumps(value, indent=3)

    assert Json().score(spaced, item(json.dumps(value))).value == 1.0
    assert same_json(parse_json(spaced), value)


@settings(deadline=None)
@given(text=st.text(max_size=40))
def test_no_text_makes_the_scorers_fail(text: str) -> None:
    assert Json().score(text, item('{"a": 1}')).value == 0.0
    assert JsonFields().score(text, item('{"a": 1}')).value == 0.0


def test_what_is_not_json_is_told() -> None:
    with pytest.raises(NotJsonError, match="Infinity is not JSON"):
        parse_json("Infinity")
