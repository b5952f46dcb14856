"""Adapters in one batch, loaded and unloaded while the engine runs."""

import asyncio
import json
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from rag_adapt.core.errors import AdapterError
from rag_adapt.core.types import AdapterRef, Outcome
from rag_adapt.engines.embedded import EmbeddedEngine
from rag_adapt.engines.embedded_adapters import EmbeddedBackend, inner_name
from rag_adapt.engines.lifecycle import Lifecycle
from tests.engines.embedded_parts import answer, call, load, make_adapter, one_by_one, together
from tests.tiny_model import make_tiny_model

NAMES = ("one.dot", "two", "three")


@pytest.fixture(scope="module")
def refs(tiny_model: Path, tmp_path_factory: pytest.TempPathFactory) -> tuple[AdapterRef, ...]:
    """Adapters of different rank, one of them on other layers."""
    folder = tmp_path_factory.mktemp("adapters")
    return (
        make_adapter(tiny_model, folder, NAMES[0], rank=4),
        make_adapter(tiny_model, folder, NAMES[1], rank=8),
        make_adapter(tiny_model, folder, NAMES[2], rank=2, target_modules=["q_proj", "v_proj"]),
    )


@pytest.fixture
def engine(tiny_model: Path) -> Iterator[EmbeddedEngine]:
    engine = EmbeddedEngine(load(tiny_model))
    yield engine
    engine.close()


@pytest.fixture
def exact(tiny_model: Path) -> Iterator[EmbeddedEngine]:
    """Computes adapters as PEFT does."""
    engine = EmbeddedEngine(load(tiny_model, deterministic=True))
    yield engine
    engine.close()


async def load_all(engine: EmbeddedEngine, refs: tuple[AdapterRef, ...]) -> None:
    for ref in refs:
        await engine.load_adapter(ref)


def test_adapters_mixed_in_a_batch_answer_as_each_does_alone_in_peft(
    engine: EmbeddedEngine, exact: EmbeddedEngine, refs: tuple[AdapterRef, ...]
) -> None:
    versions = [None, *(ref.version for ref in refs)]
    calls = [
        call(f"question {'y' * number}", adapter=versions[number % 4], max_tokens=4 + number)
        for number in range(12)
    ]

    async def both() -> tuple[list[Outcome], list[Outcome]]:
        await load_all(engine, refs)
        await load_all(exact, refs)
        return await together(engine, calls), await one_by_one(exact, calls)

    mixed, alone = asyncio.run(both())
    assert [outcome.text for outcome in mixed] == [outcome.text for outcome in alone]
    assert [outcome.sent.adapter for outcome in mixed] == [c.adapter for c in calls]


def test_an_adapter_changes_the_answer_and_leaves_the_base_alone(
    engine: EmbeddedEngine, refs: tuple[AdapterRef, ...]
) -> None:
    async def before_and_after() -> list[str]:
        before = await answer(engine, call("same question"))
        await load_all(engine, refs)
        base, adapted = await together(
            engine, [call("same question"), call("same question", adapter=refs[0].version)]
        )
        await engine.unload_adapter(refs[0].version)
        after = await answer(engine, call("same question"))
        return [before.text, base.text, after.text, adapted.text]

    found = asyncio.run(before_and_after())
    assert found[0] == found[1] == found[2]
    assert found[3] != found[0]


def test_logprobs_differ_by_adapter_and_agree_with_peft(
    engine: EmbeddedEngine, exact: EmbeddedEngine, refs: tuple[AdapterRef, ...]
) -> None:
    prompt, more = (1, 40, 41, 42), (50, 51, 52)

    async def all_of() -> list[tuple[float, ...]]:
        await load_all(engine, refs[:2])
        await load_all(exact, refs[:2])
        version = refs[0].version
        mixed = await asyncio.gather(
            engine.logprobs_of_ids(prompt, more, version), engine.logprobs_of_ids(prompt, more)
        )
        return [*mixed, await exact.logprobs_of_ids(prompt, more, version)]

    adapted, base, expected = asyncio.run(all_of())
    assert adapted == pytest.approx(expected, abs=1e-4)
    assert adapted != pytest.approx(base, abs=1e-2)


def test_the_last_adapter_can_be_unloaded_and_loaded_again(
    engine: EmbeddedEngine, refs: tuple[AdapterRef, ...]
) -> None:
    wanted = call("again", adapter=refs[1].version)

    async def twice() -> tuple[str, tuple[str, ...], str]:
        await engine.load_adapter(refs[1])
        first = await answer(engine, wanted)
        await engine.unload_adapter(refs[1].version)
        between = engine.resident()
        await engine.load_adapter(refs[1])
        await engine.load_adapter(refs[1])
        return first.text, between, (await answer(engine, wanted)).text

    first, between, second = asyncio.run(twice())
    assert first == second
    assert between == ()
    assert engine.resident() == (refs[1].version,)


def test_an_adapter_in_use_is_not_unloaded(
    engine: EmbeddedEngine, refs: tuple[AdapterRef, ...]
) -> None:
    async def try_it() -> None:
        await engine.load_adapter(refs[0])
        stream = engine.generate(call("long", adapter=refs[0].version, max_tokens=500))
        await anext(stream)
        assert engine.in_use(refs[0].version)
        with pytest.raises(AdapterError, match="in use by 1 requests"):
            await engine.unload_adapter(refs[0].version)
        await stream.aclose()
        assert not engine.in_use(refs[0].version)
        await engine.unload_adapter(refs[0].version)

    asyncio.run(try_it())
    assert engine.resident() == ()


def test_unloading_what_is_not_loaded_is_refused(engine: EmbeddedEngine) -> None:
    with pytest.raises(AdapterError, match="is not loaded"):
        asyncio.run(engine.unload_adapter("none@0"))


async def unproven(version: str) -> None:
    """What is loaded here is taken as it is."""


async def until(true: Callable[[], bool]) -> None:
    """Wait for what happens in the background."""
    for _ in range(4000):
        if true():
            return
        await asyncio.sleep(0.005)
    raise AssertionError("it did not happen within 20 s")


def test_the_least_recently_used_adapter_goes(
    engine: EmbeddedEngine, refs: tuple[AdapterRef, ...]
) -> None:
    known = {ref.version: ref for ref in refs}
    adapters = Lifecycle(EmbeddedBackend(engine), known.__getitem__, unproven, limit=2)

    async def use() -> None:
        await adapters.ensure_loaded(refs[0].version)
        await adapters.ensure_loaded(refs[1].version)
        assert await adapters.ensure_loaded(refs[0].version) == refs[0]
        await adapters.ensure_loaded(refs[2].version)
        await until(lambda: len(engine.resident()) == 2)

    asyncio.run(use())
    assert set(engine.resident()) == {refs[0].version, refs[2].version}


def test_adapters_in_use_stay_beyond_the_limit(
    engine: EmbeddedEngine, refs: tuple[AdapterRef, ...]
) -> None:
    known = {ref.version: ref for ref in refs}
    adapters = Lifecycle(EmbeddedBackend(engine), known.__getitem__, unproven, limit=1)

    async def use() -> None:
        async with adapters.using(refs[0].version):
            stream = engine.generate(call("long", adapter=refs[0].version, max_tokens=500))
            await anext(stream)
            await asyncio.gather(*(adapters.ensure_loaded(refs[1].version) for _ in range(3)))
            assert set(engine.resident()) == {refs[0].version, refs[1].version}
            await stream.aclose()
        await adapters.ensure_loaded(refs[2].version)
        await until(lambda: len(engine.resident()) == 1)
        await adapters.unload(refs[2].version)
        await adapters.unload(refs[2].version)
        await adapters.ensure_loaded(refs[2].version)

    asyncio.run(use())
    assert engine.resident() == (refs[2].version,)


def test_an_adapter_without_safetensors_is_refused(engine: EmbeddedEngine, tmp_path: Path) -> None:
    (tmp_path / "adapter_model.bin").write_bytes(b"a pickle")
    ref = AdapterRef(version="pickled@0", path=str(tmp_path), rank=4)
    with pytest.raises(AdapterError, match=r"no adapter_model\.safetensors"):
        asyncio.run(engine.load_adapter(ref))


def copy_of(ref: AdapterRef, folder: Path) -> AdapterRef:
    """The same adapter under another version, to be damaged."""
    folder.mkdir()
    for file in Path(ref.path).iterdir():
        (folder / file.name).write_bytes(file.read_bytes())
    return AdapterRef(version="damaged@0", path=str(folder), rank=ref.rank)


@pytest.mark.parametrize("others", [0, 1])
def test_a_damaged_adapter_is_refused_and_others_go_on(
    engine: EmbeddedEngine, refs: tuple[AdapterRef, ...], tmp_path: Path, others: int
) -> None:
    damaged = copy_of(refs[0], tmp_path / "damaged")
    Path(damaged.path, "adapter_model.safetensors").write_bytes(b"damaged")

    async def try_it() -> Outcome:
        await load_all(engine, refs[1 : 1 + others])
        with pytest.raises(AdapterError, match="cannot be loaded"):
            await engine.load_adapter(damaged)
        await engine.load_adapter(refs[2])
        return await answer(engine, call("go on", adapter=refs[2].version))

    assert asyncio.run(try_it()).text
    assert damaged.version not in engine.resident()


def test_an_adapter_of_another_base_model_is_refused(
    tmp_path: Path, engine: EmbeddedEngine, refs: tuple[AdapterRef, ...]
) -> None:
    other = copy_of(refs[0], tmp_path / "other")
    config = Path(other.path, "adapter_config.json")
    config.write_text(json.dumps({**json.loads(config.read_text()), "r": 8}))
    with pytest.raises(AdapterError, match=r"cannot be loaded: .*size mismatch"):
        asyncio.run(engine.load_adapter(other))


def test_an_adapter_whose_tensors_have_other_names_is_refused(
    engine: EmbeddedEngine, refs: tuple[AdapterRef, ...], tmp_path: Path
) -> None:
    from safetensors.torch import load_file, save_file

    other = copy_of(refs[0], tmp_path / "other")
    file = Path(other.path, "adapter_model.safetensors")
    renamed = {name.replace("layers.0", "layers.7"): t for name, t in load_file(file).items()}
    save_file(renamed, file)
    with pytest.raises(AdapterError, match="have no counterpart"):
        asyncio.run(engine.load_adapter(other))


def test_an_adapter_that_is_no_plain_lora_is_refused(
    engine: EmbeddedEngine, tiny_model: Path, tmp_path: Path
) -> None:
    dora = make_adapter(tiny_model, tmp_path, "dora", use_dora=True)
    with pytest.raises(AdapterError, match="more than a plain LoRA"):
        asyncio.run(engine.load_adapter(dora))
    assert asyncio.run(answer(engine, call("base goes on"))).text


def test_names_inside_peft_have_no_dots_and_none_is_part_of_another() -> None:
    names = [inner_name(version) for version in ("v1", "v10", "a.b@1", None)]
    assert not any("." in name for name in names)
    assert not any(a in b for a in names for b in names if a != b)


def test_another_model_gives_other_answers(tiny_model: Path, tmp_path: Path) -> None:
    engines = [
        EmbeddedEngine(load(folder)) for folder in (tiny_model, make_tiny_model(tmp_path, 1))
    ]
    try:
        one, two = (asyncio.run(answer(engine, call("hello"))).text for engine in engines)
    finally:
        for engine in engines:
            engine.close()
    assert one != two
