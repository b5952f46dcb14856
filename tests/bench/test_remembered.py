"""Proofs are made in the process that asks, and remembered for those that ask nothing."""

import asyncio
from pathlib import Path

import pytest

from rag_adapt.adapters.card import Card
from rag_adapt.adapters.store import AdapterStore
from rag_adapt.adapters.train import train
from rag_adapt.bench.remembered import Memory, Proofs
from rag_adapt.engines.embedded import EmbeddedEngine
from rag_adapt.engines.late import LateEngine
from rag_adapt.models.chat import ChatFormat
from rag_adapt.models.files import ModelFiles
from rag_adapt.models.fingerprint import fingerprint_of
from rag_adapt.models.loading import load_language_model
from tests.adapters.samples import base, plan


@pytest.fixture(scope="module")
def store(tmp_path_factory: pytest.TempPathFactory) -> AdapterStore:
    return AdapterStore(tmp_path_factory.mktemp("home"))


@pytest.fixture(scope="module")
def trained(store: AdapterStore, tiny_model: Path) -> Card:
    return train(plan(), base=base(tiny_model), chat=ChatFormat.load(tiny_model), store=store)


def late(store: AdapterStore, model: Path, memory: Path) -> tuple[LateEngine, Proofs]:
    files = ModelFiles(name="tiny", path=model, weights="b" * 64, source="folder")
    seen = fingerprint_of(files, device="cpu", deterministic=True, memory=memory / "models")
    proofs = Proofs(store, Memory(memory / "proofs", seen))
    engine = LateEngine(
        seen,
        start=lambda: EmbeddedEngine(load_language_model(files, device="cpu", deterministic=True)),
        lookup=store.get,
        check=proofs.check,
    )
    return engine, proofs


def test_a_second_process_that_asks_nothing_goes_by_the_first_ones_proof(
    store: AdapterStore, trained: Card, tiny_model: Path, tmp_path: Path
) -> None:
    engine, proofs = late(store, tiny_model, tmp_path)
    first = asyncio.run(proofs.of(trained.version, engine))
    assert (first.proven, engine.started) == (True, True)
    engine.close()
    second, remembered = late(store, tiny_model, tmp_path)
    assert asyncio.run(remembered.of(trained.version, second)) == first
    assert not second.started
    asyncio.run(second.ready())
    assert asyncio.run(remembered.of(trained.version, second)) == first
    second.close()


def test_a_damaged_memory_is_proven_again(
    store: AdapterStore, trained: Card, tiny_model: Path, tmp_path: Path
) -> None:
    engine, proofs = late(store, tiny_model, tmp_path)
    asyncio.run(proofs.of(trained.version, engine))
    engine.close()
    for kept in (tmp_path / "proofs").iterdir():
        kept.write_text("{")
    second, again = late(store, tiny_model, tmp_path)
    assert asyncio.run(again.of(trained.version, second)).proven
    assert second.started
    second.close()
