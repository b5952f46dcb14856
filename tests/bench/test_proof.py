"""An adapter that does nothing, or is not the one that was trained, is never proven."""

import asyncio
import shutil
import warnings
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import pytest
import torch

from rag_adapt.adapters.card import Card
from rag_adapt.adapters.check import WEIGHTS_FILE
from rag_adapt.adapters.record import logprobs_of
from rag_adapt.adapters.store import AdapterStore
from rag_adapt.adapters.train import train
from rag_adapt.bench.proof import Proof, declared, not_provable, prove
from rag_adapt.core.errors import AdapterError, NoLogProbsError, NotProvenError
from rag_adapt.models.chat import ChatFormat
from tests.adapters.samples import base, plan

Weights = Mapping[str, torch.Tensor]


class PeftEngine:
    """An engine that computes with whatever folder it was given as the adapter.

    Args:
        model: Folder of the base model.
        adapter: Folder of the adapter, or None to ignore that one was asked for.
    """

    def __init__(self, model: Path, adapter: Path | None) -> None:
        from peft import PeftModel
        from transformers import AutoModelForCausalLM

        loaded = AutoModelForCausalLM.from_pretrained(model, dtype=torch.float32).eval()
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # of names that match nothing: what some servers do
            self._model: Any = (
                loaded if adapter is None else PeftModel.from_pretrained(loaded, adapter).eval()
            )

    async def logprobs_of_ids(
        self, prompt_ids: Sequence[int], continuation_ids: Sequence[int], adapter: str | None = None
    ) -> Sequence[float]:
        with torch.no_grad():
            return logprobs_of(self._model, [(prompt_ids, continuation_ids)])[0]


class Refusing:
    """An engine that raises."""

    def __init__(self, error: Exception) -> None:
        self._error = error

    async def logprobs_of_ids(
        self, prompt_ids: Sequence[int], continuation_ids: Sequence[int], adapter: str | None = None
    ) -> Sequence[float]:
        raise self._error


class Short:
    """An engine that leaves the last token out."""

    async def logprobs_of_ids(
        self, prompt_ids: Sequence[int], continuation_ids: Sequence[int], adapter: str | None = None
    ) -> Sequence[float]:
        return (-1.0,) * (len(continuation_ids) - 1)


@pytest.fixture(autouse=True, scope="module")
def one_thread() -> Any:
    """Tiny tensors gain nothing from several threads."""
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(threads)


@pytest.fixture(scope="module")
def chat(tiny_model: Path) -> ChatFormat:
    return ChatFormat.load(tiny_model)


@pytest.fixture(scope="module")
def shelf(tmp_path_factory: pytest.TempPathFactory) -> AdapterStore:
    return AdapterStore(tmp_path_factory.mktemp("home"))


@pytest.fixture(scope="module")
def trained(tiny_model: Path, chat: ChatFormat, shelf: AdapterStore) -> Card:
    return train(plan(epochs=4), base=base(tiny_model), chat=chat, store=shelf)


@pytest.fixture
def store(shelf: AdapterStore, trained: Card, tmp_path: Path) -> AdapterStore:
    """A copy that a test may damage."""
    shutil.copytree(shelf.folder, tmp_path / "adapters")
    return AdapterStore(tmp_path)


def folder_of(store: AdapterStore, card: Card) -> Path:
    return store.folder / card.version


def rewritten(source: Path, target: Path, change: Any) -> Path:
    """A copy of an adapter with other tensors."""
    from safetensors.torch import load_file, save_file

    shutil.copytree(source, target)
    tensors: Weights = load_file(source / WEIGHTS_FILE)
    save_file(change(tensors), target / WEIGHTS_FILE)
    return target


def results(proof: Proof) -> dict[str, bool]:
    return {check.name: check.passed for check in proof.checks}


def test_a_loaded_adapter_is_proven_by_all_four_checks(
    trained: Card, store: AdapterStore, chat: ChatFormat, tiny_model: Path
) -> None:
    engine = PeftEngine(tiny_model, folder_of(store, trained))
    proof = asyncio.run(prove(trained.version, store=store, engine=engine, chat=chat))
    assert results(proof) == {"hash": True, "template": True, "canary": True, "parity": True}
    assert (proof.proven, proof.reason) == (True, None)
    proof.require()


def test_the_embedded_engine_passes(
    trained: Card, store: AdapterStore, chat: ChatFormat, tiny_model: Path
) -> None:
    from rag_adapt.engines.embedded import EmbeddedEngine
    from rag_adapt.models.files import ModelFiles
    from rag_adapt.models.loading import load_language_model

    files = ModelFiles(name="tiny", path=tiny_model, weights="b" * 64, source="folder")
    engine = EmbeddedEngine(load_language_model(files, device="cpu", deterministic=True))

    async def run() -> Proof:
        await engine.load_adapter(store.get(trained.version))
        return await prove(trained.version, store=store, engine=engine, chat=chat)

    try:
        assert asyncio.run(run()).reason is None
    finally:
        engine.close()


def test_an_engine_that_ignores_the_adapter_fails_canary_and_parity(
    trained: Card, store: AdapterStore, chat: ChatFormat, tiny_model: Path
) -> None:
    engine = PeftEngine(tiny_model, None)
    proof = asyncio.run(prove(trained.version, store=store, engine=engine, chat=chat))
    assert results(proof) == {"hash": True, "template": True, "canary": False, "parity": False}
    assert proof.reason is not None
    assert "canary" in proof.reason
    with pytest.raises(NotProvenError, match="not shown to be active"):
        proof.require()


def test_tensor_names_that_match_nothing_are_found_out(
    trained: Card, store: AdapterStore, chat: ChatFormat, tiny_model: Path, tmp_path: Path
) -> None:
    folder = rewritten(
        folder_of(store, trained),
        tmp_path / "renamed",
        lambda tensors: {name.replace(".layers.", ".blocks."): t for name, t in tensors.items()},
    )
    engine = PeftEngine(tiny_model, folder)
    proof = asyncio.run(prove(trained.version, store=store, engine=engine, chat=chat))
    assert results(proof)["canary"] is False
    assert not proof.proven


def test_another_adapter_under_this_name_fails_parity(
    trained: Card, store: AdapterStore, chat: ChatFormat, tiny_model: Path
) -> None:
    other = train(
        plan(epochs=4, seed=5, name="other"), base=base(tiny_model), chat=chat, store=store
    )
    engine = PeftEngine(tiny_model, folder_of(store, other))
    proof = asyncio.run(prove(trained.version, store=store, engine=engine, chat=chat))
    assert results(proof) == {"hash": True, "template": True, "canary": True, "parity": False}


def test_an_adapter_without_effect_is_not_proven_even_where_all_agrees(
    store: AdapterStore, chat: ChatFormat, tiny_model: Path
) -> None:
    zero = train(
        plan(learning_rate=1e-30, name="zero"), base=base(tiny_model), chat=chat, store=store
    )
    engine = PeftEngine(tiny_model, folder_of(store, zero))
    proof = asyncio.run(prove(zero.version, store=store, engine=engine, chat=chat))
    assert results(proof)["canary"] is False
    assert not proof.proven


def test_a_silenced_copy_served_under_this_name_fails(
    trained: Card, store: AdapterStore, chat: ChatFormat, tiny_model: Path, tmp_path: Path
) -> None:
    silenced = rewritten(
        folder_of(store, trained),
        tmp_path / "silenced",
        lambda tensors: {n: t * 0 if "lora_B" in n else t for n, t in tensors.items()},
    )
    engine = PeftEngine(tiny_model, silenced)
    proof = asyncio.run(prove(trained.version, store=store, engine=engine, chat=chat))
    assert results(proof)["canary"] is False


def test_stored_weights_that_changed_fail_the_hash(
    trained: Card, store: AdapterStore, chat: ChatFormat, tiny_model: Path
) -> None:
    folder = folder_of(store, trained)
    engine = PeftEngine(tiny_model, folder)
    data = bytearray((folder / WEIGHTS_FILE).read_bytes())
    data[-1] ^= 1
    (folder / WEIGHTS_FILE).write_bytes(data)
    proof = asyncio.run(prove(trained.version, store=store, engine=engine, chat=chat))
    assert [check.name for check in proof.checks if not check.passed] == ["hash"]


def test_another_chat_template_fails(trained: Card, store: AdapterStore, tiny_model: Path) -> None:
    chat = ChatFormat.load(tiny_model)
    chat.template_hash = "0" * 12
    engine = PeftEngine(tiny_model, folder_of(store, trained))
    proof = asyncio.run(prove(trained.version, store=store, engine=engine, chat=chat))
    assert [check.name for check in proof.checks if not check.passed] == ["template"]
    assert proof.reason is not None
    assert "000000000000" in proof.reason


@pytest.mark.parametrize("kind", [NoLogProbsError, AdapterError])
def test_an_engine_that_cannot_say_is_not_measured_with_its_reason(
    trained: Card, store: AdapterStore, chat: ChatFormat, kind: type[Exception]
) -> None:
    error = NoLogProbsError if kind is NoLogProbsError else AdapterError
    engine = Refusing(error("cannot do this", hint="no"))
    proof = asyncio.run(prove(trained.version, store=store, engine=engine, chat=chat))
    assert proof.reason == "canary: cannot do this"


def test_missing_tokens_are_no_agreement(
    trained: Card, store: AdapterStore, chat: ChatFormat
) -> None:
    proof = asyncio.run(prove(trained.version, store=store, engine=Short(), chat=chat))
    assert results(proof)["parity"] is False


def test_an_unknown_version_is_an_error(store: AdapterStore, chat: ChatFormat) -> None:
    with pytest.raises(AdapterError, match="there is no adapter"):
        asyncio.run(prove("codes@000000000000", store=store, engine=Short(), chat=chat))


def test_a_scripted_adapter_is_proven_by_the_hash_it_declares() -> None:
    assert declared("codes@0123456789ab", "0123456789ab").proven
    wrong = declared("codes@0123456789ab", "ffffffffffff")
    assert wrong.reason == "hash: declared ffffffffffff, the name carries 0123456789ab"


def test_a_remote_engine_without_log_probabilities_is_not_measured() -> None:
    proof = not_provable("codes@0123456789ab", engine="remote")
    assert not proof.proven
    assert proof.reason is not None
    assert "'remote' gives no log-probabilities" in proof.reason
