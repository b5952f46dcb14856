"""Compares our LoRA training with a plain PEFT loop on the same rows, side by side in one run.

It does not know the benchmark command or the store. Run `python -m benchmarks.training`; the
figures are ratios, so that a busy machine disturbs them less. Takes under two minutes on two
cores with the default model.
"""

import argparse
import time
from collections.abc import Callable, Sequence
from contextlib import nullcontext
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from rag_adapt.adapters import lora
from rag_adapt.adapters.examples import pick, training_rows
from rag_adapt.adapters.pack import TokenRow, answer_losses, packs
from rag_adapt.adapters.plan import plan_for
from rag_adapt.adapters.train import tokenise
from rag_adapt.core.template import Template
from rag_adapt.models.files import ModelFiles
from rag_adapt.models.loading import LoadedModel, load_language_model
from rag_adapt.models.resolve import resolve_model
from rag_adapt.skills.load import find_skill
from rag_adapt.skills.skill import Skill

BATCH: Final = 8
STEPS: Final = 2
WANTED: Final = 1.3
Step = Callable[[lora.Adapted, Sequence[TokenRow]], None]


@dataclass(frozen=True, kw_only=True)
class Case:
    """One comparison."""

    what: str
    rows: list[TokenRow]


def main() -> None:
    """Measure and print."""
    arguments = argparse.ArgumentParser(description=__doc__)
    arguments.add_argument("--home", type=Path, default=Path(".rag-adapt"))
    arguments.add_argument("--skill", default="orders")
    given = arguments.parse_args()
    files = resolve_model("default", home=given.home, kind="language")
    skill = find_skill(given.skill, given.home)
    chat = load_language_model(files, device="cpu").chat
    items = pick(skill.items_of("train"), BATCH * STEPS, seed=0)
    numbered = Template(system="", user="Case number {input}", name="own beginning")
    cases = (
        Case(
            what=f"{skill.name}: prompts with one beginning",
            rows=tokenise(training_rows(items, skill.prompt, labels=skill.labels), chat),
        ),
        Case(
            what=f"{skill.name}: inputs alone, only the chat header in common",
            rows=tokenise(training_rows(items, numbered), chat),
        ),
    )
    print(f"{BATCH * STEPS} rows, batches of {BATCH}, rank 8; tokens of the rows per second\n")
    for case in cases:
        compare(case, files, skill)


def compare(case: Case, files: ModelFiles, skill: Skill) -> None:
    """Print tokens per second of both and their ratio."""
    plain = speed(files, skill, case.rows, plain_step, ours=False)
    ours = speed(files, skill, case.rows, our_step, ours=True)
    tokens = sum(row.tokens for row in case.rows) / len(case.rows)
    print(
        f"{case.what} ({tokens:.0f} tokens a row): ours {ours:.0f}, plain PEFT {plain:.0f}, "
        f"ratio {ours / plain:.2f} (wanted {WANTED})",
        flush=True,
    )


def speed(
    files: ModelFiles, skill: Skill, rows: Sequence[TokenRow], step: Step, *, ours: bool
) -> float:
    """Tokens of the rows per second, after one step on two rows that is not counted."""
    import torch

    loaded: LoadedModel = load_language_model(files, device="cpu")
    adapted = lora.adapt(loaded.model, plan_for(skill, skill.items_of("train")[:1]))
    weights = [p for p in adapted.peft.parameters() if p.requires_grad]
    optimizer = torch.optim.AdamW(weights, lr=5e-4)
    adapted.peft.train()
    with lora.fast_attention(adapted, rows) if ours else nullcontext():
        step(adapted, rows[:2])
        start = time.perf_counter()
        for first in range(0, len(rows), BATCH):
            step(adapted, rows[first : first + BATCH])
            optimizer.step()
            optimizer.zero_grad()
        seconds = time.perf_counter() - start
    return sum(row.tokens for row in rows) / seconds


def our_step(adapted: lora.Adapted, rows: Sequence[TokenRow]) -> None:
    """Forward and backward as `rag_adapt.adapters.lora` does it in its Trainer."""
    import torch

    answers = sum(len(row.answer) for row in rows)
    for pack in packs(rows, share=True):
        with lora.computing(adapted):
            loss = answer_losses(adapted.peft, pack, adapted.dtype).sum() / answers
        torch.autograd.backward(loss)


def plain_step(adapted: lora.Adapted, rows: Sequence[TokenRow]) -> None:
    """Forward and backward of a padded batch with `labels`, as tutorials write it."""
    import torch

    longest = max(row.tokens for row in rows)
    ids = torch.zeros((len(rows), longest), dtype=torch.long)
    mask, labels = torch.zeros_like(ids), torch.full_like(ids, -100)
    for number, row in enumerate(rows):
        ids[number, : row.tokens] = torch.tensor([*row.prompt, *row.answer])
        mask[number, : row.tokens] = 1
        labels[number, len(row.prompt) : row.tokens] = torch.tensor(row.answer)
    output: Any = adapted.peft(input_ids=ids, attention_mask=mask, labels=labels, use_cache=False)
    output.loss.backward()


if __name__ == "__main__":
    main()
