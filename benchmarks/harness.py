"""rag-adapt's embedded engine beside lm-evaluation-harness: same prompts, model and limits.

It does not judge: it prints items per second, the ratio to the harness's best batch size, and how
many outputs are equal, as text and token for token. The harness gets an environment of its own,
made on first use.

    python -m benchmarks.harness --data ../shared/data/banking77/train.csv
"""

import argparse
import asyncio
import csv
import json
import shlex
import subprocess
import sys
import tempfile
import time
import venv
from collections.abc import Sequence
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path
from typing import Any, Final

from rag_adapt.core.types import Call, Message, Outcome, Sampling
from rag_adapt.engines.embedded import EmbeddedEngine
from rag_adapt.engines.embedded_rows import Row

HERE: Final = Path(__file__).parent
INTENTS: Final = 12
PER_INTENT: Final = 8
MAX_TOKENS: Final = 24
SAMPLING: Final = Sampling(max_tokens=MAX_TOKENS, stop=("\n",))
HARNESS: Final = "lm_eval[hf]==0.4.13"


@dataclass(frozen=True, kw_only=True)
class Problem:
    """One question with its intent."""

    messages: tuple[Message, ...]
    target: str


@dataclass(frozen=True, kw_only=True)
class Result:
    """What one side did with all problems."""

    name: str
    seconds: float
    """Generation alone; loading is not counted on either side."""
    cpu_seconds: float
    """Of all threads: steadier than wall seconds on a machine that has other work."""
    outputs: tuple[str, ...]
    prompt_ids: tuple[tuple[int, ...], ...]
    output_ids: tuple[tuple[int, ...], ...]
    """Ours end with the token that ended the answer; the harness goes on until its batch ends."""

    @property
    def rate(self) -> float:
        """Items per second."""
        return len(self.outputs) / self.seconds


def problems(path: Path) -> list[Problem]:
    """The first questions of the first intents by name."""
    with path.open(newline="", encoding="utf-8") as file:
        rows = list(csv.DictReader(file))
    intents = sorted({row["category"] for row in rows})[:INTENTS]
    instruction = f"Answer with one of these intents and nothing else: {', '.join(intents)}."
    return [
        Problem(
            messages=(
                Message(role="system", content=instruction),
                Message(role="user", content=row["text"]),
            ),
            target=intent,
        )
        for intent in intents
        for row in [row for row in rows if row["category"] == intent][:PER_INTENT]
    ]


def prepare(folder: Path, pip_arguments: Sequence[str]) -> Path:
    """The interpreter of the harness's environment; made and filled where it is missing.

    torch and transformers have the versions of this process. torch is asked for with its local
    part, so that a CPU build is never replaced by one for CUDA.

    Raises:
        subprocess.CalledProcessError: pip could not install something.
    """
    python = folder / "bin" / "python"
    ready = [str(python), "-c", "import lm_eval.models.huggingface"]
    if python.exists() and subprocess.run(ready, capture_output=True, check=False).returncode == 0:
        return python
    venv.create(folder, with_pip=True)
    (folder / ".gitignore").write_text("*\n")
    pip = [str(python), "-m", "pip", "install", "-q", *pip_arguments]
    pins = [f"{name}=={version(name)}" for name in ("torch", "transformers", "accelerate")]
    subprocess.run([*pip, pins[0]], check=True)
    subprocess.run([*pip, *pins, HARNESS], check=True)
    return python


def run_harness(
    python: Path, model: Path, prompts: Path, dtype: str, sizes: Sequence[int]
) -> list[Result]:
    """lm-evaluation-harness at each batch size.

    Raises:
        subprocess.CalledProcessError: the harness failed; its own words stand above.
    """
    with tempfile.TemporaryDirectory() as folder:
        out = Path(folder) / "out.json"
        # -P: this folder has a module called statistics, which must not stand before the library's
        command = [python, "-P", HERE / "harness_side.py", "--model", model, "--prompts", prompts]
        command += ["--out", out, "--dtype", dtype, "--max-tokens", MAX_TOKENS]
        command += ["--batch-sizes", *sizes]
        subprocess.run([str(part) for part in command], check=True, stdout=subprocess.DEVNULL)
        found = json.loads(out.read_text())
    return [
        Result(
            name=f"harness, batch {size}, {dtype}",
            seconds=data["seconds"],
            cpu_seconds=data["cpu_seconds"],
            outputs=tuple(data["outputs"]),
            prompt_ids=tuple(tuple(ids) for ids in data["prompt_ids"]),
            output_ids=tuple(tuple(ids) for ids in data["output_ids"]),
        )
        for size, data in found.items()
    ]


class Watched(EmbeddedEngine):
    """The embedded engine, its rows kept: an outcome does not carry the answer's tokens."""

    def __init__(self, loaded: Any) -> None:
        super().__init__(loaded)
        self.rows: dict[int, Row] = {}
        """By the identity of the call."""

    def _asked(self, call: Call, tokens: Sequence[int], flight: Any) -> Any:
        asked = super()._asked(call, tokens, flight)
        self.rows[id(call)] = asked.row
        return asked


async def run_ours(engine: Watched, items: Sequence[Problem], name: str, width: int) -> Result:
    """All problems through an engine, `width` in flight, as the benchmark's runner does."""
    slots = asyncio.Semaphore(width)
    calls = [Call(messages=problem.messages, sampling=SAMPLING) for problem in items]

    async def ask(call: Call) -> Outcome:
        async with slots:
            outcomes = [delta.outcome async for delta in engine.generate(call)]
        assert outcomes[-1] is not None
        return outcomes[-1]

    await asyncio.gather(*(ask(call) for call in calls[:2]))
    start, worked = time.perf_counter(), time.process_time()
    found = await asyncio.gather(*(ask(call) for call in calls))
    return Result(
        name=name,
        seconds=time.perf_counter() - start,
        cpu_seconds=time.process_time() - worked,
        outputs=tuple(outcome.text for outcome in found),
        prompt_ids=tuple(outcome.sent.token_ids or () for outcome in found),
        output_ids=tuple(tuple(engine.rows[id(call)].produced) for call in calls),
    )


def load_engine(home: Path, *, deterministic: bool) -> tuple[Watched, Path, Any]:
    """The embedded engine, the model's folder, and the model's chat format."""
    from rag_adapt.models.loading import load_language_model
    from rag_adapt.models.resolve import resolve_model

    files = resolve_model("default", home=home)
    loaded = load_language_model(files, device="cpu", deterministic=deterministic)
    return Watched(loaded), files.path, loaded.chat


def write_prompts(path: Path, items: Sequence[Problem], chat: Any) -> None:
    """Problems as the harness reads them: rendered by the model's own chat template."""
    with path.open("w", encoding="utf-8") as file:
        for item in items:
            messages = [{"role": m.role, "content": m.content} for m in item.messages]
            prompt = chat.tokenizer.apply_chat_template(
                messages, add_generation_prompt=True, tokenize=False
            )
            file.write(json.dumps({"prompt": prompt, "target": item.target}) + "\n")


def compare(options: argparse.Namespace, dtype: str, sizes: Sequence[int]) -> list[Result]:
    """Both sides in one number format; ours is last."""
    items = problems(options.data)[options.skip : options.skip + options.items]
    engine, model, chat = load_engine(options.home, deterministic=dtype == "float32")
    with tempfile.TemporaryDirectory() as folder:
        prompts = Path(folder) / "prompts.jsonl"
        write_prompts(prompts, items, chat)
        theirs = run_harness(options.python, model, prompts, dtype, sizes)
    name = f"rag-adapt, {dtype}"
    try:
        ours = asyncio.run(run_ours(engine, items, name, options.concurrency))
    finally:
        engine.close()
    return [*theirs, ours]


def show(results: Sequence[Result]) -> None:
    """A line per side, and what they have in common."""
    *theirs, ours = results
    best = max(theirs, key=lambda result: result.rate)
    for result in results:
        print(
            f"{result.name:<32} {result.rate:6.2f} items/s  {result.seconds:7.1f} s  "
            f"{result.cpu_seconds:7.1f} CPU s"
        )
    tokens = sum(len(ids) for ids in ours.prompt_ids) / len(ours.prompt_ids)
    least = min(result.cpu_seconds for result in theirs)
    print(f"ratio to the harness's best      {ours.rate / best.rate:.2f}")
    print(f"the same in CPU seconds          {least / ours.cpu_seconds:.2f}")
    print(f"prompts with the same tokens     {_same(ours.prompt_ids, best.prompt_ids)}")
    print(f"tokens per prompt, mean          {tokens:.0f}")
    for result in theirs:
        cut = [
            other[: len(mine)]
            for mine, other in zip(ours.output_ids, result.output_ids, strict=True)
        ]
        print(
            f"outputs equal to {result.name}: {_same(ours.outputs, result.outputs)} as text, "
            f"{_same(ours.output_ids, cut)} token for token"
        )
    for mine, other in zip(ours.outputs, theirs[0].outputs, strict=True):
        if mine != other and ours.name.endswith("float32"):
            print(f"  ours    {mine!r}\n  harness {other!r}")


def _same(ours: Sequence[Any], theirs: Sequence[Any]) -> str:
    equal = sum(mine == other for mine, other in zip(ours, theirs, strict=True))
    return f"{equal}/{len(ours)}"


def main() -> None:
    """Speed in bfloat16, then equality in float32."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--data", type=Path, default=Path("../shared/data/banking77/train.csv"))
    parser.add_argument("--home", type=Path, default=Path(".rag-adapt"))
    parser.add_argument("--venv", type=Path, default=HERE / ".venv-harness")
    parser.add_argument("--pip-options", default="", help="of `pip install`, as one string")
    parser.add_argument("--batch-sizes", type=int, nargs="*", default=[1, 8, 16, 32])
    parser.add_argument("--exact-batch-size", type=int, default=8, help="0: leave equality out")
    parser.add_argument("--items", type=int, default=INTENTS * PER_INTENT)
    parser.add_argument("--skip", type=int, default=0, help="leave the first items out")
    parser.add_argument("--concurrency", type=int, default=32, help="ours: questions in flight")
    options = parser.parse_args()
    if not options.data.is_file():
        sys.exit(f"{options.data} is not there: give Banking77's train.csv with --data")
    options.python = prepare(options.venv, shlex.split(options.pip_options))
    if options.batch_sizes:
        show(compare(options, "bfloat16", options.batch_sizes))
    if options.exact_batch_size:
        show(compare(options, "float32", [options.exact_batch_size]))


if __name__ == "__main__":
    main()
