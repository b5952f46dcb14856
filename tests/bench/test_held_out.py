"""Readings take dev items alone, and an answer that never ends is an error."""

import asyncio
from collections.abc import AsyncGenerator

import pytest

from rag_adapt.bench.held_out import Condition, Reading, read, say
from rag_adapt.core.errors import EngineError, SkillError
from rag_adapt.core.types import Call, Delta, Sampling
from tests.bench.probing import Bent, skill


class Endless(Bent):
    """Speaks and never says that it is done."""

    async def generate(self, call: Call) -> AsyncGenerator[Delta, None]:
        yield Delta(text="and")


@pytest.mark.parametrize("split", ["train", "test"])
def test_items_of_other_splits_are_refused(split: str) -> None:
    given = skill()
    items = given.training_items if split == "train" else given.test_items
    under = Condition(template=given.prompt)
    with pytest.raises(SkillError, match=f"of the '{split}' split"):
        asyncio.run(read(given, items[:1], under, engine=Bent(), answers=False))


def test_an_answer_without_an_end_is_an_error() -> None:
    with pytest.raises(EngineError, match="without an outcome"):
        asyncio.run(say(Endless(), Call(messages=(), sampling=Sampling())))


def test_what_was_not_asked_for_has_no_score() -> None:
    given = skill()
    under = Condition(template=given.prompt)
    found = asyncio.run(read(given, given.dev_items[:3], under, engine=Bent(), answers=False))
    assert found.score is None
    assert found.tokens == (1, 1, 1)


def test_bits_are_per_token_over_all_items() -> None:
    items = skill().dev_items[:2]
    found = Reading(items=items, bits=(6.0, 1.0), tokens=(1, 6), scores=(1.0, None))
    assert (found.bits_per_token, found.score) == (1.0, 1.0)
