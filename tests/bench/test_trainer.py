"""Adapters of one model, whatever serves them: trained once, found again, checked."""

from collections.abc import Iterator
from pathlib import Path

import pytest
import torch

from rag_adapt.adapters.card import Card
from rag_adapt.adapters.check import WEIGHTS_FILE
from rag_adapt.adapters.store import AdapterStore
from rag_adapt.bench.plan import Plan
from rag_adapt.bench.trainer import Trainer
from rag_adapt.bench.training import Training
from rag_adapt.core.errors import AdapterError
from rag_adapt.core.protocols import Silent
from rag_adapt.models.chat import ChatFormat
from rag_adapt.skills.load import load_skill
from tests.adapters.samples import base, plan
from tests.bench.published import publish, tiny_files
from tests.samples import write_skill


@pytest.fixture(autouse=True, scope="module")
def one_thread() -> Iterator[None]:
    """Tiny tensors gain nothing from several threads."""
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(threads)


@pytest.fixture
def trainer(tiny_model: Path, tmp_path: Path) -> Trainer:
    template = ChatFormat.load(tiny_model).template_hash
    return Trainer(tiny_files(tiny_model), base(tiny_model), template, AdapterStore(tmp_path))


class Counting(Silent):
    """Progress that counts the trainings."""

    def __init__(self) -> None:
        self.trained = 0

    def update(self, stage: str, done: int, total: int, note: str = "") -> None:
        self.trained += stage == "train" and done == total


def test_what_was_trained_is_known_and_not_trained_again(trainer: Trainer) -> None:
    progress, wanted = Counting(), plan()
    assert trainer.known(wanted) is None
    card = trainer.trained(wanted, progress)
    assert trainer.known(wanted) == card == trainer.trained(wanted, progress)
    assert progress.trained == 1
    assert trainer.known(plan(seed=1)) is None


def test_a_skill_is_trained_by_its_plan(trainer: Trainer, tmp_path: Path) -> None:
    skill = load_skill(write_skill(tmp_path / "colours"))
    asked = Training(
        skill=skill,
        items=tuple(skill.items_of("train")),
        plan=Plan(skills=(skill,), arms=("lora",), epochs=1, rank=1),
        seed=0,
    )
    card: Card = trainer.train(asked, Silent())
    assert (card.skill, card.settings.rank) == ("colours", 1)
    assert trainer.known(asked.as_plan()) == card


def test_an_adapter_is_found_and_verified(trainer: Trainer) -> None:
    version = publish(trainer.store, trainer.chat())
    ref = trainer.lookup(version)
    assert (ref.version, ref.rank) == (version, 2)
    (trainer.store.folder / version / WEIGHTS_FILE).write_bytes(b"")
    with pytest.raises(AdapterError):
        trainer.lookup(version)


def test_an_adapter_of_another_base_is_refused(trainer: Trainer) -> None:
    version = publish(trainer.store, trainer.chat(), weights="e" * 64)
    with pytest.raises(AdapterError, match="was trained on"):
        trainer.lookup(version)


def test_the_chat_format_is_the_models(trainer: Trainer, tiny_model: Path) -> None:
    chat = trainer.chat()
    assert chat.name == "tiny"
    assert chat.template_hash == ChatFormat.load(tiny_model).template_hash
