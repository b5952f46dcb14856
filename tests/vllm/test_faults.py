"""A server that dies or hangs in the middle of an answer: told within seconds, and recovered."""

import asyncio
import contextlib
import os
import signal
import time
from collections.abc import AsyncIterator

import psutil
import pytest

from rag_adapt.core.errors import EngineError
from rag_adapt.core.protocols import Silent
from tests.vllm.scene import Ground, call_of

SOON = 20.0
"""Seconds; two looks of three seconds each, two seconds apart, on a busy machine."""


@contextlib.asynccontextmanager
async def watched(ground: Ground) -> AsyncIterator[None]:
    """Our side looks after the server, as the service does."""
    task = asyncio.create_task(ground.engine.watch())
    try:
        yield
    finally:
        task.cancel()
        await asyncio.wait({task})


async def until_well(ground: Ground) -> None:
    """Wait until our side sees the server well."""
    async with asyncio.timeout(120):
        while ground.engine.fault is not None:  # noqa: ASYNC110 - it is what a client would do
            await asyncio.sleep(0.2)


def test_a_hung_server_is_told_within_seconds_and_recovers(ground: Ground) -> None:
    record = ground.server.record()
    assert record is not None
    main = psutil.Process(record.pid)
    family = [main, *main.children(recursive=True)]

    async def scene() -> float:
        async with watched(ground):
            await ground.ask(ground.versions[0], tokens=2)
            stream = ground.engine.generate(call_of(ground.versions[0], "go on", tokens=400))
            await anext(stream)
            for process in family:
                process.send_signal(signal.SIGSTOP)
            begun = time.monotonic()
            try:
                with pytest.raises(EngineError, match="broke off") as told:
                    async for _ in stream:
                        pass
                waited = time.monotonic() - begun
                assert told.value.retryable
                with pytest.raises(EngineError):  # and at once for those who come now
                    await ground.ask(ground.versions[0])
            finally:
                for process in family:
                    process.send_signal(signal.SIGCONT)
            await until_well(ground)
            assert (await ground.ask(ground.versions[0], tokens=2)).sent.adapter
            return waited

    assert ground.run(scene()) < SOON


def test_a_killed_server_is_told_within_seconds_and_restored(ground: Ground) -> None:
    record = ground.server.record()
    assert record is not None
    family = [psutil.Process(record.pid), *psutil.Process(record.pid).children(recursive=True)]
    pinned = ground.versions[1]

    async def scene() -> float:
        async with watched(ground):
            await ground.engine.adapters.pin(pinned)
            stream = ground.engine.generate(call_of(ground.versions[0], "go on", tokens=400))
            await anext(stream)
            begun = time.monotonic()
            for process in family:
                os.kill(process.pid, signal.SIGKILL)
            with pytest.raises(EngineError) as told:
                async for _ in stream:
                    pass
            waited = time.monotonic() - begun
            assert told.value.retryable
            await asyncio.to_thread(psutil.wait_procs, family, 20)
            await asyncio.to_thread(ground.server.start, record.plan, Silent())
            return waited

    waited = ground.run(scene())
    assert waited < SOON
    with Ground.open(ground.settings, ground.versions, ground.server) as again:

        async def restored() -> None:
            async with watched(again):
                await until_well(again)
                await again.engine.adapters.pin(pinned)
                assert (await again.ask(ground.versions[0], tokens=2)).sent.adapter
                async with again.behind() as behind:
                    assert pinned in await behind.models()

        again.run(restored())
