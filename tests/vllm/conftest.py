"""A real vLLM server and real adapters, for the tests of `make test-vllm` alone.

They are left out where RAG_ADAPT_VLLM_PYTHON does not name the Python of an environment with vLLM.
"""

import os
import socket
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from rag_adapt.adapters.plan import Base, plan_for
from rag_adapt.adapters.store import AdapterStore
from rag_adapt.bench.trainer import Trainer
from rag_adapt.core.protocols import Silent
from rag_adapt.engines.vllm_server import VllmServer
from rag_adapt.engines.vllm_server import plan_for as server_plan
from rag_adapt.models.chat import ChatFormat
from rag_adapt.settings import Settings
from rag_adapt.skills.load import find_skill
from rag_adapt.wiring import language_files
from tests.vllm.scene import Ground

PYTHON = os.environ.get("RAG_ADAPT_VLLM_PYTHON")
collect_ignore_glob = [] if PYTHON else ["test_*.py"]
KEPT_HOME = os.environ.get("RAG_ADAPT_VLLM_TEST_HOME")
SKILLS = ("past-tense", "manual", "support")
"""Those with the shortest prompts: a processor takes 9 ms for each token under an adapter."""
ROWS, DEV = 8, 4
"""That an adapter learns from and is measured on: it must do something, not do it well."""
SLOTS = 3
"""One of them is kept for the base model, so two adapters are computed at once."""


@pytest.fixture(scope="session")
def settings(tmp_path_factory: pytest.TempPathFactory) -> Settings:
    """A home of its own, and the vLLM engine; a home that is kept saves training again."""
    home = Path(KEPT_HOME) if KEPT_HOME else tmp_path_factory.mktemp("vllm-home")
    return Settings(
        home=home,
        indexes=home / "indexes",
        engine="vllm",
        embedder="hashing",
        device="cpu",
        vllm_python=PYTHON,
    )


@pytest.fixture(scope="session")
def versions(settings: Settings) -> tuple[str, ...]:
    """Four adapters trained here, one of a skill twice with different seeds."""
    files = language_files(settings)
    base = Base.of(files, device="cpu", deterministic=False, four_bit=False)
    template = ChatFormat.load(files.path, name=files.name).template_hash
    trainer, found = Trainer(files, base, template, AdapterStore(settings.home)), []
    for name, seed in [*((name, 0) for name in SKILLS), (SKILLS[0], 1)]:
        skill = find_skill(name, settings.home)
        rows = skill.training_items[:ROWS]
        plan = plan_for(skill, rows, name=f"{name}-{seed}", seed=seed, learning_rate=1e-3)
        short = replace(plan, dev=plan.dev[:DEV])
        found.append(trainer.trained(short, Silent()).version)
    return tuple(found)


@pytest.fixture(scope="session")
def server(settings: Settings) -> Iterator[VllmServer]:
    """The server, started as `rag-adapt vllm --start` does."""
    server = VllmServer(settings.home)
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    plan = server_plan(
        language_files(settings).path,
        python=str(PYTHON),
        gpu=False,
        port=port,
        slots=SLOTS,
        max_rank=8,
        context=1024,
    )
    server.start(plan, Silent())
    try:
        yield server
    finally:
        server.stop()


@pytest.fixture
def ground(settings: Settings, versions: tuple[str, ...], server: VllmServer) -> Iterator[Ground]:
    """Settings, adapters and a running server, with what a test asks of them."""
    if not server.running():  # a test that failed left it dead
        record = server.record()
        assert record is not None
        server.start(record.plan, Silent())
    with Ground.open(settings, versions, server) as ground:
        yield ground
