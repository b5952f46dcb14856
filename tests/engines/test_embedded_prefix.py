"""Which beginnings are computed apart, and how long they are kept."""

import numpy as np
import pytest
import torch

from rag_adapt.engines.embedded_kv import Prefix
from rag_adapt.engines.embedded_prefix import SHORTEST, PrefixStore, common

LONG = np.arange(100)


def prompt(shared: int, own: int, mark: int) -> np.ndarray:
    return np.concatenate([LONG[:shared], np.full(own, 1000 + mark)])


def prefix(tokens: int) -> Prefix:
    """Keys and values of 8 bytes per token."""
    return Prefix([(torch.zeros(1, tokens, 1), torch.zeros(1, tokens, 1))])


@pytest.mark.parametrize(
    ("one", "other", "expected"),
    [([1, 2, 3], [1, 2, 4], 2), ([1, 2], [1, 2, 3], 2), ([1], [2], 0), ([], [1], 0)],
)
def test_common_beginnings_are_counted(one: list[int], other: list[int], expected: int) -> None:
    assert common(np.array(one), np.array(other)) == expected


def test_the_beginning_that_saves_most_is_computed_apart() -> None:
    store = PrefixStore(10_000)
    prompts = [prompt(50, 5, mark) for mark in range(10)]
    near = np.concatenate([prompt(50, 5, 0), [7, 7]])
    for tokens in (*prompts, near):
        store.note(None, tokens)
    assert store.worth(None, prompts[0], 54) == 50


def test_a_beginning_that_nobody_shares_or_that_is_short_is_not_worth_it() -> None:
    store = PrefixStore(10_000)
    tokens = [prompt(SHORTEST - 1, 9, mark) for mark in range(5)]
    for one in tokens:
        store.note(None, one)
    store.note("other", prompt(60, 1, 1))
    store.note("other", prompt(60, 1, 2))
    assert store.worth(None, tokens[0], 20) == 0
    assert store.worth(None, prompt(60, 1, 3), 60) == 0


def test_a_kept_beginning_is_found_and_not_computed_again() -> None:
    store = PrefixStore(10_000)
    prompts = [prompt(50, 5, mark) for mark in range(4)]
    for tokens in prompts:
        store.note("a", tokens)
    store.add("a", LONG[:50], prefix(50))
    found = store.longest("a", prompts[0], 54)
    assert found is not None
    assert found.length == 50
    assert store.worth("a", prompts[0], 54) == 0
    assert store.longest("a", prompts[0], 49) is None
    assert store.longest(None, prompts[0], 54) is None


def test_the_longest_kept_beginning_is_used() -> None:
    store = PrefixStore(10_000)
    store.add(None, LONG[:20], prefix(20))
    store.add(None, LONG[:40], prefix(40))
    found = store.longest(None, LONG, 99)
    assert found is not None
    assert found.length == 40


def test_the_least_recently_used_beginning_goes_first() -> None:
    store = PrefixStore(2 * prefix(30).bytes)
    other = LONG[::-1].copy()
    store.add(None, LONG[:30], prefix(30))
    store.add(None, other[:30], prefix(30))
    store.longest(None, LONG, 99)
    store.add("a", LONG[:30], prefix(30))
    assert store.longest(None, LONG, 99) is not None
    assert store.longest(None, other, 99) is None
    assert store.bytes <= 2 * prefix(30).bytes


def test_what_was_computed_with_an_adapter_goes_with_it() -> None:
    store = PrefixStore(10_000)
    store.add("a", LONG[:30], prefix(30))
    store.add("b", LONG[:30], prefix(30))
    store.forget("a")
    assert store.longest("a", LONG, 99) is None
    assert len(store) == 1
    store.clear()
    assert len(store) == 0
