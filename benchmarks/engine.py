"""Compares the embedded engine with plain `transformers`, side by side in one run.

It does not know the benchmark command or skills. Run `python -m benchmarks.engine`; the figures
are ratios, so that a busy machine disturbs them less. Uses the default model and eight random
LoRA adapters that it makes itself.
"""

import argparse
import asyncio
import os
import platform
import random
import statistics
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from rag_adapt.core.types import AdapterRef, Call, Message, Outcome, Sampling

if TYPE_CHECKING:
    from rag_adapt.engines.embedded import EmbeddedEngine
    from rag_adapt.models.loading import LoadedModel

REQUESTS: Final = 64
ALONE: Final = 5
"""Requests of the sequential baseline: enough for its tokens per second."""
BATCHES: Final = (16, 32)
"""Sizes of static batches, tried on every other request."""
ADAPTERS: Final = 8
TOKENS: Final = 24
WORDS: Final = (
    "card bank transfer payment account money app number order refund cash exchange fee week "
    "today status country phone address identity pending limit balance charge machine currency"
).split()


@dataclass(frozen=True, kw_only=True)
class Line:
    """A row of the printed table."""

    what: str
    ours: str
    theirs: str
    ratio: float
    wanted: str
    """The bound, as text."""
    kept: bool


def prompts(count: int, seed: int, *, shared: str = "") -> list[tuple[Message, ...]]:
    """Chat questions of mixed length: 30 to 180 random words after an optional shared beginning."""
    chance = random.Random(seed)
    lengths = [30 + number * 150 // count for number in range(count)]
    chance.shuffle(lengths)
    made: list[tuple[Message, ...]] = []
    for length in lengths:
        words = " ".join(chance.choices(WORDS, k=length))
        text = f"{words}\nAnswer in one sentence."
        system = Message(role="system", content=f"{chance.random()} {shared}")
        made.append((system, Message(role="user", content=text)))
    return made


def main() -> None:
    """Measure and print."""
    arguments = argparse.ArgumentParser(description=__doc__)
    arguments.add_argument("--home", type=Path, default=Path(".rag-adapt"))
    home: Path = arguments.parse_args().home
    loaded = load(home)
    from rag_adapt.engines.embedded import EmbeddedEngine

    asked = prompts(REQUESTS, seed=1)
    sequential = said("generate, one after another", one_by_one(loaded, asked[:ALONE]))
    static = {
        size: said(f"generate, batches of {size}", in_batches(loaded, asked[::2], size))
        for size in BATCHES
    }
    best = max(static, key=lambda size: static[size])
    engine = EmbeddedEngine(loaded)
    try:
        ours = said("engine, all at once", asyncio.run(stream(engine, asked, [None])))
        lines = [
            line("tokens/s, 64 at once : one generate after another", ours, sequential, 3.0),
            line(f"tokens/s, 64 at once : static batches of {best}", ours, static[best], 0.8),
            *asyncio.run(with_adapters(engine)),
        ]
    finally:
        engine.close()
    show(lines, loaded)


def load(home: Path) -> "LoadedModel":
    """The default model, converted on first use."""
    from rag_adapt.models.loading import load_language_model
    from rag_adapt.models.resolve import resolve_model

    return load_language_model(resolve_model("default", home=home))


def one_by_one(loaded: "LoadedModel", asked: Sequence[tuple[Message, ...]]) -> float:
    """Tokens per second of `generate`, one request after another."""
    in_batches(loaded, asked[:1], 1)  # warm
    return in_batches(loaded, asked, 1)


def in_batches(loaded: "LoadedModel", asked: Sequence[tuple[Message, ...]], size: int) -> float:
    """Tokens per second of `generate` on static batches, the prompts sorted by length."""
    import torch

    rows = sorted((loaded.chat.render(messages) for messages in asked), key=len)
    started, produced = time.perf_counter(), 0
    for start in range(0, len(rows), size):
        batch = rows[start : start + size]
        width = max(map(len, batch))
        ids = torch.tensor([[0] * (width - len(row)) + list(row) for row in batch])
        mask = torch.tensor([[0] * (width - len(row)) + [1] * len(row) for row in batch])
        with torch.inference_mode():
            found = loaded.model.generate(
                input_ids=ids, attention_mask=mask, max_new_tokens=TOKENS, do_sample=False
            )[:, width:]
        produced += sum(_length(row, loaded.chat.stop_ids) for row in found.tolist())
    return produced / (time.perf_counter() - started)


def _length(tokens: list[int], stops: Sequence[int]) -> int:
    """Tokens up to and with the first one that ends an answer."""
    ends = [place for place, token in enumerate(tokens) if token in stops]
    return ends[0] + 1 if ends else len(tokens)


async def stream(
    engine: "EmbeddedEngine",
    asked: Sequence[tuple[Message, ...]],
    adapters: Sequence[str | None],
) -> float:
    """Tokens per second of the engine, all requests at once, adapters in turn."""
    started = time.perf_counter()
    outcomes = await asyncio.gather(
        *(
            answer(engine, messages, adapters[number % len(adapters)])
            for number, messages in enumerate(asked)
        )
    )
    produced = sum(outcome.usage.tokens_out for outcome in outcomes)
    return produced / (time.perf_counter() - started)


async def answer(
    engine: "EmbeddedEngine", messages: tuple[Message, ...], adapter: str | None
) -> Outcome:
    """One greedy answer."""
    call = Call(messages=messages, sampling=Sampling(max_tokens=TOKENS), adapter=adapter)
    outcome = None
    async for delta in engine.generate(call):
        outcome = delta.outcome
    assert outcome is not None
    return outcome


async def with_adapters(engine: "EmbeddedEngine") -> list[Line]:
    """Eight adapters mixed in a stream against one alone; a switch against none."""
    with tempfile.TemporaryDirectory() as folder:
        refs = make_adapters(engine.loaded, Path(folder))
        for ref in refs:
            await engine.load_adapter(ref)
    versions = [ref.version for ref in refs]
    one = mixed = 0.0
    for seed in (2, 3):  # twice in turn, the better of each: other processes disturb a single run
        asked = prompts(REQUESTS, seed=seed)
        one = max(one, said("one adapter", await stream(engine, asked, versions[:1])))
        mixed = max(mixed, said("8 adapters", await stream(engine, asked, versions)))
    same = await first_tokens(engine, lambda _: versions[0])
    switched = await first_tokens(engine, lambda turn: versions[turn % ADAPTERS])
    return [
        line("tokens/s, 8 adapters in one stream : one adapter", mixed, one, 0.7),
        line("ms to first token, adapter switched : not switched", switched, same, 1.5, most=True),
    ]


async def first_tokens(engine: "EmbeddedEngine", choose: Callable[[int], str]) -> float:
    """Median milliseconds to the first token of requests asked one after another."""
    found = []
    for turn, messages in enumerate(prompts(14, seed=4)):
        outcome = await answer(engine, messages, choose(turn))
        found.append(1000 * outcome.times.first_token)
    return statistics.median(found[2:])


def said(what: str, tokens_per_second: float) -> float:
    """Tell a measured figure at once, for the whole takes minutes."""
    print(f"{what}: {tokens_per_second:.1f} tokens/s", file=sys.stderr, flush=True)
    return tokens_per_second


def make_adapters(loaded: "LoadedModel", folder: Path) -> list[AdapterRef]:
    """Random LoRA adapters of rank 8 on all linear layers."""
    import torch
    from peft import LoraConfig, get_peft_model
    from transformers import AutoModelForCausalLM

    base: Any = AutoModelForCausalLM.from_pretrained(loaded.files.path, dtype=torch.bfloat16)
    config = LoraConfig(r=8, lora_alpha=16, target_modules="all-linear", task_type="CAUSAL_LM")
    model = get_peft_model(base, config)
    torch.manual_seed(0)
    refs = []
    for number in range(ADAPTERS):
        for name, weight in model.named_parameters():
            if "lora_" in name:
                torch.nn.init.normal_(weight.data, std=0.02)
        path = folder / str(number)
        model.save_pretrained(path)
        refs.append(AdapterRef(version=f"random-{number}@{number:012x}", path=str(path), rank=8))
    return refs


def line(what: str, ours: float, theirs: float, bound: float, *, most: bool = False) -> Line:
    """A row; `most` where a small ratio is good."""
    ratio = ours / theirs
    return Line(
        what=what,
        ours=f"{ours:.1f}",
        theirs=f"{theirs:.1f}",
        ratio=ratio,
        wanted=f"<= {bound}" if most else f">= {bound}",
        kept=ratio <= bound if most else ratio >= bound,
    )


def show(lines: Sequence[Line], loaded: "LoadedModel") -> None:
    """Print the table and the machine."""
    import torch

    width = max(len(entry.what) for entry in lines)
    print(f"{'':{width}}  {'ours':>8}  {'theirs':>8}  {'ratio':>6}  wanted")
    for entry in lines:
        mark = "" if entry.kept else "  MISSED"
        print(
            f"{entry.what:{width}}  {entry.ours:>8}  {entry.theirs:>8}  {entry.ratio:6.2f}  "
            f"{entry.wanted}{mark}"
        )
    print(
        f"{loaded.files.name} {loaded.files.weights[:12]}, {loaded.dtype} on {loaded.device}; "
        f"{os.cpu_count()} cores, {platform.machine()}, torch {torch.__version__}, "
        f"{TOKENS} new tokens at most"
    )


if __name__ == "__main__":
    main()
