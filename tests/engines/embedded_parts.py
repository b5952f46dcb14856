"""Small models and adapters for the embedded engine's tests.

It does not know what is tested.
"""

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from pathlib import Path
from typing import Any, TypeVar

from rag_adapt.core.types import AdapterRef, Call, Delta, Message, Outcome, Sampling
from rag_adapt.engines.embedded import EmbeddedEngine
from rag_adapt.models.files import ModelFiles
from rag_adapt.models.loading import LoadedModel, load_language_model

Result = TypeVar("Result")


def load(folder: Path, *, deterministic: bool = False) -> LoadedModel:
    """The model in float32, where results of different computations can be compared."""
    files = ModelFiles(name="tiny", path=folder, weights="a" * 64, source="folder")
    return load_language_model(
        files, device="cpu", deterministic=deterministic, number_format="float32"
    )


def call(
    text: str, *, adapter: str | None = None, repeat: int = 0, system: str = "", **sampling: Any
) -> Call:
    """A question; greedy unless said otherwise."""
    messages = [Message(role="user", content=text)]
    if system:
        messages.insert(0, Message(role="system", content=system))
    return Call(
        messages=tuple(messages),
        sampling=Sampling(**{"max_tokens": 12, **sampling}),
        adapter=adapter,
        repeat=repeat,
    )


async def deltas(engine: EmbeddedEngine, wanted: Call) -> list[Delta]:
    """All pieces of an answer."""
    return [delta async for delta in engine.generate(wanted)]


async def answer(engine: EmbeddedEngine, wanted: Call) -> Outcome:
    """The end of an answer."""
    outcome = (await deltas(engine, wanted))[-1].outcome
    assert outcome is not None
    return outcome


async def together(engine: EmbeddedEngine, calls: Sequence[Call]) -> list[Outcome]:
    """Answers to calls made at the same time."""
    return list(await asyncio.gather(*(answer(engine, wanted) for wanted in calls)))


async def one_by_one(engine: EmbeddedEngine, calls: Sequence[Call]) -> list[Outcome]:
    """Answers to calls made one after another."""
    return [await answer(engine, wanted) for wanted in calls]


def using(engine: EmbeddedEngine, work: Callable[[], Awaitable[Result]]) -> Result:
    """Run something with an engine and close it."""

    async def run() -> Result:
        return await work()

    try:
        return asyncio.run(run())
    finally:
        engine.close()


def make_adapter(
    model: Path, folder: Path, name: str, *, rank: int = 4, **config: Any
) -> AdapterRef:
    """A random LoRA adapter, strong enough to change every answer."""
    import torch
    from peft import LoraConfig, get_peft_model
    from transformers import AutoModelForCausalLM

    base = AutoModelForCausalLM.from_pretrained(model, dtype=torch.float32)
    settings = {"target_modules": "all-linear", "lora_alpha": 2 * rank, **config}
    adapted: Any = get_peft_model(base, LoraConfig(r=rank, task_type="CAUSAL_LM", **settings))
    generator = torch.Generator().manual_seed(sum(name.encode()) + rank)
    for weights, values in adapted.named_parameters():
        if "lora_" in weights:
            values.data.normal_(std=0.3, generator=generator)
    path = folder / name
    adapted.save_pretrained(path, save_embedding_layers=False)
    return AdapterRef(version=f"{name}@{sum(name.encode()):012x}", path=str(path), rank=rank)
