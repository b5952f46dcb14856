"""The answer cache: asked once, durable, honest about times, and safe when damaged or shared."""

import asyncio
import resource
import signal
import sqlite3
import subprocess
import sys
from collections.abc import AsyncGenerator, Iterator
from contextlib import closing, contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from rag_adapt.core.errors import EngineError, LockedError, NoLogProbsError, StorageError
from rag_adapt.core.types import Call, Delta, Fingerprint, Message, Outcome, Sampling
from rag_adapt.engines.cached import CachedEngine
from rag_adapt.engines.scripted import ScriptedAdapters, ScriptedEngine

VERSIONS = ("orders@0123456789ab", "orders@ba9876543210")


def ask(text: str = "what is two and two", **changes: object) -> Call:
    call = Call(messages=(Message(role="user", content=text),), sampling=Sampling())
    return replace(call, **changes)  # type: ignore[arg-type]


def scripted(**options: object) -> ScriptedEngine:
    adapters = ScriptedAdapters()
    for version in VERSIONS:
        adapters.declare(version)
    return ScriptedEngine(adapters=adapters, **options)  # type: ignore[arg-type]


@contextmanager
def cache(engine: object, folder: Path, patience: float = 30.0) -> Iterator[CachedEngine]:
    with closing(CachedEngine(engine, folder, patience=patience)) as cached:  # type: ignore[arg-type]
        yield cached


async def deltas(engine: CachedEngine, call: Call) -> list[Delta]:
    return [delta async for delta in engine.generate(call)]


async def outcome(engine: CachedEngine, call: Call) -> Outcome:
    last = (await deltas(engine, call))[-1].outcome
    assert last is not None
    return last


def answer(engine: CachedEngine, call: Call) -> Outcome:
    return asyncio.run(outcome(engine, call))


def test_the_same_call_is_asked_once_also_after_a_restart(tmp_path: Path) -> None:
    engine = scripted()
    for _ in range(2):
        with cache(engine, tmp_path) as cached:
            answer(cached, ask())
            answer(cached, ask())
    assert len(engine.received) == 1


def test_a_hit_is_one_delta_with_the_first_outcome_and_its_times_marked(tmp_path: Path) -> None:
    ticks = iter([0.0, 1.0, 2.0, 5.0])
    with cache(scripted(clock=lambda: next(ticks)), tmp_path) as cached:
        first = answer(cached, ask())
        [hit] = asyncio.run(deltas(cached, ask()))
    assert first.times.cached is False
    assert hit.text == first.text == "what is two and two"
    assert hit.outcome == replace(first, times=replace(first.times, cached=True))
    assert (cached.hits, cached.misses) == (1, 1)


def test_a_miss_streams_as_the_engine_does(tmp_path: Path) -> None:
    with cache(scripted(), tmp_path) as cached:
        assert len(asyncio.run(deltas(cached, ask("a b c")))) == 3


def test_token_ids_survive_the_cache(tmp_path: Path) -> None:
    with cache(_Tokens(scripted()), tmp_path) as cached:
        answer(cached, ask())
        assert answer(cached, ask()).sent.token_ids == (1, 2, 3)


@pytest.mark.parametrize(
    "other",
    [
        pytest.param({"repeat": 1}, id="repeat"),
        pytest.param({"adapter": VERSIONS[0]}, id="adapter"),
        pytest.param({"adapter": VERSIONS[1]}, id="adapter version"),
        pytest.param({"sampling": Sampling(seed=1)}, id="seed"),
        pytest.param({"sampling": Sampling(stop=("x",))}, id="stop"),
        pytest.param({"messages": (Message(role="system", content="a"),)}, id="messages"),
    ],
)
def test_whatever_determines_the_answer_is_part_of_the_key(
    tmp_path: Path, other: dict[str, Any]
) -> None:
    engine = scripted()
    with cache(engine, tmp_path) as cached:
        answer(cached, ask())
        answer(cached, ask(**other))
    assert engine.received == [ask(), ask(**other)]


def test_two_engines_in_one_folder_do_not_share_answers(tmp_path: Path) -> None:
    for reply in ("4", "5"):
        with cache(scripted(reply={"two": reply}), tmp_path) as cached:
            assert answer(cached, ask()).text == reply


def test_the_fingerprint_is_that_of_the_engine_behind(tmp_path: Path) -> None:
    engine = scripted()
    with cache(engine, tmp_path) as cached:
        assert cached.fingerprint == engine.fingerprint
        assert cached.inner is engine


def test_equal_calls_in_flight_are_asked_once(tmp_path: Path) -> None:
    async def scene(cached: CachedEngine, opened: asyncio.Event) -> list[Outcome]:
        tasks = [asyncio.create_task(outcome(cached, ask())) for _ in range(8)]
        await asyncio.sleep(0.05)
        opened.set()
        return await asyncio.gather(*tasks)

    opened = asyncio.Event()
    engine = scripted(gate=lambda call: opened.wait())
    with cache(engine, tmp_path) as cached:
        found = asyncio.run(scene(cached, opened))
    assert len(engine.received) == 1
    assert sorted(one.times.cached for one in found) == [False] + [True] * 7
    assert (cached.hits, cached.misses) == (7, 1)


def test_when_the_first_reader_goes_away_the_next_one_asks(tmp_path: Path) -> None:
    async def scene(cached: CachedEngine, opened: asyncio.Event) -> Outcome:
        first = asyncio.create_task(outcome(cached, ask()))
        second = asyncio.create_task(outcome(cached, ask()))
        await asyncio.sleep(0.05)
        first.cancel()
        opened.set()
        return await second

    opened = asyncio.Event()
    engine = scripted(gate=lambda call: opened.wait())
    with cache(engine, tmp_path) as cached:
        assert asyncio.run(scene(cached, opened)).text == "what is two and two"
    assert (len(engine.received), engine.cancelled) == (2, 1)


def test_a_reader_that_stops_after_the_first_word_cancels_the_engine(tmp_path: Path) -> None:
    async def scene(cached: CachedEngine) -> None:
        stream = cached.generate(ask())
        await anext(stream)
        await stream.aclose()

    engine = scripted()
    with cache(engine, tmp_path) as cached:
        asyncio.run(scene(cached))
        assert engine.cancelled == 1
        answer(cached, ask())
    assert len(engine.received) == 2


def test_those_who_wait_share_the_failure(tmp_path: Path) -> None:
    async def scene(cached: CachedEngine, opened: asyncio.Event) -> list[object]:
        tasks = [asyncio.create_task(outcome(cached, ask("bad"))) for _ in range(3)]
        await asyncio.sleep(0.05)
        opened.set()
        return list(await asyncio.gather(*tasks, return_exceptions=True))

    opened, error = asyncio.Event(), EngineError("gone", hint="Start it.")
    engine = scripted(gate=lambda call: opened.wait(), failures={"bad": error})
    with cache(engine, tmp_path) as cached:
        assert asyncio.run(scene(cached, opened)) == [error] * 3
    assert len(engine.received) == 1


def test_failures_are_never_kept(tmp_path: Path) -> None:
    with cache(scripted(failures={"two": EngineError("gone", hint="")}), tmp_path) as cached:
        for _ in range(2):
            with pytest.raises(EngineError, match="gone"):
                answer(cached, ask())
    with cache(scripted(), tmp_path) as cached:
        assert answer(cached, ask()).times.cached is False


def test_an_outcome_is_on_disk_before_it_is_handed_out(tmp_path: Path) -> None:
    async def scene(cached: CachedEngine) -> int:
        async for delta in cached.generate(ask()):
            if delta.outcome is not None:
                return rows(tmp_path)
        return -1

    with cache(scripted(), tmp_path) as cached:
        assert asyncio.run(scene(cached)) == 1


def test_a_killed_process_loses_no_answer_that_it_was_given(tmp_path: Path) -> None:
    script = f"""
import asyncio, os, signal
from pathlib import Path
from tests.engines.test_cached import CachedEngine, ask, outcome, scripted
async def main():
    cached = CachedEngine(scripted(), Path({str(tmp_path)!r}))
    for number in range(5):
        await outcome(cached, ask(str(number)))
    os.kill(os.getpid(), signal.SIGKILL)
asyncio.run(main())
"""
    ended = subprocess.run([sys.executable, "-c", script], cwd=ROOT, check=False)
    assert ended.returncode == -signal.SIGKILL
    engine = scripted()
    with cache(engine, tmp_path) as cached:
        assert [answer(cached, ask(str(n))).text for n in range(5)] == list("01234")
    assert engine.received == []


def test_several_processes_share_a_folder(tmp_path: Path) -> None:
    script = f"""
import asyncio, sys
from pathlib import Path
from tests.engines.test_cached import CachedEngine, ask, outcome, scripted
async def main():
    cached = CachedEngine(scripted(), Path({str(tmp_path)!r}))
    for number in range(30):
        found = await outcome(cached, ask(str(number)))
        assert found.text == str(number)
    cached.close()
asyncio.run(main())
"""
    command = [sys.executable, "-c", script]
    running = [subprocess.Popen(command, cwd=ROOT, stderr=subprocess.PIPE) for _ in range(3)]
    errors = [process.communicate(timeout=60)[1].decode() for process in running]
    assert (errors, rows(tmp_path)) == ([""] * 3, 30)


def test_a_changed_row_is_asked_again_never_believed(tmp_path: Path) -> None:
    engine = scripted()
    with cache(engine, tmp_path) as cached:
        answer(cached, ask())
        with closing(sqlite3.connect(tmp_path / "answers.db")) as db, db:
            db.execute("UPDATE answers SET value = replace(value, 'two', 'ten')")
        assert answer(cached, ask()).text == "what is two and two"
        assert cached.damaged == 1
        assert answer(cached, ask()).times.cached is True
    assert len(engine.received) == 2


def test_a_file_that_is_no_database_is_reported_with_the_command_that_mends_it(
    tmp_path: Path,
) -> None:
    (tmp_path / "answers.db").write_bytes(b"not a database at all" * 500)
    with pytest.raises(StorageError, match=r"answer cache .* is damaged") as caught:
        CachedEngine(scripted(), tmp_path)
    command = caught.value.hint.partition(": ")[2]
    subprocess.run(command, shell=True, check=True)
    with cache(scripted(), tmp_path) as cached:
        assert answer(cached, ask()).text == "what is two and two"


def test_damage_inside_the_file_gives_a_report_or_the_right_answer(tmp_path: Path) -> None:
    with cache(scripted(), tmp_path) as cached:
        for number in range(40):
            answer(cached, ask(f"{number} {'x' * 400}"))
    path = tmp_path / "answers.db"
    content = bytearray(path.read_bytes())
    for place in range(5000, len(content) - 100, 3000):
        content[place : place + 60] = b"\xff" * 60
    path.write_bytes(content)
    with cache(scripted(), tmp_path) as cached:
        found = [text_or_hint(cached, f"{number} {'x' * 400}") for number in range(40)]
    right = [found[number] == f"{number} {'x' * 400}" for number in range(40)]
    hints = [text for text, is_right in zip(found, right, strict=True) if not is_right]
    assert len(hints) + cached.damaged > 0
    assert all(hint.startswith("Delete it") for hint in hints)


def test_a_folder_that_cannot_be_made_is_reported(tmp_path: Path) -> None:
    (tmp_path / "cache").write_text("a file")
    with pytest.raises(StorageError, match="cannot make the folder"):
        CachedEngine(scripted(), tmp_path / "cache")


def test_a_file_that_cannot_be_opened_is_reported(tmp_path: Path) -> None:
    (tmp_path / "answers.db").mkdir()
    with pytest.raises(StorageError, match="cannot be used: unable to open"):
        CachedEngine(scripted(), tmp_path)


def test_an_answer_that_the_disk_refuses_is_not_acknowledged(tmp_path: Path) -> None:
    with cache(scripted(), tmp_path) as cached:
        answer(cached, ask())
        with _full_disk(), pytest.raises(StorageError, match="cannot be used"):
            answer(cached, ask("x" * 500_000))
        assert answer(cached, ask()).times.cached is True


def test_a_writer_that_never_ends_is_named(tmp_path: Path) -> None:
    with cache(scripted(), tmp_path, patience=0.1) as cached:
        with closing(sqlite3.connect(tmp_path / "answers.db", isolation_level=None)) as other:
            other.execute("BEGIN IMMEDIATE")
            with pytest.raises(LockedError, match=r"for 0\.1 s"):
                answer(cached, ask())
            other.execute("ROLLBACK")
        assert answer(cached, ask()).text == "what is two and two"


def test_a_locked_file_is_named_at_opening_too(tmp_path: Path) -> None:
    with closing(sqlite3.connect(tmp_path / "answers.db", isolation_level=None)) as other:
        other.execute("CREATE TABLE t (x)")
        other.execute("BEGIN EXCLUSIVE")
        with pytest.raises(LockedError, match="Wait for it"):
            CachedEngine(scripted(), tmp_path, patience=0.1)


def test_a_database_of_something_else_is_not_mistaken_for_damage(tmp_path: Path) -> None:
    with closing(sqlite3.connect(tmp_path / "answers.db")) as db:
        db.execute("CREATE TABLE answers (other)")
    with (
        cache(scripted(), tmp_path) as cached,
        pytest.raises(sqlite3.OperationalError, match="no such column"),
    ):
        answer(cached, ask())


def test_log_probabilities_are_asked_once(tmp_path: Path) -> None:
    adapters = {"adapter": VERSIONS[0]}
    with cache(scripted(), tmp_path) as cached:
        first = asyncio.run(cached.logprobs(ask().messages, "four or five"))
        again = asyncio.run(cached.logprobs(ask().messages, "four or five"))
        other = asyncio.run(cached.logprobs(ask().messages, "four or five", **adapters))
    assert again == first
    assert other != first
    assert (cached.hits, cached.misses) == (1, 2)


def test_an_engine_without_log_probabilities_says_so(tmp_path: Path) -> None:
    with (
        cache(_Tokens(scripted()), tmp_path) as cached,
        pytest.raises(NoLogProbsError, match="'scripted'"),
    ):
        asyncio.run(cached.logprobs(ask().messages, "four"))


def test_closing_twice_is_harmless(tmp_path: Path) -> None:
    with cache(scripted(), tmp_path) as cached:
        answer(cached, ask())
        cached.close()
    assert rows(tmp_path) == 1


ROOT = Path(__file__).parents[2]


def text_or_hint(cached: CachedEngine, text: str) -> str:
    try:
        return answer(cached, ask(text)).text
    except StorageError as error:
        return error.hint


def rows(folder: Path) -> int:
    with closing(sqlite3.connect(folder / "answers.db")) as db:
        count: int = db.execute("SELECT count(*) FROM answers").fetchone()[0]
    return count


@contextmanager
def _full_disk() -> Iterator[None]:
    """Files may not grow past 64 KiB."""
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    handler = signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    resource.setrlimit(resource.RLIMIT_FSIZE, (1 << 16, hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
        signal.signal(signal.SIGXFSZ, handler)


class _Tokens:
    """A local engine in small: reports token ids, has no log-probabilities."""

    def __init__(self, engine: ScriptedEngine) -> None:
        self._engine = engine

    @property
    def fingerprint(self) -> Fingerprint:
        return self._engine.fingerprint

    async def generate(self, call: Call) -> AsyncGenerator[Delta, None]:
        async for delta in self._engine.generate(call):
            if delta.outcome is None:
                yield delta
            else:
                sent = replace(delta.outcome.sent, token_ids=(1, 2, 3))
                yield replace(delta, outcome=replace(delta.outcome, sent=sent))
