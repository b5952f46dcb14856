"""Train here, answer there: what is proven over HTTP, and who has the GPU meanwhile."""

import asyncio
from collections.abc import Callable, Coroutine, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, TypeVar

import pytest

from rag_adapt.adapters.store import AdapterStore
from rag_adapt.bench.on_vllm import OnVllm
from rag_adapt.bench.plan import Plan
from rag_adapt.bench.proof import Proof
from rag_adapt.bench.trainer import Trainer
from rag_adapt.bench.training import Training
from rag_adapt.core.errors import AdapterError, EngineError, NotProvenError
from rag_adapt.core.protocols import Progress, Silent
from rag_adapt.core.types import Call, Fingerprint, Message, Outcome, Sampling
from rag_adapt.engines.vllm_client import VllmClient
from rag_adapt.models.chat import ChatFormat
from rag_adapt.skills.load import load_skill
from tests.adapters.samples import base
from tests.bench.published import publish, tiny_files
from tests.engines.fake_vllm import FakeVllm, Rows, serving
from tests.engines.told_answers import Told
from tests.samples import write_skill

Result = TypeVar("Result")
FINGERPRINT = Fingerprint(
    engine="vllm",
    model="tiny",
    weights="b" * 64,
    template_hash="c" * 12,
    dtype="bfloat16",
    device="cpu",
    deterministic=False,
)


@pytest.fixture(scope="module")
def chat(tiny_model: Path) -> ChatFormat:
    return ChatFormat.load(tiny_model)


class Ground:
    """A home with a model, and a server that computes with hashes."""

    def __init__(self, home: Path, model: Path, chat: ChatFormat, server: FakeVllm) -> None:
        self.home, self.model, self.chat, self.server = home, model, chat, server
        self.store = AdapterStore(home)
        self.told = Told("yes")
        self.rooms: list[str] = []
        server.render = self.rendered

    def rendered(self, rows: Rows) -> Sequence[int]:
        """As the model's own template does it."""
        messages = [Message(role="user", content=row["content"]) for row in rows]
        return self.chat.render(messages)

    @contextmanager
    def room(self, progress: Progress) -> Iterator[None]:
        """The GPU for a while."""
        self.rooms.append("given")
        try:
            yield
        finally:
            self.rooms.append("taken back")

    @contextmanager
    def live(
        self, *, seen: Path | None = None, busy: Callable[[], str | None] = lambda: None
    ) -> Iterator[OnVllm]:
        trainer = Trainer(
            tiny_files(self.model), base(self.model), self.chat.template_hash, self.store
        )
        made = OnVllm(
            trainer,
            answers=self.told,
            client=VllmClient(self.server.api_base, api_key=None, base="base"),
            fingerprint=FINGERPRINT,
            cache=self.home / "cache",
            seen=seen,
            gpu=self.room,
            busy=busy,
        )
        try:
            yield made
        finally:
            made.close()


@pytest.fixture
def ground(tmp_path: Path, tiny_model: Path, chat: ChatFormat) -> Iterator[Ground]:
    with serving() as server:
        yield Ground(tmp_path / "home", tiny_model, chat, server)


def run(live: OnVllm, scene: Coroutine[Any, Any, Result]) -> Result:
    async def played() -> Result:
        try:
            return await asyncio.wait_for(scene, 120)
        finally:
            await live.end()

    return asyncio.run(played())


async def answer(live: OnVllm, adapter: str | None = None) -> Outcome:
    call = Call(
        messages=(Message(role="user", content="hi"),), sampling=Sampling(), adapter=adapter
    )
    outcome = [delta async for delta in live.engine.generate(call)][-1].outcome
    assert outcome is not None
    return outcome


def results(proof: Proof) -> dict[str, bool]:
    return {check.name: check.passed for check in proof.checks}


def test_an_adapter_is_proven_by_the_servers_own_figures(ground: Ground) -> None:
    version = publish(ground.store, ground.chat)
    with ground.live() as live:
        proof = run(live, live.prove(version))
        assert results(proof) == {"hash": True, "template": True, "canary": True, "parity": True}
        assert proof.proven
        assert ground.server.adapters == {version: str((ground.store.folder / version).resolve())}


def test_it_is_proven_once_for_all_who_ask(ground: Ground) -> None:
    version = publish(ground.store, ground.chat)
    with ground.live() as live:
        first = run(live, live.prove(version))
        asked = len(ground.server.sent("/v1/completions"))
        assert run(live, live.prove(version)) is first
        assert len(ground.server.sent("/v1/completions")) == asked


def test_another_rendering_of_the_template_is_no_proof(ground: Ground) -> None:
    def otherwise(rows: Rows) -> Sequence[int]:
        return (*ground.rendered(rows), 9)

    version = publish(ground.store, ground.chat)
    ground.server.render = otherwise
    with ground.live() as live:
        proof = run(live, live.prove(version))
        assert results(proof) == {"hash": True, "template": False, "canary": True, "parity": True}
        assert proof.reason is not None
        assert "are our tokens of a prompt" in proof.reason
        with pytest.raises(NotProvenError, match="our tokens"):
            run(live, answer(live, version))
    assert ground.told.calls == []
    assert ground.server.adapters == {}


def test_a_restart_in_the_middle_of_a_proof_is_not_held_against_the_adapter(
    ground: Ground,
) -> None:
    def restarted(rows: Rows) -> Sequence[int]:
        ground.server.restart()
        return ground.rendered(rows)

    version = publish(ground.store, ground.chat)
    ground.server.render = restarted
    with ground.live() as live:
        with pytest.raises(EngineError, match="while it was being proven") as told:
            run(live, live.live.ensure_loaded(version))
        assert told.value.retryable
        ground.server.render = ground.rendered
        assert run(live, live.prove(version)).proven


def test_an_adapter_that_loads_and_does_nothing_is_found_out(ground: Ground) -> None:
    version = publish(ground.store, ground.chat)
    ground.server.deaf = True
    with ground.live() as live:
        proof = run(live, live.prove(version))
    assert not proof.proven
    assert not results(proof)["canary"]
    assert not results(proof)["parity"]


def test_another_adapter_under_this_name_is_found_out(ground: Ground) -> None:
    version = publish(ground.store, ground.chat)
    other = publish(ground.store, ground.chat, name="others", fill=2.0)
    elsewhere = ground.home / "elsewhere"
    elsewhere.mkdir()
    (elsewhere / version).symlink_to(ground.store.folder / other)
    with ground.live(seen=elsewhere) as live:
        proof = run(live, live.prove(version))
    assert results(proof) == {"hash": True, "template": True, "canary": True, "parity": False}


def test_a_server_that_sees_the_adapters_elsewhere_is_named_its_own_path(ground: Ground) -> None:
    version = publish(ground.store, ground.chat)
    mounted = ground.home / "mounted"
    mounted.symlink_to(ground.store.folder)
    ground.server.release = "0.32.0"
    with ground.live(seen=mounted) as live:
        assert run(live, live.prove(version)).proven
    null = next(name for name in ground.server.adapters if name != version)
    assert ground.server.adapters == {
        version: str(mounted / version),
        null: str(mounted / ".unchanged" / null),
    }


def test_the_unchanged_adapter_is_none_of_the_homes(ground: Ground) -> None:
    version = publish(ground.store, ground.chat)
    ground.server.release = "0.32.0"
    with ground.live() as live:
        run(live, answer(live))
    assert [card.version for card in ground.store.list()] == [version]
    assert ground.store.broken() == ()
    (sent,) = ground.told.calls
    assert (sent.adapter or "").startswith("base-unchanged@")


def test_an_adapter_that_is_not_there_has_no_proof(ground: Ground) -> None:
    with ground.live() as live, pytest.raises(AdapterError, match="there is no adapter"):
        run(live, live.prove("codes@000000000000"))


def test_an_adapter_of_another_base_is_not_even_loaded(ground: Ground) -> None:
    version = publish(ground.store, ground.chat, weights="e" * 64)
    with ground.live() as live, pytest.raises(AdapterError, match="was trained on"):
        run(live, live.prove(version))
    assert ground.server.adapters == {}


def test_an_answer_is_kept(ground: Ground) -> None:
    version = publish(ground.store, ground.chat)
    with ground.live() as live:
        first = run(live, answer(live, version))
        second = run(live, answer(live, version))
    assert first.text == second.text == "yes"
    assert second.times.cached
    assert [call.adapter for call in ground.told.calls] == [version]


def test_while_the_server_is_away_on_purpose_the_reason_is_said(ground: Ground) -> None:
    with (
        ground.live(busy=lambda: "a training has the GPU") as live,
        pytest.raises(EngineError, match="a training has the GPU"),
    ):
        run(live, answer(live))


def training(folder: Path) -> Training:
    """Of a few seconds at most."""
    skill = load_skill(write_skill(folder / "colours"))
    plan = Plan(skills=(skill,), arms=("lora",), epochs=1, rank=1)
    return Training(skill=skill, items=tuple(skill.items_of("train")), plan=plan, seed=0)


def test_a_training_has_the_gpu_and_one_that_is_known_needs_none(
    ground: Ground, tmp_path: Path
) -> None:
    wanted = training(tmp_path)
    with ground.live() as live:
        card = live.train(wanted, Silent())
        assert ground.rooms == ["given", "taken back"]
        assert live.train(wanted, Silent()) == card
        assert ground.rooms == ["given", "taken back"]
    assert ground.store.card(card.version) == card


def test_a_training_that_fails_gives_the_gpu_back(ground: Ground, tmp_path: Path) -> None:
    class Stopping(Silent):
        def update(self, stage: str, done: int, total: int, note: str = "") -> None:
            raise KeyboardInterrupt

    with ground.live() as live, pytest.raises(KeyboardInterrupt):
        live.train(training(tmp_path), Stopping())
    assert ground.rooms == ["given", "taken back"]
