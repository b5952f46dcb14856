"""Versions come loaded and proven, go when nobody uses them, and come back after a restart."""

import asyncio
from collections import Counter
from collections.abc import Awaitable, Callable

import pytest

from rag_adapt.core.errors import AdapterError, EngineError, NotProvenError
from rag_adapt.core.types import AdapterRef
from rag_adapt.engines.lifecycle import REFUSED_SECONDS, Lifecycle, Swap


class Server:
    """A backend in memory, and a note of all it was told."""

    def __init__(self) -> None:
        self.held: set[str] = set()
        self.told: list[str] = []
        self.down = False
        self.using: Counter[str] = Counter()
        self.torn: list[str] = []

    async def registered(self) -> frozenset[str]:
        self._answer()
        return frozenset(self.held)

    async def load(self, ref: AdapterRef) -> None:
        self._answer()
        await asyncio.sleep(0)
        self.told.append(f"load {ref.version}")
        self.held.add(ref.version)

    async def unload(self, version: str) -> None:
        self._answer()
        if self.using[version]:
            self.torn.append(version)
        self.told.append(f"unload {version}")
        self.held.discard(version)

    def _answer(self) -> None:
        if self.down:
            raise EngineError("the server does not answer", hint="Start it.")


def lookup(version: str) -> AdapterRef:
    if version.startswith("absent"):
        raise AdapterError(f"there is no adapter {version!r}", hint="List them.")
    return AdapterRef(version=version, path=f"/adapters/{version}", rank=8)


async def proven(version: str) -> None:
    if version.startswith("bad"):
        raise NotProvenError(f"{version} does nothing", hint="Train it again.")


def lifecycle(
    server: Server, *, limit: int = 4, prove: Callable[[str], Awaitable[None]] = proven
) -> Lifecycle:
    return Lifecycle(server, lookup, prove, limit=limit)


def test_many_who_ask_at_once_load_a_version_once() -> None:
    async def scene() -> None:
        adapters = lifecycle(server)
        refs = await asyncio.gather(*(adapters.ensure_loaded("a@1") for _ in range(50)))
        assert {ref.version for ref in refs} == {"a@1"}

    server = Server()
    asyncio.run(scene())
    assert server.told == ["load a@1"]


def test_a_version_that_is_not_proven_is_unloaded_and_not_tried_again_at_once() -> None:
    async def scene() -> None:
        now = 0.0
        adapters = Lifecycle(server, lookup, proven, clock=lambda: now)
        for _ in range(3):
            with pytest.raises(NotProvenError, match="bad@1 does nothing"):
                await adapters.ensure_loaded("bad@1")
        assert adapters.resident() == ()
        assert server.told == ["load bad@1", "unload bad@1"]
        now = REFUSED_SECONDS + 1
        with pytest.raises(NotProvenError):
            await adapters.ensure_loaded("bad@1")

    server = Server()
    asyncio.run(scene())
    assert server.told == ["load bad@1", "unload bad@1"] * 2
    assert not server.held


def test_what_does_not_exist_is_told_to_everybody_who_waits() -> None:
    async def scene() -> None:
        adapters = lifecycle(server)
        results = await asyncio.gather(
            *(adapters.ensure_loaded("absent@1") for _ in range(5)), return_exceptions=True
        )
        assert all(isinstance(result, AdapterError) for result in results)

    server = Server()
    asyncio.run(scene())
    assert server.told == []


def test_the_least_recently_used_version_goes_and_pinned_ones_stay() -> None:
    async def scene() -> list[str]:
        adapters = lifecycle(server, limit=3)
        await adapters.pin("pinned@1")
        for version in ("a@1", "b@1", "a@1", "c@1"):
            await adapters.ensure_loaded(version)
        await asyncio.sleep(0.01)
        return sorted(row.version for row in adapters.resident())

    server = Server()
    assert asyncio.run(scene()) == ["a@1", "c@1", "pinned@1"]
    assert server.held == {"a@1", "c@1", "pinned@1"}


def test_a_version_in_use_is_not_unloaded_before_its_request_has_ended() -> None:
    async def scene() -> None:
        adapters = lifecycle(server, limit=1)
        async with adapters.using("a@1"):
            await adapters.ensure_loaded("b@1")  # over the limit rather than under a request
            leaving = asyncio.create_task(adapters.unload("a@1"))
            await asyncio.sleep(0.01)
            assert "unload a@1" not in server.told
            assert "a@1" not in [row.version for row in adapters.resident()]
        await leaving
        assert "unload a@1" in server.told

    server = Server()
    asyncio.run(scene())


def test_who_comes_while_a_version_leaves_waits_and_gets_it_back() -> None:
    async def scene() -> None:
        adapters = lifecycle(server)
        async with adapters.using("a@1"):
            leaving = asyncio.create_task(adapters.unload("a@1"))
            await asyncio.sleep(0)
            coming = asyncio.create_task(adapters.ensure_loaded("a@1"))
            await asyncio.sleep(0.01)
            assert not coming.done()
        await asyncio.gather(leaving, coming)
        assert server.told == ["load a@1", "unload a@1", "load a@1"]

    server = Server()
    asyncio.run(scene())


def test_after_a_restart_pinned_versions_are_back_and_others_come_when_asked_for() -> None:
    async def scene() -> None:
        adapters = lifecycle(server)
        await adapters.pin("pinned@1")
        await adapters.ensure_loaded("a@1")
        server.held.clear()
        assert sorted(await adapters.reconcile()) == ["a@1", "pinned@1"]
        assert server.held == {"pinned@1"}
        await adapters.ensure_loaded("a@1")
        assert server.held == {"a@1", "pinned@1"}
        assert await adapters.reconcile() == ()

    server = Server()
    asyncio.run(scene())


def test_a_pinned_version_that_is_no_more_is_not_tried_for_ever() -> None:
    async def scene() -> None:
        gone = False

        def find(version: str) -> AdapterRef:
            return lookup("absent@1" if gone else version)

        adapters = Lifecycle(server, find, proven)
        await adapters.pin("a@1")
        server.held.clear()
        gone = True
        assert await adapters.reconcile() == ("a@1",)
        assert await adapters.reconcile() == ()
        with pytest.raises(AdapterError, match="there is no adapter"):
            await adapters.ensure_loaded("a@1")

    server = Server()
    asyncio.run(scene())


def test_unloading_while_the_server_is_down_leaves_nothing_behind() -> None:
    async def scene() -> None:
        adapters = lifecycle(server)
        await adapters.ensure_loaded("a@1")
        server.down = True
        await adapters.unload("a@1")
        assert adapters.resident() == ()
        with pytest.raises(EngineError):
            await adapters.ensure_loaded("a@1")
        server.down, server.held = False, set()
        assert (await adapters.ensure_loaded("a@1")).version == "a@1"

    server = Server()
    asyncio.run(scene())


def test_a_client_that_leaves_while_its_version_is_loaded_does_not_stop_the_load() -> None:
    async def scene() -> None:
        ready = asyncio.Event()

        async def prove(version: str) -> None:
            await ready.wait()

        adapters = lifecycle(server, prove=prove)
        first = asyncio.create_task(adapters.ensure_loaded("a@1"))
        second = asyncio.create_task(adapters.ensure_loaded("a@1"))
        await asyncio.sleep(0.02)
        first.cancel()
        ready.set()
        assert (await second).version == "a@1"

    server = Server()
    asyncio.run(scene())
    assert server.told == ["load a@1"]


def test_swaps_under_load_never_tear_a_request() -> None:
    async def scene() -> int:
        adapters, answered = lifecycle(server, limit=2), 0

        async def client(number: int) -> None:
            nonlocal answered
            for turn in range(20):
                version = f"{'bad' if (number + turn) % 7 == 0 else 'v'}{(number + turn) % 5}@1"
                try:
                    async with adapters.using(version):
                        assert version in server.held
                        server.using[version] += 1
                        await asyncio.sleep(0.0005)
                        server.using[version] -= 1
                        answered += 1
                except NotProvenError:
                    assert version.startswith("bad")

        await asyncio.gather(*(client(number) for number in range(16)))
        return answered

    server = Server()
    assert asyncio.run(asyncio.wait_for(scene(), 20)) > 200
    assert server.torn == []


def test_a_pin_is_undone() -> None:
    async def scene() -> None:
        adapters = lifecycle(server, limit=1)
        await adapters.pin("a@1")
        assert adapters.resident()[0].pinned
        adapters.unpin("a@1")
        await adapters.ensure_loaded("b@1")
        await asyncio.sleep(0.01)
        assert server.held == {"b@1"}

    server = Server()
    asyncio.run(scene())


class Counted:
    """Notes what it is told of adapters."""

    def __init__(self) -> None:
        self.told: Counter[str] = Counter()

    def swap(self, *, adapter: str, kind: Swap, succeeded: bool) -> None:
        self.told[f"{kind} {adapter}{'' if succeeded else ' failed'}"] += 1

    def proof_failed(self, *, adapter: str) -> None:
        self.told[f"unproven {adapter}"] += 1


def watched(server: Server, *, limit: int = 4) -> tuple[Lifecycle, Counter[str]]:
    adapters, counted = lifecycle(server, limit=limit), Counted()
    adapters.watcher = counted
    return adapters, counted.told


def test_what_the_least_recently_used_ones_make_room_for_is_counted_every_time() -> None:
    async def scene() -> None:
        for version in ("a@1", "b@1", "a@1", "a@1"):
            await adapters.ensure_loaded(version)
            await asyncio.sleep(0.01)

    adapters, told = watched(Server(), limit=1)
    asyncio.run(scene())
    assert told == {"load a@1": 2, "load b@1": 1, "eviction a@1": 1, "eviction b@1": 1}


def test_loads_that_fail_are_counted_and_names_that_lead_nowhere_are_not() -> None:
    async def scene() -> None:
        for version in ("bad@1", "bad@1", "absent@1"):
            with pytest.raises((NotProvenError, AdapterError)):
                await adapters.ensure_loaded(version)
        server.down = True
        with pytest.raises(EngineError):
            await adapters.ensure_loaded("a@1")

    server = Server()
    adapters, told = watched(server)
    asyncio.run(scene())
    assert told == {"load bad@1 failed": 1, "unproven bad@1": 1, "load a@1 failed": 1}


def test_what_leaves_on_demand_and_what_a_restart_took_are_told_apart() -> None:
    async def scene() -> None:
        for version in ("a@1", "b@1", "c@1"):
            await adapters.ensure_loaded(version)
        told.clear()
        await adapters.unload("a@1")
        server.held.discard("b@1")
        await adapters.reconcile()
        server.down = True
        await adapters.unload("c@1")

    server = Server()
    adapters, told = watched(server)
    asyncio.run(scene())
    assert told == {"unload a@1": 1, "loss b@1": 1, "unload c@1 failed": 1}
