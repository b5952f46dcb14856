"""Continuations of one prompt are computed together, and worth what they are worth alone."""

import asyncio
import threading
from collections import deque
from collections.abc import Iterator
from concurrent.futures import Future
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from rag_adapt.engines.embedded import EmbeddedEngine
from rag_adapt.engines.embedded_scores import LOGITS, Scored, batches, families, take
from tests.engines.embedded_parts import call, load

LABELS = [f"label {name}" for name in ("one", "two", "three", "four and more", "5", "six")]


def scored(prompt: int, *, length: int, count: int = 1, adapter: str | None = None) -> Scored:
    """A continuation of the prompt with this number, `length` tokens long."""
    tokens = np.array([prompt] * length + [0] * count)
    return Scored(tokens=tokens, count=count, adapter=adapter, future=Future())


@pytest.fixture
def engine(tiny_model: Path) -> Iterator[EmbeddedEngine]:
    engine = EmbeddedEngine(load(tiny_model))
    yield engine
    engine.close()


def test_labels_of_one_prompt_cost_the_prompt_once(engine: EmbeddedEngine) -> None:
    asked = [call(f"question number {n}? " * 3, system="Choose one.").messages for n in range(4)]
    computed: list[int] = []
    watched = engine.loaded.model.get_input_embeddings()

    async def one_by_one() -> list[Any]:
        return [await engine.logprobs(m, label) for m in asked for label in LABELS]

    async def together() -> list[Any]:
        """All of them, waiting for the engine before it begins."""
        held, begin = threading.Event(), threading.Event()

        def hold() -> None:
            held.set()
            begin.wait(60)

        engine.thread.do(hold)
        assert held.wait(60)
        tasks = [asyncio.create_task(engine.logprobs(m, i)) for m in asked for i in LABELS]
        await asyncio.sleep(0)
        begin.set()
        return list(await asyncio.gather(*tasks))

    alone = asyncio.run(one_by_one())
    engine.thread.do(engine.thread.prefixes.clear).result()
    hook = watched.register_forward_hook(lambda _, ids, __: computed.append(ids[0].numel()))
    found = asyncio.run(together())
    hook.remove()
    for one, other in zip(alone, found, strict=True):
        assert one.token_ids == other.token_ids
        assert torch.allclose(torch.tensor(one.logprobs), torch.tensor(other.logprobs), atol=1e-4)
    longest = max(len(one.token_ids) for one in alone)
    prompts = sum(len(engine.loaded.chat.render(messages)) for messages in asked)
    answers = len(asked) * len(LABELS) * 2 * (longest + 1)
    assert sum(computed) <= prompts + answers < len(LABELS) * prompts


def test_whole_prompts_are_taken_the_oldest_and_those_of_its_length() -> None:
    first = [scored(1, length=10) for _ in range(3)]
    long = [scored(2, length=40) for _ in range(3)]
    like = [scored(3, length=11) for _ in range(3)]
    queue = deque([first[0], *long, *like, *first[1:]])
    assert take(queue, rows=7, room=1000) == [*first, *like]
    assert list(queue) == long


@pytest.mark.parametrize(("rows", "room"), [(2, 1000), (100, 15)], ids=["rows", "room"])
def test_a_prompt_of_many_labels_is_taken_whole_and_alone(rows: int, room: int) -> None:
    many, other = [scored(1, length=10) for _ in range(5)], scored(2, length=10)
    queue = deque([*many, other])
    assert take(queue, rows=rows, room=room) == many
    assert list(queue) == [other]


def test_another_adapter_is_another_prompt() -> None:
    plain, adapted = scored(1, length=5), scored(1, length=5, adapter="a@1")
    assert list(families([plain, adapted]).values()) == [[plain], [adapted]]


def test_batches_keep_within_rows_logits_and_room() -> None:
    group = [scored(1, length=9, count=1) for _ in range(10)]
    assert [len(part) for part in batches(group, rows=4, room=1000)] == [4, 4, 2]
    assert [len(part) for part in batches(group, rows=4, room=25)] == [2] * 5
    assert [len(part) for part in batches(group, rows=4, room=1)] == [1] * 10
    wide = [scored(1, length=9, count=LOGITS // 3) for _ in range(4)]
    assert [len(part) for part in batches(wide, rows=4, room=10_000)] == [2, 2]
