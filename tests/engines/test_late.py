"""The model is loaded by the first question that needs it, and no adapter answers unproven."""

import asyncio
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import cast

import pytest

from rag_adapt.core.errors import NotProvenError, StorageError
from rag_adapt.core.types import AdapterRef, Call, Fingerprint, Message, Outcome
from rag_adapt.engines.embedded import EmbeddedEngine
from rag_adapt.engines.late import LateEngine
from rag_adapt.engines.lifecycle import Swap
from tests.engines.embedded_parts import call, load, make_adapter

Make = Callable[..., LateEngine]


@pytest.fixture
def checked() -> list[str]:
    return []


@pytest.fixture
def make(tiny_model: Path, tmp_path: Path, checked: list[str]) -> Make:
    ref = make_adapter(tiny_model, tmp_path, "one")

    def build(*, proven: bool = True, fingerprint: Fingerprint | None = None) -> LateEngine:
        async def check(version: str, engine: EmbeddedEngine) -> None:
            checked.append(version)
            if not proven:
                raise NotProvenError("it does nothing", hint="train it again")

        def lookup(version: str) -> AdapterRef:
            return replace(ref, version=version)

        def start() -> EmbeddedEngine:
            return EmbeddedEngine(load(tiny_model))

        foreseen = EmbeddedEngine(load(tiny_model))
        foreseen.close()
        return LateEngine(
            fingerprint or foreseen.fingerprint, start=start, lookup=lookup, check=check
        )

    return build


async def last(engine: LateEngine, wanted: Call) -> Outcome:
    found = [delta async for delta in engine.generate(wanted)][-1].outcome
    assert found is not None
    return found


def test_an_adapter_is_found_without_loading_the_model(make: Make, checked: list[str]) -> None:
    engine = make()
    assert asyncio.run(engine.ensure_loaded("one@0")).version == "one@0"
    assert (engine.started, checked) == (False, [])
    engine.close()


def test_the_first_question_loads_the_model_and_proves_the_adapter_once(
    make: Make, checked: list[str]
) -> None:
    engine = make()

    async def ask() -> list[Outcome]:
        return [await last(engine, call("hello", adapter="one@0")) for _ in range(2)]

    answers = asyncio.run(ask())
    assert engine.started
    assert checked == ["one@0"]
    assert [a.sent.adapter for a in answers] == ["one@0", "one@0"]
    assert asyncio.run(engine.ensure_loaded("one@0")).version == "one@0"
    engine.close()


def test_an_adapter_without_proof_answers_nothing(make: Make) -> None:
    engine = make(proven=False)
    with pytest.raises(NotProvenError):
        asyncio.run(last(engine, call("hello", adapter="one@0")))
    with pytest.raises(NotProvenError):
        asyncio.run(engine.logprobs([Message(role="user", content="a")], "b", "one@0"))
    engine.close()


def test_log_probabilities_need_no_adapter(make: Make, checked: list[str]) -> None:
    engine = make()
    found = asyncio.run(engine.logprobs([Message(role="user", content="a")], "bc"))
    assert len(found.logprobs) == len(found.token_ids) > 0
    assert checked == []
    engine.close()


def test_an_engine_that_is_not_the_foreseen_one_is_refused(make: Make) -> None:
    other = replace(make().fingerprint, dtype="float16")
    engine = make(fingerprint=other)
    with pytest.raises(StorageError, match="changed while the command was starting"):
        asyncio.run(last(engine, call("hello")))
    engine.close()


class Holding:
    """An engine that holds what it is told to, and answers nothing.

    Args:
        fingerprint: What it says it is.
    """

    def __init__(self, fingerprint: Fingerprint) -> None:
        self.fingerprint = fingerprint
        self.held: list[str] = []

    def resident(self) -> list[str]:
        return self.held

    async def load_adapter(self, ref: AdapterRef) -> None:
        self.held.append(ref.version)

    async def unload_adapter(self, version: str) -> None:
        self.held.remove(version)

    def close(self) -> None:
        """Nothing was opened."""


class Noted:
    """Notes what it is told of adapters."""

    def __init__(self) -> None:
        self.told: list[str] = []

    def swap(self, *, adapter: str, kind: Swap, succeeded: bool) -> None:
        self.told.append(f"{kind} {adapter} {succeeded}")

    def proof_failed(self, *, adapter: str) -> None:
        self.told.append(f"unproven {adapter}")


def test_who_watches_is_told_also_where_the_engine_is_started_later() -> None:
    fingerprint = Fingerprint(
        engine="embedded",
        model="tiny",
        weights="b" * 64,
        template_hash="c" * 12,
        dtype="float32",
        device="cpu",
        deterministic=False,
    )
    holding = cast("EmbeddedEngine", Holding(fingerprint))

    async def check(version: str, engine: EmbeddedEngine) -> None:
        if version == "bad@0":
            raise NotProvenError("it does nothing", hint="Train it again.")

    engine = LateEngine(
        fingerprint,
        start=lambda: holding,
        lookup=lambda version: AdapterRef(version=version, path="/adapters", rank=2),
        check=check,
    )
    engine.watcher = early = Noted()

    async def scene() -> None:
        await engine.ready("one@0")
        with pytest.raises(NotProvenError):
            await engine.ready("bad@0")
        engine.watcher = late
        await (await engine.lifecycle()).unload("one@0")

    late = Noted()
    asyncio.run(scene())
    assert early.told == ["load one@0 True", "unproven bad@0", "load bad@0 False"]
    assert engine.watcher is late
    assert late.told == ["unload one@0 True"]
    engine.close()
