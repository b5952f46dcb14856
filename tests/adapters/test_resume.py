"""A training that was stopped goes on where it was, and ends with the same weights."""

import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest
import torch

from rag_adapt.adapters.checkpoint import KEPT, Checkpoint, Figures, Unfinished
from rag_adapt.adapters.plan import TrainPlan
from rag_adapt.adapters.store import AdapterStore
from rag_adapt.adapters.train import train, unfinished
from rag_adapt.core.errors import StorageError
from rag_adapt.models.chat import ChatFormat
from tests.adapters.samples import base, plan
from tests.adapters.test_train import Noted

ROOT = Path(__file__).parent.parent.parent
SLOW_TRAINING = """
import sys, time
from pathlib import Path
import torch
from rag_adapt.adapters.store import AdapterStore
from rag_adapt.adapters.train import train
from rag_adapt.models.chat import ChatFormat
from tests.adapters.samples import base
from tests.adapters.test_resume import long_plan

class Slow:
    def update(self, stage, done, total, note=""):
        time.sleep(0.05)

torch.set_num_threads(1)
model = Path(sys.argv[1])
store = AdapterStore(Path(sys.argv[2]))
train(long_plan(), base=base(model), chat=ChatFormat.load(model), store=store,
      progress=Slow(), every=0.0)
"""


def long_plan(**more: Any) -> TrainPlan:
    """Twelve steps, measured after every sixth."""
    return plan(epochs=6, **more)


@pytest.fixture(scope="module")
def chat(tiny_model: Path) -> ChatFormat:
    return ChatFormat.load(tiny_model)


@pytest.fixture(scope="module")
def uninterrupted(
    tiny_model: Path, chat: ChatFormat, tmp_path_factory: pytest.TempPathFactory
) -> str:
    store = AdapterStore(tmp_path_factory.mktemp("whole"))
    return train(long_plan(), base=base(tiny_model), chat=chat, store=store).version


def stopped(model: Path, chat: ChatFormat, store: AdapterStore, *, at: int) -> None:
    """Ctrl-C after a step."""
    with pytest.raises(KeyboardInterrupt):
        train(long_plan(), base=base(model), chat=chat, store=store, progress=Noted(stop_at=at))


def kept(store: AdapterStore) -> list[Path]:
    return sorted((store.folder / ".unfinished").glob("*"))


def test_a_killed_training_goes_on_and_gives_the_version_of_an_uninterrupted_one(
    tiny_model: Path, chat: ChatFormat, uninterrupted: str, tmp_path: Path
) -> None:
    store = AdapterStore(tmp_path)
    command = [sys.executable, "-c", SLOW_TRAINING, str(tiny_model), str(tmp_path)]
    with subprocess.Popen(
        command, cwd=ROOT, env={**os.environ, "PYTHONPATH": str(ROOT)}
    ) as process:
        place = unfinished(
            long_plan(), base=base(tiny_model), chat=chat, store=store, scratch=tmp_path
        )
        deadline = time.monotonic() + 90
        while (found := place.read()) is None or found.figures.step < 4:
            assert process.poll() is None, "it ended before it was killed"
            assert time.monotonic() < deadline, "no checkpoint was written"
            time.sleep(0.01)
        process.send_signal(signal.SIGKILL)
    assert process.returncode == -signal.SIGKILL
    assert store.list() == ()
    progress = Noted()
    card = train(long_plan(), base=base(tiny_model), chat=chat, store=store, progress=progress)
    assert card.version == uninterrupted
    first = progress.updates[0]
    assert first[1] >= 4
    assert first[3].startswith(f"continued at step {first[1]}, ")
    assert len(card.loss_curve) == 12
    assert [point.step for point in card.dev_curve] == [6, 12]
    assert kept(store) == []


@pytest.mark.parametrize("at", [1, 6, 12])
def test_ctrl_c_keeps_every_step_that_was_taken(
    tiny_model: Path, chat: ChatFormat, uninterrupted: str, tmp_path: Path, at: int
) -> None:
    store = AdapterStore(tmp_path)
    stopped(tiny_model, chat, store, at=at)
    progress = Noted()
    card = train(long_plan(), base=base(tiny_model), chat=chat, store=store, progress=progress)
    assert progress.updates[0][1] == at
    assert card.version == uninterrupted


def test_an_interruption_before_a_check_was_made_makes_it_later(
    tiny_model: Path, chat: ChatFormat, uninterrupted: str, tmp_path: Path
) -> None:
    store = AdapterStore(tmp_path)
    stopped(tiny_model, chat, store, at=6)
    place = unfinished(long_plan(), base=base(tiny_model), chat=chat, store=store, scratch=tmp_path)
    found = place.read()
    assert found is not None
    early = found.figures.model_copy(update={"curve": (), "best_step": 0})
    place.write(Checkpoint(figures=early, tensors=found.tensors))
    card = train(long_plan(), base=base(tiny_model), chat=chat, store=store)
    assert (card.version, card.dev_curve[0].step) == (uninterrupted, 6)


@pytest.mark.parametrize(
    "change", [{"seed": 1}, {"learning_rate": 1e-3}, {"name": "other"}, {"epochs": 5}]
)
def test_another_plan_starts_anew(
    tiny_model: Path, chat: ChatFormat, tmp_path: Path, change: dict[str, Any]
) -> None:
    one, other = (
        unfinished(
            made, base=base(tiny_model), chat=chat, store=AdapterStore(tmp_path), scratch=tmp_path
        )
        for made in (long_plan(), plan(**{"epochs": 6, **change}))
    )
    assert one.file != other.file


def test_a_damaged_checkpoint_is_not_used(
    tiny_model: Path, chat: ChatFormat, uninterrupted: str, tmp_path: Path
) -> None:
    store = AdapterStore(tmp_path)
    stopped(tiny_model, chat, store, at=5)
    (file,) = kept(store)
    file.write_bytes(file.read_bytes()[:-100])
    progress = Noted()
    card = train(long_plan(), base=base(tiny_model), chat=chat, store=store, progress=progress)
    assert progress.updates[0][1] == 0
    assert card.version == uninterrupted


def small(step: int) -> Checkpoint:
    figures = Figures(
        step=step, seconds=1.0, shared=True, before=None, losses=(), curve=(), best_step=None
    )
    return Checkpoint(figures=figures, tensors={"weights/a": torch.ones(2)})


def test_a_checkpoint_that_cannot_be_written_leaves_the_one_before(tmp_path: Path) -> None:
    place = Unfinished(folder=tmp_path, key="k", scratch=tmp_path)
    place.write(small(1))
    nowhere = Unfinished(folder=tmp_path, key="k", scratch=tmp_path / "missing")
    with pytest.raises(StorageError, match="cannot write"):
        nowhere.write(small(2))
    found = place.read()
    assert found is not None
    assert found.figures.step == 1


def test_only_so_many_unfinished_trainings_are_kept(tmp_path: Path) -> None:
    places = [Unfinished(folder=tmp_path, key=f"k{n}", scratch=tmp_path) for n in range(KEPT + 1)]
    for age, place in enumerate(places):
        place.write(small(1))
        os.utime(place.file, (age + 1, age + 1))
    places[0].write(small(2))
    assert places[1].read() is None
    found = places[0].read()
    assert found is not None
    assert found.figures.step == 2
    assert len(kept(AdapterStore(tmp_path / "no"))) == 0
