"""Slots are never exceeded and nobody waits for ever."""

import asyncio
from collections import Counter
from contextlib import AsyncExitStack

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from rag_adapt.engines.admission import Admission


def test_as_many_requests_as_come_share_the_slot_of_their_adapter() -> None:
    async def scene() -> dict[str, int]:
        admission = Admission(1)
        async with admission.turn("a"), admission.turn("a"), admission.turn("a"):
            return admission.inside

    assert asyncio.run(scene()) == {"a": 3}


def test_another_adapter_waits_until_a_slot_is_free() -> None:
    async def scene() -> list[str]:
        admission, seen = Admission(1), []

        async def ask(name: str) -> None:
            async with admission.turn(name):
                seen.append(name)

        async with admission.turn("a"):
            waiting = asyncio.create_task(ask("b"))
            await asyncio.sleep(0.01)
            seen.append("a still inside")
        await waiting
        return seen

    assert asyncio.run(scene()) == ["a still inside", "b"]


def test_an_adapter_that_is_always_asked_for_lets_others_have_their_turn() -> None:
    async def scene() -> int:
        admission = Admission(1, quantum=4)
        order: list[str] = []

        async def ask(name: str) -> None:
            async with admission.turn(name):
                order.append(name)
                await asyncio.sleep(0.001)

        async with asyncio.TaskGroup() as group:
            for _ in range(6):
                group.create_task(ask("busy"))
            await asyncio.sleep(0)
            group.create_task(ask("rare"))
            for _ in range(60):
                group.create_task(ask("busy"))
        assert Counter(order) == {"busy": 66, "rare": 1}
        return order.index("rare")

    assert asyncio.run(scene()) <= 10


def test_a_client_that_leaves_the_queue_does_not_hold_it_up() -> None:
    async def scene() -> list[str]:
        admission, seen = Admission(1), []

        async def ask(name: str) -> None:
            async with admission.turn(name):
                seen.append(name)

        async with AsyncExitStack() as held:
            await held.enter_async_context(admission.turn("a"))
            gone = asyncio.create_task(ask("gone"))
            stays = asyncio.create_task(ask("stays"))
            await asyncio.sleep(0.01)
            gone.cancel()
            await asyncio.wait({gone})
        await stays
        assert admission.inside == {}
        return seen

    assert asyncio.run(scene()) == ["stays"]


def test_a_client_that_leaves_in_the_moment_it_is_let_in_gives_its_slot_back() -> None:
    async def scene() -> dict[str, int]:
        admission = Admission(1)

        async def ask() -> None:
            async with admission.turn("b"):
                pytest.fail("it had left")

        async with admission.turn("a"):
            task = asyncio.create_task(ask())
            await asyncio.sleep(0.01)
        task.cancel()  # its place is granted, and it has not run since
        await asyncio.wait({task})
        return admission.inside

    assert asyncio.run(scene()) == {}


def test_a_queue_of_one_name_alone_goes_on_while_that_name_is_inside() -> None:
    async def scene() -> int:
        admission, done = Admission(1, quantum=2), 0
        release = asyncio.Event()

        async def ask(name: str) -> None:
            nonlocal done
            async with admission.turn(name):
                done += 1
                await release.wait()

        first = asyncio.create_task(ask("a"))
        await asyncio.sleep(0)
        other = asyncio.create_task(ask("b"))
        await asyncio.sleep(0)
        more = [asyncio.create_task(ask("a")) for _ in range(5)]
        await asyncio.sleep(0.01)
        other.cancel()
        await asyncio.sleep(0.01)
        inside = done
        release.set()
        await asyncio.gather(first, *more)
        return inside

    assert asyncio.run(scene()) == 6


@settings(max_examples=40, deadline=None)
@given(
    names=st.lists(st.sampled_from("abcdef"), min_size=1, max_size=60),
    slots=st.integers(1, 4),
    leave=st.sets(st.integers(0, 59)),
)
def test_whatever_comes_the_slots_hold_and_everybody_gets_in(
    names: list[str], slots: int, leave: set[int]
) -> None:
    async def scene() -> None:
        admission, most, served = Admission(slots, quantum=3), 0, 0

        async def ask(name: str) -> None:
            nonlocal most, served
            async with admission.turn(name):
                most = max(most, len(admission.inside))
                await asyncio.sleep(0)
                served += 1

        tasks = []
        for name in names:
            tasks.append(asyncio.create_task(ask(name)))
            await asyncio.sleep(0)
        gone = [task for place, task in enumerate(tasks) if place in leave and task.cancel()]
        results = await asyncio.gather(*tasks, return_exceptions=True)
        left = sum(isinstance(result, asyncio.CancelledError) for result in results)
        assert left <= len(gone)
        assert most <= slots
        assert served == len(names) - left
        assert admission.inside == {}

    asyncio.run(asyncio.wait_for(scene(), 60))
