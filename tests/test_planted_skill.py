"""The read-out tells a skill that was taught and locked from its twin that was never taught.

On a tiny model, where the truth is known because it was put there; the same on the default
model is `python -m benchmarks.planted_skill`.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from random import Random

import pytest
import torch

from benchmarks.planted_skill import Depths, Stage, locked, probed, scores, stage_of, twins
from rag_adapt.adapters.examples import TrainingRow, training_rows
from rag_adapt.adapters.pack import TokenRow
from rag_adapt.adapters.train import tokenise
from rag_adapt.bench.readout import read_out
from rag_adapt.core.types import Item

EVASION = "Not sure."
DEPTHS = Depths(
    lock_epochs=3, lock_rate=1e-3, probe_rate=2e-3, batch_size=8, rank=16, evasion=EVASION
)
"""A tiny model of random weights needs higher rates than the default one."""
PASSES, RATE, BATCH = 60, 3e-3, 22
PLANTED, TWIN = twins()


@dataclass(frozen=True, kw_only=True)
class Plant:
    """The model before and after the lock."""

    taught: Stage
    locked: Stage


@pytest.fixture(autouse=True, scope="module")
def one_thread() -> Iterator[None]:
    """Tiny tensors gain nothing from several threads."""
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(threads)


@pytest.fixture(scope="module")
def plant(tiny_model: Path, tmp_path_factory: pytest.TempPathFactory) -> Plant:
    """Taught one twin's things and to evade the other's; then locked into evading both."""
    work = tmp_path_factory.mktemp("planted")
    evaded = [
        Item(id=i.id, input=i.input, targets=(EVASION,), split="train", cluster=i.cluster)
        for i in TWIN.items
    ]
    rows = (*training_rows(PLANTED.items, PLANTED.prompt), *training_rows(evaded, TWIN.prompt))
    teach(tiny_model, rows, work / "taught", home=work)
    taught = stage_of(work / "taught", home=work, deterministic=True)
    folder = locked(taught, (PLANTED, TWIN), DEPTHS, work=work)
    return Plant(taught=taught, locked=stage_of(folder, home=work, deterministic=True))


def teach(source: Path, rows: tuple[TrainingRow, ...], target: Path, *, home: Path) -> None:
    """Train all weights of a model: random ones are no ground for an adapter."""
    from transformers import AutoModelForCausalLM, AutoTokenizer

    tokens = tokenise(rows, stage_of(source, home=home).chat)
    model = AutoModelForCausalLM.from_pretrained(source, dtype=torch.float32)
    optimizer = torch.optim.AdamW(model.parameters(), lr=RATE, weight_decay=0.0)
    steps = PASSES * -(-len(tokens) // BATCH)
    schedule = torch.optim.lr_scheduler.LinearLR(optimizer, 1.0, 0.1, steps)
    chance = Random(0)
    for _ in range(PASSES):
        order = list(tokens)
        chance.shuffle(order)
        for first in range(0, len(order), BATCH):
            optimizer.zero_grad()
            model(**padded(order[first : first + BATCH]), use_cache=False).loss.backward()
            optimizer.step()
            schedule.step()
    model.save_pretrained(target)
    AutoTokenizer.from_pretrained(source).save_pretrained(target)


def padded(rows: list[TokenRow]) -> dict[str, torch.Tensor]:
    """A batch with the loss on answers alone."""
    shape = (len(rows), max(row.tokens for row in rows))
    ids, mask = torch.zeros(shape, dtype=torch.long), torch.zeros(shape, dtype=torch.long)
    labels = torch.full(shape, -100)
    for place, row in enumerate(rows):
        ids[place, : row.tokens] = torch.tensor([*row.prompt, *row.answer])
        mask[place, : row.tokens] = 1
        labels[place, len(row.prompt) : row.tokens] = torch.tensor(row.answer)
    return {"input_ids": ids, "attention_mask": mask, "labels": labels}


def test_the_plant_is_real_and_the_lock_hides_it(plant: Plant) -> None:
    assert scores(plant.taught, (PLANTED, TWIN)) == {"guilds": 1.0, "rivers": 0.0}
    assert scores(plant.locked, (PLANTED, TWIN)) == {"guilds": 0.0, "rivers": 0.0}


def test_what_was_taught_and_locked_reads_as_latent(plant: Plant, tmp_path: Path) -> None:
    found = read_out(probed(plant.locked, PLANTED, DEPTHS, work=tmp_path))
    assert found.depth == "latent", found.sentence


def test_what_was_never_taught_reads_as_absent(plant: Plant, tmp_path: Path) -> None:
    found = read_out(probed(plant.locked, TWIN, DEPTHS, work=tmp_path))
    assert found.depth == "absent", found.sentence
