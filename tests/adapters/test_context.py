"""Training rows see what retrieval finds, gold now and then put back, and never a test item."""

import asyncio
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import pytest

from rag_adapt.adapters.context import context_for
from rag_adapt.core.errors import AdapterError
from rag_adapt.core.types import Item, Passage
from tests.adapters.samples import items


def passage(number: int, document: str = "a.md") -> Passage:
    start = 10 * number
    return Passage(document=document, start=start, end=start + 9, text=f"text {number}")


GOLD = passage(70, "gold.md")


@dataclass
class Finds:
    """Finds the same passages for everything; fewer than asked for where it has fewer."""

    has: int = 9
    asked: list[tuple[str, int]] = field(default_factory=list)

    async def search(self, query: str, k: int) -> tuple[Passage, ...]:
        self.asked.append((query, k))
        return tuple(passage(number) for number in range(min(k, self.has)))


@dataclass
class Steps:
    seen: list[tuple[str, int, int]] = field(default_factory=list)

    def update(self, stage: str, done: int, total: int, note: str = "") -> None:
        self.seen.append((stage, done, total))


def context(
    handed: Sequence[Item], *, gold: Mapping[str, tuple[Passage, ...]] | None = None, **more: Any
) -> dict[str, tuple[Passage, ...]]:
    fields: dict[str, Any] = {"retriever": Finds(), "k": 4, "seed": 0, "gold": gold or {}, **more}
    return asyncio.run(context_for(handed, **fields))


def gold_for(handed: Sequence[Item]) -> dict[str, tuple[Passage, ...]]:
    return {item.id: (GOLD,) for item in handed}


def test_items_without_gold_see_what_retrieval_finds_in_its_order() -> None:
    retriever, steps = Finds(), Steps()

    found = context(items(2), retriever=retriever, progress=steps)

    assert found == {name: tuple(map(passage, range(4))) for name in ("train-0", "train-1")}
    assert retriever.asked == [("word 0", 4), ("word 1", 4)]
    assert steps.seen == [("context", 1, 2), ("context", 2, 2)]


def test_gold_that_was_found_changes_nothing() -> None:
    handed = items(20)
    half_inside = Passage(document="a.md", start=15, end=25, text="overlaps the second and third")

    found = context(handed, gold={i.id: (GOLD, half_inside) for i in handed}, keep_gold=1.0)

    assert set(found.values()) == {tuple(map(passage, range(4)))}


def test_missed_gold_takes_the_place_of_the_worst_distractor_at_any_rank() -> None:
    handed = items(60)

    found = context(handed, gold=gold_for(handed), keep_gold=1.0)

    places = {shown.index(GOLD) for shown in found.values()}
    assert places == {0, 1, 2, 3}
    for shown in found.values():
        assert [one for one in shown if one != GOLD] == [passage(0), passage(1), passage(2)]


def test_gold_is_put_back_in_the_asked_for_share_of_misses() -> None:
    handed = items(1000)

    shares = {
        share: sum(GOLD in shown for shown in found.values()) / 1000
        for share in (0.0, 0.8, 1.0)
        if (found := context(handed, gold=gold_for(handed), keep_gold=share))
    }

    assert shares[0.0] == 0
    assert shares[0.8] == pytest.approx(0.8, abs=0.04)
    assert shares[1.0] == 1


def test_where_little_was_found_gold_comes_on_top() -> None:
    handed = items(1)

    few = context(handed, gold=gold_for(handed), keep_gold=1.0, retriever=Finds(has=2))
    one = context(handed, gold=gold_for(handed), keep_gold=1.0, k=1)

    assert sorted(few["train-0"], key=lambda p: p.start) == [passage(0), passage(1), GOLD]
    assert one["train-0"] == (GOLD,)


def test_one_of_several_missed_gold_passages_is_chosen_by_chance() -> None:
    handed = items(40)
    other = passage(80, "gold.md")

    found = context(handed, gold={i.id: (GOLD, other) for i in handed}, keep_gold=1.0)

    shown = [tuple(one for one in each if one.document == "gold.md") for each in found.values()]
    assert set(shown) == {(GOLD,), (other,)}


def test_nested_subsets_agree_and_seeds_differ() -> None:
    handed = items(40)

    every = context(handed, gold=gold_for(handed))
    some = context(handed[5:15], gold=gold_for(handed))
    other = context(handed, gold=gold_for(handed), seed=1)

    assert some == {item.id: every[item.id] for item in handed[5:15]}
    assert other != every


@pytest.mark.parametrize(
    ("handed", "more", "said"),
    [
        ([*items(2), *items(1, "test")], {}, r"1 test items.*'test-0'"),
        (items(1), {"k": 0}, "0 passages"),
        (items(1), {"keep_gold": 1.2}, r"keep_gold 1.2 is outside \[0, 1\]"),
    ],
    ids=["test item", "no passages", "no share"],
)
def test_what_makes_no_sense_is_refused(
    handed: list[Item], more: dict[str, Any], said: str
) -> None:
    with pytest.raises(AdapterError, match=said):
        context(handed, **more)


def test_no_test_item_is_even_searched_for() -> None:
    retriever = Finds()

    with pytest.raises(AdapterError):
        context([*items(2), *items(1, "test")], retriever=retriever)

    assert retriever.asked == []
