"""Settings in, a vLLM engine out: which server it asks, with which key, computing in what."""

import asyncio
import json
from collections.abc import Iterator, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

import psutil
import pytest
from pydantic import SecretStr

from rag_adapt.core.errors import EngineError, SettingsError
from rag_adapt.core.protocols import Silent
from rag_adapt.core.types import Call, Message, Sampling
from rag_adapt.engines.cached import CachedEngine
from rag_adapt.engines.vllm import VllmEngine
from rag_adapt.engines.vllm_server import Running
from rag_adapt.models.chat import ChatFormat
from rag_adapt.settings import Settings
from rag_adapt.wiring_engines import (
    Services,
    adapter_store,
    language_files,
    prove_afresh,
    services,
    vllm_address,
)
from tests.bench.published import publish
from tests.engines.fake_process import plan
from tests.engines.fake_vllm import FakeVllm, Rows, serving


@pytest.fixture
def server() -> Iterator[FakeVllm]:
    with serving(release="0.33.0", key="right") as made:
        yield made


@pytest.fixture
def settings(tmp_path: Path, tiny_model: Path, server: FakeVllm) -> Settings:
    """Of a server that somebody else runs."""
    return settings_of(tmp_path, tiny_model, api_base=server.api_base, api_key=SecretStr("right"))


def settings_of(home: Path, model: Path, **more: Any) -> Settings:
    fields: dict[str, Any] = {
        "home": home,
        "model": str(model),
        "embedder": "hashing",
        "engine": "vllm",
        "device": "cpu",
    }
    return Settings(**{**fields, **more})


def started(home: Path, api_base: str, *, gpu: bool = False, away: str | None = None) -> None:
    """The record of a server that `rag-adapt vllm --start` left."""
    us = psutil.Process()
    running = Running(
        pid=us.pid,
        created=0.0,  # so that it is no process that lives
        api_base=api_base,
        api_key="right",
        log="log",
        plan=plan(gpu=gpu),
        away=away,
        by=us.pid,
        by_created=us.create_time(),
    )
    (home / "vllm").mkdir(parents=True)
    (home / "vllm" / "server.json").write_text(json.dumps(asdict(running)))


def test_without_any_server_it_is_told_how_to_start_one(tmp_path: Path, tiny_model: Path) -> None:
    with pytest.raises(SettingsError, match="no vLLM server is known") as caught:
        services(settings_of(tmp_path, tiny_model), Silent())
    assert "rag-adapt vllm --start" in caught.value.hint


def test_the_server_that_was_started_here_is_asked_with_its_own_key(
    tmp_path: Path, tiny_model: Path
) -> None:
    started(tmp_path, "http://127.0.0.1:8001/v1")
    found = vllm_address(settings_of(tmp_path, tiny_model))
    assert (found.api_base, found.api_key) == ("http://127.0.0.1:8001/v1", "right")


@pytest.mark.parametrize("key", [None, "other"])
def test_a_server_that_is_named_comes_before_it(
    tmp_path: Path, tiny_model: Path, key: str | None
) -> None:
    started(tmp_path, "http://127.0.0.1:8001/v1")
    secret = None if key is None else SecretStr(key)
    named = settings_of(tmp_path, tiny_model, api_base="http://127.0.0.1:9/v1", api_key=secret)
    found = vllm_address(named)
    assert (found.api_base, found.api_key) == ("http://127.0.0.1:9/v1", key)


def fingerprint_device(settings: Settings) -> str:
    live = services(settings, Silent())
    try:
        return live.engine.fingerprint.device
    finally:
        live.close()


@pytest.mark.parametrize(("gpu", "device"), [(True, "cuda"), (False, "cpu")])
def test_what_our_own_server_computes_in_is_known(
    tmp_path: Path, tiny_model: Path, server: FakeVllm, gpu: bool, device: str
) -> None:
    started(tmp_path, server.api_base, gpu=gpu)
    assert fingerprint_device(settings_of(tmp_path, tiny_model)) == device


def test_what_somebody_elses_server_computes_in_is_not(tmp_path: Path, settings: Settings) -> None:
    started(tmp_path, "http://127.0.0.1:8001/v1", gpu=True)
    assert fingerprint_device(settings) == "remote"


def test_the_fingerprint_names_model_template_and_release(
    settings: Settings, tiny_model: Path, server: FakeVllm
) -> None:
    def found() -> Any:
        live = services(settings, Silent())
        try:
            return live.engine.fingerprint
        finally:
            live.close()

    one = found()
    files = language_files(settings)
    assert (one.engine, one.weights) == ("vllm", files.weights)
    assert one.template_hash == ChatFormat.load(tiny_model).template_hash
    assert one.extra == {"vllm": "0.33.0"}
    server.release = "0.34.0"
    assert found() != one
    server.refuse_connections()
    assert found().extra == {"vllm": "unknown"}


def rendering(server: FakeVllm, chat: ChatFormat) -> None:
    """Let the server turn messages into tokens by the model's own template."""

    def render(rows: Rows) -> Sequence[int]:
        return chat.render([Message(role="user", content=row["content"]) for row in rows])

    server.render = render


def a_version(settings: Settings, server: FakeVllm, model: Path) -> str:
    chat = ChatFormat.load(model)
    rendering(server, chat)
    weights = language_files(settings).weights
    return publish(adapter_store(settings), chat, weights=weights)


def test_the_benchmark_gets_an_engine_that_loads_and_proves(
    settings: Settings, server: FakeVllm, tiny_model: Path
) -> None:
    async def scene(live: Services) -> bool:
        try:
            proof = await live.prove(version)
            return proof.proven
        finally:
            assert live.end is not None
            await live.end()

    version = a_version(settings, server, tiny_model)
    live = services(settings, Silent())
    try:
        assert isinstance(live.engine, CachedEngine)
        assert isinstance(live.adapters, VllmEngine)
        assert live.probe is None
        assert asyncio.run(scene(live))
        assert server.adapters.keys() == {version}
        assert live.tools().prove == live.prove
    finally:
        live.close()


def test_a_proof_by_command_is_made_by_the_server_too(
    settings: Settings, server: FakeVllm, tiny_model: Path
) -> None:
    version = a_version(settings, server, tiny_model)
    proof = asyncio.run(prove_afresh(settings, version, Silent()))
    assert proof.reason is None
    assert len(server.sent("/v1/completions")) == 2
    server.restart()
    server.deaf = True
    assert not asyncio.run(prove_afresh(settings, version, Silent())).proven


def test_an_engine_without_log_probabilities_still_proves_nothing(
    tmp_path: Path, tiny_model: Path
) -> None:
    scripted = settings_of(tmp_path, tiny_model, engine="scripted")
    proof = asyncio.run(prove_afresh(scripted, "codes@000000000000", Silent()))
    assert proof.reason is not None
    assert "'scripted' gives no log-probabilities" in proof.reason


def test_adapters_are_named_by_the_folder_that_the_server_sees(
    tmp_path: Path, settings: Settings, server: FakeVllm, tiny_model: Path
) -> None:
    version = a_version(settings, server, tiny_model)
    mounted = tmp_path / "mounted"
    mounted.symlink_to(adapter_store(settings).folder)
    elsewhere = settings.model_copy(update={"vllm_adapters": mounted})
    assert asyncio.run(prove_afresh(elsewhere, version, Silent())).proven
    assert server.adapters == {version: str(mounted / version)}


def test_while_a_training_has_the_gpu_whoever_asks_is_told(
    tmp_path: Path, tiny_model: Path, server: FakeVllm
) -> None:
    async def scene(live: Services) -> None:
        call = Call(messages=(Message(role="user", content="hi"),), sampling=Sampling())
        with pytest.raises(EngineError, match="a training has the GPU"):
            await anext(live.engine.generate(call))

    started(tmp_path, server.api_base, gpu=True, away="a training has the GPU")
    live = services(settings_of(tmp_path, tiny_model), Silent())
    try:
        asyncio.run(scene(live))
    finally:
        live.close()
