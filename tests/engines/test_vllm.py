"""A server whose adapters are ours: each proven before it answers, all back after a restart."""

import asyncio
import json
import time
from collections.abc import AsyncGenerator, Callable, Coroutine, Sequence
from pathlib import Path
from typing import Any, TypeVar

import pytest

from rag_adapt.core.errors import (
    AdapterError,
    EngineError,
    NoLogProbsError,
    NotProvenError,
)
from rag_adapt.core.types import (
    AdapterRef,
    Call,
    Delta,
    Fingerprint,
    Message,
    Outcome,
    Sampling,
)
from rag_adapt.engines.remote import RemoteEngine
from rag_adapt.engines.vllm import Answers, Ours, VllmEngine
from rag_adapt.engines.vllm_client import VllmClient
from rag_adapt.engines.vllm_null import NAME, write_null
from tests.engines.adapter_folders import adapter
from tests.engines.fake_vllm import FakeVllm, serving
from tests.engines.hashed_weights import BASE_WEIGHTS, LONGEST, spoken, weights_of
from tests.engines.told_answers import Told

Result = TypeVar("Result")
Prove = Callable[[str], Coroutine[Any, Any, None]]
CHAT = "/v1/chat/completions"
COMPLETE = "/v1/completions"
LOAD = "/v1/load_lora_adapter"
CODES, DATES, NAMES = "codes@111111111111", "dates@222222222222", "names@333333333333"
PROMPT = (*map(ord, "hi"), 1)
FINGERPRINT = Fingerprint(
    engine="vllm",
    model="tiny",
    weights="b" * 64,
    template_hash="c" * 12,
    dtype="bfloat16",
    device="cpu",
    deterministic=False,
)


def call(adapter: str | None = None, **more: Any) -> Call:
    return Call(
        messages=(Message(role="user", content="hi"),),
        sampling=Sampling(max_tokens=LONGEST),
        adapter=adapter,
        **more,
    )


class Shelf:
    """Adapters in a folder, with a proof that tests may swap."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        for fill, version in enumerate((CODES, DATES, NAMES), start=1):
            adapter(folder, version, fill=fill)
        self.model = folder / "model"
        self.model.mkdir()
        config = {"hidden_size": 8, "num_attention_heads": 2}
        (self.model / "config.json").write_text(json.dumps(config))

    def lookup(self, version: str) -> AdapterRef:
        if not (self.folder / version).is_dir():
            raise AdapterError(f"there is no adapter {version!r}", hint="List them.")
        return AdapterRef(version=version, path=str(self.folder / version), rank=2)

    def weights(self, version: str) -> str:
        return weights_of(str(self.folder / version))

    def null(self) -> AdapterRef:
        return write_null(self.folder, self.model)

    def engine(
        self,
        server: FakeVllm,
        *,
        prove: Prove | None = None,
        answers: Answers | None = None,
        **options: Any,
    ) -> VllmEngine:
        """One for the server; unless told otherwise, proofs ask it for figures."""
        client = VllmClient(server.api_base, api_key=server.key, base="base")
        remote = RemoteEngine(
            "hosted_vllm/base", api_base=server.api_base, api_key=server.key, timeout=30
        )

        async def measured(version: str) -> None:
            await client.logprobs_of_ids(PROMPT, (101,), version)

        ours = Ours(
            lookup=self.lookup, seen=lambda ref: ref.path, prove=prove or measured, null=self.null
        )
        return VllmEngine(answers or remote, client, ours, FINGERPRINT, **options)


@pytest.fixture
def shelf(tmp_path: Path) -> Shelf:
    return Shelf(tmp_path)


@pytest.fixture(autouse=True, scope="module")
def warm(tmp_path_factory: pytest.TempPathFactory) -> None:
    """The first answer of a process loads LiteLLM, for seconds."""
    with serving() as server:
        engine = Shelf(tmp_path_factory.mktemp("warm")).engine(server)
        run(engine, answer(engine))


def run(engine: VllmEngine, scene: Coroutine[Any, Any, Result]) -> Result:
    """A scene in an event loop of its own, connections closed at its end."""

    async def played() -> Result:
        try:
            return await asyncio.wait_for(scene, 240)
        finally:
            await engine.aclose()

    return asyncio.run(played())


async def answer(engine: VllmEngine, adapter: str | None = None, **more: Any) -> Outcome:
    outcome = [delta async for delta in engine.generate(call(adapter, **more))][-1].outcome
    assert outcome is not None
    return outcome


async def until(true: Callable[[], bool], *, seconds: float = 60) -> None:
    """Wait for what happens beside us."""
    end = time.monotonic() + seconds
    while not true():
        assert time.monotonic() < end, "it did not happen"
        await asyncio.sleep(0.01)


def chats(server: FakeVllm) -> list[str]:
    return [body["model"] for body in server.sent(CHAT)]


def loads(server: FakeVllm) -> list[str]:
    return [body["lora_name"] for body in server.sent(LOAD)]


def test_from_0_33_on_the_base_is_asked_itself(shelf: Shelf) -> None:
    with serving(release="0.33.0") as server:
        engine = shelf.engine(server)
        outcome = run(engine, answer(engine))
    assert outcome.text == spoken(BASE_WEIGHTS, PROMPT)
    assert (chats(server), loads(server)) == (["base"], [])


@pytest.mark.parametrize("release", ["0.32.0", "a build of our own"])
def test_before_0_33_the_base_is_asked_through_the_adapter_that_changes_nothing(
    shelf: Shelf, release: str
) -> None:
    async def scene() -> Outcome:
        await engine.ensure_loaded(CODES)
        return await answer(engine)

    with serving(release=release) as server:
        engine = shelf.engine(server)
        outcome = run(engine, scene())
        null = shelf.null().version
        assert chats(server) == [null]
        assert null.startswith(f"{NAME}@")
    assert outcome.text == spoken(BASE_WEIGHTS, PROMPT)
    assert (outcome.sent.adapter, outcome.sent.model) == (None, null)


def test_asked_directly_the_old_server_would_have_been_wrong(shelf: Shelf) -> None:
    with serving(release="0.32.0") as server:
        engine = shelf.engine(server)
        run(engine, engine.ensure_loaded(CODES))
        assert server.weights("base") == shelf.weights(CODES) != BASE_WEIGHTS


def test_an_adapter_answers_under_its_own_name(shelf: Shelf) -> None:
    with serving() as server:
        engine = shelf.engine(server)
        outcome = run(engine, answer(engine, CODES))
    assert outcome.text == spoken(shelf.weights(CODES), PROMPT)
    assert (outcome.sent.adapter, outcome.sent.model) == (CODES, CODES)
    assert outcome.usage.tokens_out == LONGEST


def test_an_answer_in_one_piece_is_prepared_alike(shelf: Shelf) -> None:
    async def scene() -> list[Delta]:
        return [delta async for delta in engine.whole(call(CODES))]

    with serving() as server:
        engine = shelf.engine(server)
        first, last = run(engine, scene())
        assert server.adapters.keys() == {CODES}
    assert first.text == spoken(shelf.weights(CODES), PROMPT)
    assert last.outcome is not None
    assert not server.sent(CHAT)[0].get("stream")


def test_many_who_ask_at_once_load_and_prove_once(shelf: Shelf) -> None:
    async def scene() -> None:
        await asyncio.gather(*(answer(engine, CODES) for _ in range(8)))

    proofs: list[str] = []

    async def prove(version: str) -> None:
        assert not chats(server)  # nothing is answered before
        proofs.append(version)

    with serving() as server:
        engine = shelf.engine(server, prove=prove)
        run(engine, scene())
        assert (loads(server), proofs) == ([CODES], [CODES])
        assert len(server.sent(CHAT)) == 8
        assert [one.path for one in server.asked].count("/version") == 1


def test_what_is_not_proven_answers_nothing_and_is_unloaded(shelf: Shelf) -> None:
    async def prove(version: str) -> None:
        raise NotProvenError(f"{version} does nothing", hint="Train it again.")

    async def scene() -> None:
        for _ in range(2):
            with pytest.raises(NotProvenError, match="does nothing"):
                await answer(engine, CODES)

    with serving() as server:
        engine = shelf.engine(server, prove=prove)
        run(engine, scene())
        assert (loads(server), server.adapters, chats(server)) == ([CODES], {}, [])


def test_an_adapter_that_does_not_exist_is_told_without_asking_the_server(shelf: Shelf) -> None:
    with serving() as server:
        engine = shelf.engine(server)
        with pytest.raises(AdapterError, match="there is no adapter"):
            run(engine, answer(engine, "absent@000000000000"))
        assert loads(server) == []


def test_the_control_arm_holds_its_adapter_and_is_answered_by_the_base(shelf: Shelf) -> None:
    with serving() as server:
        engine = shelf.engine(server)
        outcome = run(engine, answer(engine, adapter_off=CODES))
        assert server.adapters.keys() == {CODES}
    assert outcome.text == spoken(BASE_WEIGHTS, PROMPT)


def test_a_restart_between_load_and_answer_is_not_seen(shelf: Shelf) -> None:
    async def scene() -> Outcome:
        await engine.ensure_loaded(CODES)
        server.restart()
        return await answer(engine, CODES)

    with serving() as server:
        engine = shelf.engine(server)
        outcome = run(engine, scene())
        assert loads(server) == [CODES, CODES]
        assert [one.path for one in server.asked].count("/version") == 2  # learnt anew
    assert outcome.text == spoken(shelf.weights(CODES), PROMPT)


def test_after_a_restart_the_unchanged_adapter_is_loaded_again_too(shelf: Shelf) -> None:
    async def scene() -> Outcome:
        await engine.connect()
        server.restart()
        return await answer(engine)

    with serving(release="0.32.0") as server:
        engine = shelf.engine(server)
        outcome = run(engine, scene())
        null = shelf.null().version
        assert loads(server) == [null, null]
    assert (outcome.text, outcome.sent.adapter) == (spoken(BASE_WEIGHTS, PROMPT), None)


def test_an_adapter_that_is_not_found_once_is_asked_for_once_more(shelf: Shelf) -> None:
    with serving(refuse_once={CODES}) as server:
        engine = shelf.engine(server)
        outcome = run(engine, answer(engine, CODES))
        assert chats(server) == [CODES, CODES]
    assert outcome.text == spoken(shelf.weights(CODES), PROMPT)


def test_an_adapter_that_is_never_found_is_not_asked_for_a_third_time(shelf: Shelf) -> None:
    with serving(refuse_always={CODES}) as server:
        engine = shelf.engine(server)
        with pytest.raises(AdapterError, match="does not serve adapter"):
            run(engine, answer(engine, CODES))
        assert chats(server) == [CODES, CODES]


GONE = AdapterError("the adapter is gone", hint="Load it.")


@pytest.mark.parametrize(
    ("story", "adapter", "times"),
    [(["a", GONE], CODES, 1), ([GONE], CODES, 2), ([GONE], None, 1)],
    ids=["after the first piece", "before it", "of the base"],
)
def test_only_an_answer_that_has_not_begun_is_asked_for_again(
    shelf: Shelf, story: Sequence[str | Exception], adapter: str | None, times: int
) -> None:
    told = Told(*story)
    with serving() as server:
        engine = shelf.engine(server, answers=told)
        with pytest.raises(AdapterError, match="the adapter is gone"):
            run(engine, answer(engine, adapter))
    assert len(told.calls) == times


def test_a_timeout_that_is_not_ours_passes(shelf: Shelf) -> None:
    with serving() as server:
        engine = shelf.engine(server, answers=Told(TimeoutError("theirs")))
        with pytest.raises(TimeoutError, match="theirs"):
            run(engine, answer(engine))


def test_a_stream_that_breaks_off_is_an_error_and_not_asked_again(shelf: Shelf) -> None:
    with serving(cut_after=2) as server:
        engine = shelf.engine(server)
        with pytest.raises(EngineError, match="broke off"):
            run(engine, answer(engine, CODES))
        assert chats(server) == [CODES]


def test_a_reader_that_leaves_lets_its_adapter_go(shelf: Shelf) -> None:
    async def scene() -> int:
        deltas = engine.generate(call(CODES))
        await anext(deltas)
        (held,) = engine.adapters.resident()
        assert held.uses == 1
        await deltas.aclose()
        return engine.adapters.resident()[0].uses

    with serving() as server:
        engine = shelf.engine(server)
        assert run(engine, scene()) == 0


def test_a_server_that_hangs_ends_the_answers_under_way_and_comes_back(shelf: Shelf) -> None:
    async def scene() -> Outcome:
        await engine.adapters.pin(DATES)
        watching = asyncio.create_task(engine.watch())
        with pytest.raises(EngineError, match="broke off: the vLLM server does not answer"):
            await answer(engine, CODES)
        assert engine.fault == "the vLLM server does not answer"
        with pytest.raises(EngineError, match="does not answer"):
            await answer(engine)
        assert chats(server) == [CODES]  # nobody waits for a server that is known to be away
        server.hang_after = None
        server.restart()
        server.wake()
        await until(lambda: engine.fault is None and DATES in server.adapters)
        found = await answer(engine, CODES)
        watching.cancel()
        await asyncio.gather(watching, return_exceptions=True)
        return found

    with serving(hang_after=2) as server:
        engine = shelf.engine(server, beat=0.05, silence=0.2)
        assert run(engine, scene()).text == spoken(shelf.weights(CODES), PROMPT)


class Clinging(Told):
    """An answer whose server hangs after its first piece, and which takes its time to be closed."""

    def __init__(self, server: FakeVllm) -> None:
        super().__init__()
        self._server = server

    async def generate(self, call: Call) -> AsyncGenerator[Delta, None]:
        yield Delta(text="a")
        self._server.hang()
        try:
            await asyncio.Event().wait()
        finally:
            await asyncio.sleep(0.3)


def test_an_answer_that_is_slow_to_close_does_not_end_the_watch(shelf: Shelf) -> None:
    async def scene() -> None:
        watching = asyncio.create_task(engine.watch())
        with pytest.raises(EngineError, match="broke off"):
            await answer(engine)
        server.wake()
        await until(lambda: engine.fault is None)
        assert not watching.done()
        watching.cancel()
        await asyncio.gather(watching, return_exceptions=True)

    with serving() as server:
        engine = shelf.engine(server, answers=Clinging(server), beat=0.02, silence=0.05)
        run(engine, scene())


class ServerDisconnectedError(Exception):
    """As aiohttp names it."""


def closed() -> EngineError:
    """What comes of a kept connection that the server closed under the question."""
    error = EngineError("could not be asked: Server disconnected", hint="Ask again.")
    error.__cause__ = ServerDisconnectedError()
    return error


@pytest.mark.parametrize(
    ("story", "times"),
    [([closed()], 2), (["a", closed()], 1), ([EngineError("no", hint="Wait.")], 1)],
    ids=["before a word", "after the first piece", "for another reason"],
)
def test_a_question_that_met_a_closed_connection_is_asked_once_more(
    shelf: Shelf, story: list[str | Exception], times: int
) -> None:
    told = Told(*story)
    with serving() as server:
        engine = shelf.engine(server, answers=told)
        with pytest.raises(EngineError):
            run(engine, answer(engine))
    assert len(told.calls) == times


def test_a_restart_that_nobody_saw_is_found_by_who_watches(shelf: Shelf) -> None:
    async def scene() -> None:
        await engine.connect()
        await engine.adapters.pin(CODES)
        await engine.ensure_loaded(DATES)
        watching = asyncio.create_task(engine.watch())
        server.restart()
        await until(lambda: server.adapters.keys() == {CODES, shelf.null().version})
        await until(lambda: DATES not in [row.version for row in engine.adapters.resident()])
        watching.cancel()
        await asyncio.gather(watching, return_exceptions=True)

    with serving(release="0.32.0") as server:
        engine = shelf.engine(server, beat=0.02)
        run(engine, scene())


def test_what_cannot_be_restored_is_said_until_it_can(shelf: Shelf) -> None:
    async def scene() -> None:
        watching = asyncio.create_task(engine.watch())
        await until(lambda: [one.path for one in server.asked].count("/health") > 1)
        assert engine.fault is None
        server.key = "changed"
        await until(lambda: engine.fault is not None)
        assert "refuses the key" in str(engine.fault)
        server.key = "right"
        await until(lambda: engine.fault is None)
        watching.cancel()
        await asyncio.gather(watching, return_exceptions=True)

    with serving(key="right") as server:
        engine = shelf.engine(server, beat=0.02)
        run(engine, scene())


def test_without_a_watcher_a_server_that_is_down_is_asked_again_every_time(shelf: Shelf) -> None:
    async def scene() -> Outcome:
        server.refuse_connections()
        for _ in range(2):
            with pytest.raises(EngineError, match="does not answer"):
                await answer(engine, CODES)
        server.listen()
        return await answer(engine, CODES)

    with serving() as server:
        engine = shelf.engine(server)
        assert run(engine, scene()).text == spoken(shelf.weights(CODES), PROMPT)


def test_while_a_training_has_the_gpu_nobody_waits_and_nothing_is_sent(shelf: Shelf) -> None:
    why = ["a training has the GPU"]

    async def scene() -> None:
        with pytest.raises(EngineError, match="a training has the GPU") as caught:
            await answer(engine)
        assert caught.value.retryable
        assert engine.fault == "a training has the GPU"
        assert server.asked == []
        why.clear()
        await answer(engine)
        assert engine.fault is None

    with serving() as server:
        engine = shelf.engine(server, busy=lambda: why[0] if why else None)
        run(engine, scene())


@pytest.mark.parametrize("release", ["0.33.0", "0.32.0"])
def test_never_more_adapters_are_asked_at_once_than_the_server_has_slots(
    shelf: Shelf, release: str
) -> None:
    async def scene() -> None:
        for version in (CODES, DATES, NAMES):
            await engine.ensure_loaded(version)
        server.busiest = 0
        asked = (CODES, DATES, NAMES, None) * 3
        await asyncio.gather(*(answer(engine, one) for one in asked))

    with serving(release=release, slots=2, seconds=0.05) as server:
        engine = shelf.engine(server)
        run(engine, scene())
        assert len(server.sent(CHAT)) == 12
    assert server.busiest == 2


@pytest.mark.parametrize(
    ("release", "slots", "at_once"),
    [("0.33.0", 1, 1), ("0.33.0", 2, 2), ("0.32.0", 2, 1)],
    ids=["one slot", "two slots", "one of two kept for the base"],
)
def test_first_loads_at_once_are_proven_in_their_turn(
    shelf: Shelf, release: str, slots: int, at_once: int
) -> None:
    async def scene() -> None:
        wanted = (CODES, DATES, NAMES) * 2
        await asyncio.gather(*(engine.ensure_loaded(one) for one in wanted))

    with serving(release=release, slots=slots, seconds=0.3) as server:
        engine = shelf.engine(server)
        run(engine, scene())
        assert len(server.sent(COMPLETE)) == 3
    assert server.busiest == at_once


def test_a_proof_waits_for_the_answers_that_have_the_slots(shelf: Shelf) -> None:
    async def scene() -> None:
        await engine.ensure_loaded(CODES)
        async with engine.admission.turn(CODES):
            loading = asyncio.create_task(engine.ensure_loaded(DATES))
            await until(lambda: DATES in server.adapters)
            await asyncio.sleep(0.05)
            assert len(server.sent(COMPLETE)) == 1
        await loading
        assert len(server.sent(COMPLETE)) == 2

    with serving(slots=1) as server:
        engine = shelf.engine(server)
        run(engine, scene())


def test_a_server_that_hangs_while_a_pinned_adapter_waits_for_its_proof_is_noticed(
    shelf: Shelf,
) -> None:
    async def scene() -> None:
        await engine.ensure_loaded(CODES)
        await engine.adapters.pin(DATES)
        del server.adapters[DATES]
        async with engine.admission.turn(CODES):
            watching = asyncio.create_task(engine.watch())
            await until(lambda: DATES in server.adapters)
            server.hang()
            await until(lambda: engine.fault is not None)
            server.wake()
            await until(lambda: engine.fault is None)
        await until(lambda: len(server.sent(COMPLETE)) == 3)
        watching.cancel()
        await asyncio.gather(watching, return_exceptions=True)

    with serving(slots=1) as server:
        engine = shelf.engine(server, beat=0.05, silence=0.2)
        run(engine, scene())


def test_slots_that_are_known_at_once_are_not_asked_for_again(shelf: Shelf) -> None:
    async def scene() -> None:
        for version in (CODES, DATES):
            await engine.ensure_loaded(version)

    with serving(used=True) as server:
        engine = shelf.engine(server)
        run(engine, scene())
        assert [one.path for one in server.asked].count("/metrics") == 1


def test_adapters_over_the_limit_go_the_least_recently_used_first(shelf: Shelf) -> None:
    async def scene() -> None:
        for version in (CODES, DATES, CODES, NAMES):
            await answer(engine, version)
        await until(lambda: server.adapters.keys() == {CODES, NAMES})
        assert (await answer(engine, DATES)).text == spoken(shelf.weights(DATES), PROMPT)

    with serving() as server:
        engine = shelf.engine(server, limit=2)
        run(engine, scene())


def test_the_unchanged_adapter_stays_however_many_others_come(shelf: Shelf) -> None:
    async def scene() -> None:
        for version in (CODES, DATES, NAMES):
            await answer(engine, version)
        await until(lambda: len(server.adapters) == 2)
        assert shelf.null().version in server.adapters

    with serving(release="0.32.0") as server:
        engine = shelf.engine(server, limit=2)
        run(engine, scene())


def test_text_that_is_given_is_never_scored(shelf: Shelf) -> None:
    with serving() as server:
        engine = shelf.engine(server)
        with pytest.raises(NoLogProbsError, match="not asked of vLLM"):
            run(engine, engine.logprobs((Message(role="user", content="hi"),), "yes"))
        assert server.asked == []


def test_one_engine_serves_one_event_loop_after_another(shelf: Shelf) -> None:
    with serving() as server:
        engine = shelf.engine(server)
        texts = {run(engine, answer(engine, CODES)).text for _ in range(2)}
        assert loads(server) == [CODES]
    assert texts == {spoken(shelf.weights(CODES), PROMPT)}


def test_connections_to_answers_are_closed_where_there_are_any(shelf: Shelf) -> None:
    told = Told("a")
    with serving() as server:
        engine = shelf.engine(server, answers=told)
        run(engine, engine.connect())
        assert told.closed == 0
        run(engine, answer(engine))
    assert told.closed == 1
