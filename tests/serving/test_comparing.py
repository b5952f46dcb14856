"""Several streams are read at once, and none outlives its reader."""

import asyncio
from collections.abc import AsyncGenerator
from contextlib import aclosing

import pytest

from rag_adapt.serving.comparing import AHEAD, side_by_side


class Stream:
    """Says its letters, and notices when it is closed."""

    def __init__(self, letters: str, *, pause: float = 0.0) -> None:
        self.letters, self.pause, self.said, self.closed = letters, pause, 0, False

    async def parts(self) -> AsyncGenerator[str, None]:
        try:
            for letter in self.letters:
                await asyncio.sleep(self.pause)
                self.said += 1
                yield letter
        finally:
            self.closed = True


async def read(*streams: Stream, most: int = 10_000) -> list[tuple[int, str]]:
    found: list[tuple[int, str]] = []
    async with aclosing(side_by_side([one.parts() for one in streams])) as parts:
        async for told in parts:
            found.append((told.index, told.part))
            if len(found) == most:
                break
    return found


def test_every_part_comes_with_whose_it_is_and_in_its_own_order() -> None:
    found = asyncio.run(read(Stream("abc"), Stream(""), Stream("xy")))
    assert [part for index, part in found if index == 0] == list("abc")
    assert [part for index, part in found if index == 2] == list("xy")
    assert len(found) == 5


def test_a_slow_stream_keeps_no_other_waiting() -> None:
    slow, fast = Stream("s", pause=0.2), Stream("fff")
    assert [index for index, _ in asyncio.run(read(slow, fast))] == [1, 1, 1, 0]


def test_a_reader_that_leaves_closes_all_of_them() -> None:
    streams = Stream("abc"), Stream("xyz", pause=5.0)
    assert len(asyncio.run(read(*streams, most=1))) == 1
    assert all(one.closed for one in streams)


def test_a_slow_reader_makes_the_streams_wait() -> None:
    stream = Stream("a" * AHEAD * 3)

    async def look() -> int:
        parts = side_by_side([stream.parts()])
        await anext(parts)
        await asyncio.sleep(0.05)
        said = stream.said
        await parts.aclose()
        return said

    assert asyncio.run(look()) <= AHEAD + 2


def test_what_a_stream_raises_reaches_the_reader_and_closes_the_others() -> None:
    other = Stream("xyz", pause=5.0)

    async def broken() -> AsyncGenerator[str, None]:
        yield "a"
        raise ValueError("it broke")

    async def run() -> None:
        async for _ in side_by_side([broken(), other.parts()]):
            await asyncio.sleep(0)

    with pytest.raises(ValueError, match="it broke"):
        asyncio.run(run())
    assert other.closed
