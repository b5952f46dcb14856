"""The thirteen traps of serving adapters on vLLM, each closed, on a real server."""

import asyncio
import json
import shutil
import uuid
from contextlib import aclosing
from pathlib import Path

import httpx
import pytest

from rag_adapt.adapters.check import validate, weights_hash
from rag_adapt.bench.proof import first_look
from rag_adapt.core.errors import AdapterError, NotProvenError, RagAdaptError
from rag_adapt.core.types import AdapterRef, Message
from rag_adapt.engines.admission import Admission
from rag_adapt.keys.store import KeyStore
from tests.vllm.scene import SEA, Ground, call_of, distance, renamed, with_config

NOISE = 0.02
"""Nats per token by which equal computations differ here."""


def test_trap_01_base_mixed_with_adapters(ground: Ground) -> None:
    """The server's base is wrong beside adapters once every slot is taken; ours is not."""

    async def scene() -> None:
        async with ground.behind() as behind:
            alone = await behind.say("base")
            for version in ground.versions:  # every slot has been used
                await ground.ask(version, "hi", tokens=2)
            busy = [
                asyncio.create_task(ground.ask(version, f"{n} tell me more", tokens=40))
                for n, version in enumerate(ground.versions[:2] * 2)
            ]
            await asyncio.sleep(0.5)
            theirs, ours = await asyncio.gather(behind.say("base"), ground.ask(None))
            figures = await behind.say(ours.sent.model)
            await asyncio.gather(*busy)
        assert ours.text == alone.text
        assert distance(figures.logprobs, alone.logprobs) < NOISE
        print("\nbase alone and mixed, behind our back:", distance(theirs.logprobs, alone.logprobs))

    ground.run(scene())


def test_trap_02_new_weights_under_an_old_name(ground: Ground) -> None:
    """Two trainings of one skill are two names; each answers as itself, whatever was cached."""
    first, second = ground.versions[0], ground.versions[3]
    assert first != second

    async def scene() -> None:
        for version in (first, second, first):
            await ground.engine.ensure_loaded(version)
            await ground.ask(version)
        assert (await ground.prove(first)).proven
        assert (await ground.prove(second)).proven
        async with ground.behind() as behind:
            said = [await behind.say(version) for version in (first, second)]
        assert distance(said[0].logprobs, said[1].logprobs) > 0

    ground.run(scene())


def test_trap_03_an_adapter_that_does_nothing(ground: Ground, tmp_path: Path) -> None:
    """vLLM takes it with 200; we refuse it when it is stored, and else after it is loaded."""
    there = ground.store.folder / ground.versions[0]
    useless = renamed(there, tmp_path / "useless", lambda name: name.replace("layers.", "other."))
    modules = {"model.layers.0.self_attn.q_proj"}
    with pytest.raises(AdapterError, match="the base model has no module"):
        validate(useless, base_modules=modules)
    version = f"useless@{weights_hash(useless)}"
    smuggled = ground.store.folder / version
    shutil.copytree(useless, smuggled)
    card = json.loads((there / "card.json").read_text())
    (smuggled / "card.json").write_text(json.dumps({**card, "name": "useless", "version": version}))

    async def scene() -> None:
        with pytest.raises((NotProvenError, AdapterError)) as refused:
            await ground.ask(version)
        print(f"\nrefused: {refused.value.fact}")
        async with ground.behind() as behind:
            assert version not in await behind.models()

    ground.run(scene())
    shutil.rmtree(smuggled)


def test_trap_04_files_deleted_while_registered(ground: Ground, tmp_path: Path) -> None:
    """Unregistered, drained, unloaded; only then deleted: the server lives on."""
    gone, others = ground.versions[0], ground.versions[1:]

    async def scene() -> None:
        running = asyncio.create_task(ground.ask(gone, tokens=60))
        await asyncio.sleep(1)
        leaving = asyncio.create_task(ground.engine.adapters.unload(gone))
        await asyncio.sleep(0.2)
        assert not leaving.done() or running.done()
        await leaving
        assert running.done()
        async with ground.behind() as behind:
            assert gone not in await behind.models()
            folder = ground.store.folder / gone
            moved = folder.rename(tmp_path / "gone")
            try:
                for version in others:
                    assert (await ground.ask(version, "hi", tokens=2)).text is not None
                with pytest.raises(AdapterError, match="there is no adapter"):
                    await ground.ask(gone)
                assert await behind.well()
            finally:
                moved.rename(folder)

    ground.run(scene())


def test_trap_05_nothing_is_reloaded_in_place(ground: Ground) -> None:
    """A stream ends with the weights that it began with, whatever comes meanwhile.

    Its text is that of an answer alone; or, where a batch of another composition rounds otherwise,
    what came after the second one was loaded is likelier by the first one than by the second.
    """
    first, second = ground.versions[0], ground.versions[2]  # of another skill

    async def scene() -> None:
        alone = await ground.ask(first, tokens=40)
        stream = ground.engine.generate(call_of(first, SEA, tokens=40))
        async with aclosing(stream) as deltas:
            text = (await anext(deltas)).text
            await ground.engine.ensure_loaded(second)
            other = asyncio.create_task(ground.ask(second, tokens=40))
            async for delta in deltas:
                text += delta.text
            await other
        client, asked = ground.engine.client, Message(role="user", content=SEA)
        prompt = await client.render((asked,))
        whole = await client.render((asked, Message(role="assistant", content=text)))
        assert whole[: len(prompt)] == prompt
        begun, late = whole[: len(prompt) + 5], whole[len(prompt) + 5 : len(prompt) + 15]
        likely = [sum(await client.logprobs_of_ids(begun, late, each)) for each in (first, second)]
        print("\nwhat came later, by the first and by the second:", likely)
        assert text == alone.text or likely[0] > likely[1]

    ground.run(scene())


@pytest.mark.parametrize("name", ["../manual", "/etc", "manual/../../x", "base-unchanged@0"])
def test_trap_06_a_name_is_never_a_folder(ground: Ground, name: str) -> None:
    """Neither the server nor we load what a request names."""

    async def scene() -> None:
        async with ground.behind() as behind:
            before = await behind.models()
            reply = await behind.client.post(
                "/v1/completions", json={"model": name, "prompt": "a", "max_tokens": 1}
            )
            assert reply.status_code == 404
            with pytest.raises(AdapterError):
                await ground.ask(name)
            assert await behind.models() == before

    ground.run(scene())


def test_trap_07_slots_outlive_unloading(ground: Ground) -> None:
    """After more loads and unloads than there are slots, everybody still answers as himself."""

    async def scene() -> None:
        for _ in range(2):
            for version in ground.versions:
                assert (await ground.prove(version)).proven
                await ground.engine.adapters.unload(version)
        async with ground.behind() as behind:
            assert not set(ground.versions) & set(await behind.models())

    ground.run(scene())


@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        ({"use_dora": True}, "use_dora"),
        ({"bias": "all"}, "biases"),
        ({"r": 3}, "rank 3"),
        ({"modules_to_save": ["lm_head"]}, "modules_to_save"),
        ({"init_lora_weights": "pissa"}, "changes the base weights"),
    ],
)
def test_trap_08_refused_when_it_is_stored(
    ground: Ground, tmp_path: Path, changes: dict[str, object], reason: str
) -> None:
    """What vLLM would refuse or mistake is refused where an adapter is stored."""
    folder = tmp_path / "odd"
    shutil.copytree(ground.store.folder / ground.versions[0], folder)
    with_config(folder, **changes)
    with pytest.raises(AdapterError, match=reason):
        validate(folder)


def test_trap_08_a_rank_beyond_the_servers_is_told(ground: Ground, tmp_path: Path) -> None:
    """The server takes ranks up to 8 here."""
    import torch
    from safetensors.torch import load_file, save_file

    folder = tmp_path / "wide"
    shutil.copytree(ground.store.folder / ground.versions[0], folder)
    file = folder / "adapter_model.safetensors"
    wide = {
        name: torch.cat([tensor, tensor], dim=0 if ".lora_A." in name else 1).contiguous()
        for name, tensor in load_file(str(file)).items()
    }
    save_file(wide, str(file))
    with_config(folder, r=16)
    validate(folder)  # it is a good adapter; this server is too small for it

    ref = AdapterRef(version="wide@000000000000", path=str(folder), rank=16)

    async def scene() -> None:
        with pytest.raises(AdapterError, match=r"vLLM refuses adapter .* \(rank 16\)"):
            await ground.engine.client.load(ref, ref.path)
        async with ground.behind() as behind:
            assert await behind.well()
            assert ref.version not in await behind.models()

    ground.run(scene())


def test_trap_09_more_adapters_than_slots(ground: Ground) -> None:
    """Never more in flight than there are slots; everybody is served, in turn."""

    async def scene() -> None:
        await asyncio.gather(*(ground.engine.ensure_loaded(v) for v in ground.versions))
        most = 0

        async def look(admission: Admission) -> None:
            nonlocal most
            while True:
                most = max(most, len(admission.inside))
                await asyncio.sleep(0.01)

        looking = asyncio.create_task(look(ground.engine.admission))
        asked = [
            ground.ask(version, f"{n} hello", tokens=4)
            for n in range(3)
            for version in ground.versions
        ]
        outcomes = await asyncio.gather(*asked)
        looking.cancel()
        assert ground.engine.admission.slots == 2
        assert 1 <= most <= 2
        assert {outcome.sent.model for outcome in outcomes} == set(ground.versions)

    ground.run(scene())


def test_trap_10_registrations_vanish(ground: Ground) -> None:
    """What the server forgot is loaded again: pinned at once, others when they are asked for."""
    pinned, other = ground.versions[:2]

    async def scene() -> None:
        await ground.engine.adapters.pin(pinned)
        await ground.engine.ensure_loaded(other)
        async with ground.behind() as behind:
            for name in set(await behind.models()) - {"base"}:
                await behind.unload(name)
            assert set(await behind.models()) == {"base"}
            lost = await ground.engine.adapters.reconcile()
            assert {pinned, other} <= set(lost)
            assert pinned in await behind.models()
            for name in set(await behind.models()) - {"base"}:  # and behind our back again
                await behind.unload(name)
            assert (await ground.ask(other)).sent.adapter == other
        ground.engine.adapters.unpin(pinned)

    ground.run(scene())


def test_trap_11_the_key_guards_little(ground: Ground) -> None:
    """So the server is on loopback alone; whoever is there already passes some of its doors."""
    record = ground.server.record()
    assert record is not None
    assert record.api_base.startswith("http://127.0.0.1:")
    assert ("--host", "127.0.0.1") in zip(record.plan.argv(), record.plan.argv()[1:], strict=False)
    root = record.api_base.removesuffix("/v1")
    with httpx.Client(base_url=root, trust_env=False) as nobody:
        assert nobody.get("/v1/models").status_code == 401
        assert nobody.post("/invocations", json={}).status_code != 401


@pytest.mark.parametrize("extra", [{"echo": True}, {"prompt_logprobs": 1}])
def test_trap_12_what_would_end_the_server_is_refused(
    ground: Ground, extra: dict[str, object]
) -> None:
    """At our door, while adapters answer; the server lives on."""
    from rag_adapt.api.app import create_app
    from rag_adapt.core.protocols import Silent
    from rag_adapt.wiring_service import open_service

    opened = open_service(ground.settings, Silent())
    app = create_app(opened.service, keys=KeyStore(ground.settings.home))

    async def scene() -> None:
        busy = [
            asyncio.create_task(ground.ask(version, f"{n} hello", tokens=20))
            for n, version in enumerate(ground.versions[:2] * 2)
        ]
        transport = httpx.ASGITransport(app)
        async with httpx.AsyncClient(transport=transport, base_url="http://127.0.0.1") as client:
            asked = {"model": "default", "prompt": "a", "max_tokens": 1, **extra}
            reply = await client.post("/v1/completions", json=asked)
        assert reply.status_code == 400, reply.text
        await asyncio.gather(*busy)
        async with ground.behind() as behind:
            assert await behind.well()
        await opened.end()

    try:
        ground.run(scene())
    finally:
        opened.close()


def test_trap_13_what_we_send_ourselves_is_short(ground: Ground) -> None:
    """Long prompts under adapters take seconds on a CPU: a probe never sends one, and what is
    asked first, which decides nearly always, costs at most half of it."""
    for version in ground.versions:
        probe = ground.store.probe(version)
        assert len(probe.prompts) <= 8
        assert max(len(prompt.prompt_ids) for prompt in probe.prompts) <= 512
        first = first_look(probe)
        assert first is not None, version
        assert 2 * first.cost <= probe.cost, version
        assert max(len(prompt.continuation_ids) for prompt in first.prompts) <= 8


def test_an_adapter_of_another_training_does_not_pass_as_this_one(ground: Ground) -> None:
    """Weights of one adapter under the references of another are found out."""
    true, other = ground.store.folder / ground.versions[0], ground.store.folder / ground.versions[1]
    version = f"mixed-up@{weights_hash(other)}"
    folder = ground.store.folder / version
    shutil.copytree(other, folder)
    shutil.copy(true / "probe.json", folder / "probe.json")
    card = json.loads((true / "card.json").read_text())
    (folder / "card.json").write_text(json.dumps({**card, "name": "mixed-up", "version": version}))

    async def scene() -> None:
        with pytest.raises(NotProvenError, match=r"parity|canary"):
            await ground.ask(version)
        with pytest.raises(RagAdaptError):
            await ground.ask(f"nobody@{uuid.uuid4().hex[:12]}")

    try:
        ground.run(scene())
    finally:
        shutil.rmtree(folder)
