"""What a client may write as `model`."""

import pytest

from rag_adapt.core.errors import ModelNotFoundError
from rag_adapt.serving.names import ROUTES, RouteName, parse, shown


@pytest.mark.parametrize("route", ROUTES)
def test_a_route_of_a_skill_is_read_and_written_alike(route: str) -> None:
    name = f"route:{route}/orders"
    assert parse(name) == RouteName(route=route, subject="orders")
    assert str(parse(name)) == name


def test_an_adapters_version_may_stand_for_its_skill() -> None:
    parsed = parse("route:lora/orders@0123456789ab")
    assert parsed is not None
    assert parsed.subject == "orders@0123456789ab"


@pytest.mark.parametrize("name", ["default", "gpt-4o", "router:x/y", ""])
def test_what_does_not_begin_with_route_is_the_engines_model(name: str) -> None:
    assert parse(name) is None


@pytest.mark.parametrize("name", ["route:", "route:prompt", "route:prompt/", "route:oracle/orders"])
def test_what_begins_with_route_and_names_none_is_refused(name: str) -> None:
    with pytest.raises(ModelNotFoundError, match="names no route") as caught:
        parse(name)
    assert "route:rag+lora/SKILL" in caught.value.hint


def test_a_long_name_is_cut_before_it_is_repeated() -> None:
    assert len(shown("x" * 10_000)) < 100
