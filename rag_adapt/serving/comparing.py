"""Several streams side by side: what each says goes on as it comes, with whose it is.

It does not know what they say.
"""

import asyncio
from collections.abc import AsyncGenerator, Sequence
from contextlib import aclosing
from dataclasses import dataclass
from typing import Final, Generic, TypeVar

Part = TypeVar("Part")
AHEAD: Final = 64
"""Parts that wait for a slow reader; behind them the streams wait too."""


@dataclass(frozen=True, kw_only=True)
class Told(Generic[Part]):
    """One part of one stream."""

    index: int
    """Which stream."""
    part: Part


@dataclass(frozen=True, kw_only=True)
class _End:
    """A stream is over."""

    error: Exception | None = None
    """Why, where it did not end by itself."""


async def side_by_side(
    streams: Sequence[AsyncGenerator[Part, None]],
) -> AsyncGenerator[Told[Part], None]:
    """All parts of all streams, read at once. Closing it closes every one of them.

    What one of them raises ends them all: a stream whose failure is its own business says so in a
    part of its own.
    """
    waiting: asyncio.Queue[Told[Part] | _End] = asyncio.Queue(AHEAD)

    async def read(index: int, stream: AsyncGenerator[Part, None]) -> None:
        try:
            async with aclosing(stream) as parts:
                async for part in parts:
                    await waiting.put(Told(index=index, part=part))
        except Exception as error:
            await waiting.put(_End(error=error))
            raise
        await waiting.put(_End())

    tasks = [asyncio.create_task(read(*one)) for one in enumerate(streams)]
    try:
        left = len(tasks)
        while left:
            told = await waiting.get()
            if isinstance(told, Told):
                yield told
            elif told.error is not None:
                raise told.error
            else:
                left -= 1
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
