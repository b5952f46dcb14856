"""A conversation begins with models that exist, or says which one does not."""

import asyncio

import pytest

from rag_adapt.core.errors import ModelNotFoundError
from rag_adapt.serving.asked import models_of
from rag_adapt.serving.service import Service
from rag_adapt.serving.traces import TraceBook
from tests.serving.parts import HOME, imported, live, service, warm


class Recommending(Service):
    """A service whose run recommends a route of every skill."""

    async def models(self) -> tuple[str, ...]:
        return (*(await super().models()), "route:auto/colours")


def test_named_models_are_taken_in_their_order() -> None:
    imported()
    named = ["route:lora/colours", "scripted", "route:lora/colours@0123456789ab"]
    assert asyncio.run(models_of(service(), named, "colours")) == tuple(named)


def test_a_skill_alone_is_asked_by_its_prompt_until_a_run_recommends_a_route() -> None:
    imported()
    assert asyncio.run(models_of(service(), None, "colours")) == ("route:prompt/colours",)
    after = Recommending(live(), traces=TraceBook(HOME), scores=None, warm=warm)
    assert asyncio.run(models_of(after, None, "colours")) == ("route:auto/colours",)


@pytest.mark.parametrize(
    ("models", "skill", "says"),
    [
        (None, "ghost", "no skill 'ghost'"),
        (["scripted"], "ghost", "no skill 'ghost'"),
        (["gpt-4o"], None, "no model 'gpt-4o'"),
        (["route:sing/colours"], None, "names no route"),
        (["route:auto/ghost"], None, "no skill 'ghost'"),
    ],
    ids=str,
)
def test_what_is_not_there_is_said(models: list[str] | None, skill: str | None, says: str) -> None:
    imported()
    with pytest.raises(ModelNotFoundError, match=says):
        asyncio.run(models_of(service(), models, skill))
