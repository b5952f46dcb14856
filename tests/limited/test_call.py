"""A parser has its own process and limits; whatever becomes of it, its caller is told."""

import asyncio
import socket
import time
from pathlib import Path
from typing import Any

import psutil
import pytest

from rag_adapt.core.errors import SkillError, UserError
from rag_adapt.limited.bounds import Bounds, ParserError, ParsersBusyError
from rag_adapt.limited.call import AT_ONCE, call
from rag_adapt.limited.child import Task, answered
from tests.limited import tasks

HEAVY = {"torch", "numpy", "fastapi", "transformers", "pydantic"}


def called(task: Task, bounds: Bounds | None = None, **asked: Any) -> dict[str, Any]:
    return asyncio.run(call(task, asked, bounds=bounds))


def test_a_task_gets_and_gives_plain_json_and_no_environment() -> None:
    found = called(tasks.echo, number=1, text="é")
    assert found["asked"] == {"number": 1, "text": "é"}
    assert not HEAVY & set(found["modules"])
    assert set(found["environment"]) <= {"PYTHONPATH", "LC_ALL"}


def test_a_refusal_is_raised_as_the_caller_wants_it_and_clipped() -> None:
    with pytest.raises(SkillError) as caught:
        asyncio.run(call(tasks.refuse, {"length": 9000}, refused_as=SkillError))
    assert (len(caught.value.fact), caught.value.hint) == (2000, "mend it")


@pytest.mark.parametrize(
    ("task", "asked", "bounds", "fact"),
    [
        (tasks.compute, {}, Bounds(cpu_seconds=1), "more than 1 s of computing"),
        (tasks.sleep, {"seconds": 60}, Bounds(seconds=0.5), "more than 0.5 s"),
        (tasks.hoard, {"bytes": 1 << 29}, Bounds(memory_bytes=1 << 28), "more than 256 MB"),
        (tasks.dig, {}, None, "nested too deeply"),
        (tasks.talk, {"bytes": 5000}, Bounds(result_bytes=4000), "more than 4000 bytes"),
        (tasks.crash, {}, None, "broke on it"),
        (tasks.stumble, {}, None, "broke on it"),
    ],
    ids=["computing", "time", "memory", "depth", "result", "crash", "unforeseen"],
)
def test_what_goes_beyond_its_limits_is_a_problem_of_the_file(
    task: Task, asked: dict[str, Any], bounds: Bounds | None, fact: str
) -> None:
    with pytest.raises(ParserError, match=fact) as caught:
        called(task, bounds, **asked)
    assert (caught.value.status, caught.value.hint.startswith("Send")) == (422, True)


def test_no_file_grows_beyond_its_limit(tmp_path: Path) -> None:
    file = tmp_path / "big"
    with pytest.raises(ParserError, match="larger than 1000 bytes"):
        called(tasks.write, Bounds(file_bytes=1000), file=str(file), bytes=5000)
    assert file.stat().st_size <= 1000


def test_few_files_are_open_at_once(tmp_path: Path) -> None:
    file = tmp_path / "one"
    file.touch()
    found = called(tasks.open_files, Bounds(open_files=16), file=str(file), count=100)
    assert found["opened"] < 16


@pytest.mark.parametrize("what", ["network", "process"])
def test_a_parser_reaches_neither_the_network_nor_other_programs(what: str) -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        found = called(tasks.reach, what=what, port=server.getsockname()[1])
    assert found["refused"] is not None


def test_a_full_disk_is_not_the_files_fault() -> None:
    with pytest.raises(OSError, match="space"):
        called(tasks.full)


def test_a_caller_that_is_cancelled_takes_its_child_along() -> None:
    async def cancelled() -> None:
        waiting = asyncio.create_task(call(tasks.sleep, {"seconds": 60}))
        await asyncio.sleep(0.3)
        assert len(_children()) == 1
        waiting.cancel()
        with pytest.raises(asyncio.CancelledError):
            await waiting

    asyncio.run(cancelled())
    assert _children() == []


def test_only_so_many_run_at_once_and_the_others_wait_or_are_told() -> None:
    async def crowded() -> list[Any]:
        first = [asyncio.create_task(call(tasks.sleep, {"seconds": 1})) for _ in range(AT_ONCE)]
        await asyncio.sleep(0.1)
        late = call(tasks.sleep, {"seconds": 0}, patience=0.1)
        patient = call(tasks.sleep, {"seconds": 0})
        return list(await asyncio.gather(late, patient, *first, return_exceptions=True))

    late, *others = asyncio.run(crowded())
    assert isinstance(late, ParsersBusyError)
    assert (late.status, late.retryable) == (503, True)
    assert others == [{}] * (AT_ONCE + 1)


def test_the_loop_answers_others_while_a_parser_computes() -> None:
    async def watched() -> float:
        longest, begun = 0.0, time.monotonic()
        busy = asyncio.create_task(call(tasks.compute, {}, bounds=Bounds(cpu_seconds=1)))
        while not busy.done():
            await asyncio.sleep(0.01)
            longest, begun = max(longest, time.monotonic() - begun), time.monotonic()
        assert isinstance(busy.exception(), UserError)
        return longest

    assert asyncio.run(watched()) < 0.5


def _children() -> list[psutil.Process]:
    found = psutil.Process().children()
    return [one for one in found if "rag_adapt.limited.child" in " ".join(one.cmdline())]


@pytest.mark.parametrize(
    ("task", "asked", "answer"),
    [
        (tasks.refuse, {"length": 2}, {"refused": ["no xx", "mend it"]}),
        (tasks.dig, {}, {"ended": "depth"}),
        (tasks.full, {}, {"system": 28}),
        (tasks.hoard, {"bytes": 3}, {"result": {"bytes": 3}}),
        (tasks.hoard, {"bytes": 1 << 60}, {"ended": "memory"}),
    ],
    ids=["refused", "depth", "disk", "result", "memory"],
)
def test_a_child_says_how_it_ended(
    task: Task, asked: dict[str, Any], answer: dict[str, Any]
) -> None:
    assert answered(task, asked) == answer
