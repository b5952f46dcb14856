"""A sweep chooses by dev alone, within its budget, and its winner is finished, not repeated."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from rag_adapt.adapters.card import Trial
from rag_adapt.adapters.general_data import GeneralRow
from rag_adapt.adapters.store import AdapterStore
from rag_adapt.adapters.sweep import RANKS, RATES, Rung, Swept, candidates, rungs, sweep, table
from rag_adapt.adapters.train import train
from rag_adapt.core.errors import AdapterError
from rag_adapt.core.types import Message
from rag_adapt.models.chat import ChatFormat
from tests.adapters.samples import base, plan
from tests.adapters.test_train import Noted


@pytest.fixture(scope="module")
def chat(tiny_model: Path) -> ChatFormat:
    return ChatFormat.load(tiny_model)


def general(count: int = 4) -> list[GeneralRow]:
    return [
        GeneralRow(
            item_id=f"base-answers/{n}",
            split="train",
            messages=(Message(role="user", content=f"question {n}?"),),
            target="An answer.",
            source="base-answers",
        )
        for n in range(count)
    ]


def test_every_combination_is_a_candidate_and_the_default_is_the_first() -> None:
    found = candidates(plan(count=20), general())
    assert len(found) == 18
    knobs = [(made.rank, made.learning_rate, made.general_share) for made in found]
    assert len(set(knobs)) == 18
    assert knobs[0] == (8, 5e-4, 0.0)
    assert {made.alpha for made in found if made.rank == 16} == {32}
    assert next(len(made.general) for made in found if made.general_share) == 1
    assert len(candidates(plan(), [])) == len(RANKS) * len(RATES)


@pytest.mark.parametrize(
    ("count", "steps", "budget", "expected"),
    [
        (18, 50, 3.0, [(18, 2), (6, 10), (2, 35)]),
        (18, 12, 3.0, [(12, 1), (4, 4), (2, 10)]),
        (9, 4, 1.0, [(3, 1)]),
        (3, 10, 30.0, [(3, 10)]),
    ],
)
def test_each_rung_gets_an_equal_part_of_the_budget(
    count: int, steps: int, budget: float, expected: list[tuple[int, int]]
) -> None:
    found = rungs(count, steps, budget)
    assert found == tuple(Rung(candidates=some, until=until) for some, until in expected)
    before, spent = 0, 0
    for rung in found:
        spent += rung.candidates * (rung.until - before)
        before = rung.until
    assert spent <= budget * steps


def test_a_budget_for_less_than_a_comparison_is_refused() -> None:
    with pytest.raises(AdapterError, match=r"budget of 0\.1 trainings of 4 steps") as caught:
        rungs(18, 4, 0.1)
    assert "--budget" in caught.value.hint


def swept(model: Path, chat: ChatFormat, store: AdapterStore, **more: Any) -> Swept:
    fields: dict[str, Any] = {
        "general": general(),
        "base": base(model),
        "chat": chat,
        "store": store,
        "progress": Noted(),
        "budget": 1.0,
        **more,
    }
    return sweep(plan(epochs=4), **fields)


class Stops(Noted):
    """Ctrl-C after so many steps of a sweep."""

    def update(self, stage: str, done: int, total: int, note: str = "") -> None:
        super().update(stage, done, total, note)
        if done == 3:
            raise KeyboardInterrupt


@dataclass(frozen=True, kw_only=True)
class Whole:
    """A sweep that nobody disturbed."""

    store: AdapterStore
    found: Swept
    progress: Noted


@pytest.fixture(scope="module")
def whole(tiny_model: Path, chat: ChatFormat, tmp_path_factory: pytest.TempPathFactory) -> Whole:
    store, progress = AdapterStore(tmp_path_factory.mktemp("home")), Noted()
    found = swept(tiny_model, chat, store, progress=progress)
    return Whole(store=store, found=found, progress=progress)


def test_an_interrupted_sweep_goes_on_and_finds_the_same(
    tiny_model: Path, chat: ChatFormat, whole: Whole, tmp_path: Path
) -> None:
    store = AdapterStore(tmp_path)
    with pytest.raises(KeyboardInterrupt):
        swept(tiny_model, chat, store, progress=Stops())
    again = Noted()
    assert swept(tiny_model, chat, store, progress=again).trials == whole.found.trials
    assert all("continued at step 1" in note for *_, note in again.updates[:3])


def test_the_winner_has_the_lowest_code_length_and_is_finished_as_if_alone(
    tiny_model: Path, chat: ChatFormat, whole: Whole, tmp_path: Path
) -> None:
    store, found, progress = whole.store, whole.found, whole.progress
    last = [trial for trial in found.trials if trial.steps == found.trials[0].steps]
    assert found.trials[0].chosen
    assert found.trials[0].bits == min(trial.bits for trial in last if trial.bits is not None)
    assert sum(trial.chosen for trial in found.trials) == 1
    assert {update[0] for update in progress.updates} == {"sweep"}
    assert progress.updates[-1][1] == progress.updates[-1][2]
    assert "rank " in progress.updates[-1][3]
    (kept,) = (store.folder / ".unfinished").iterdir()
    finishing = Noted()
    card = train(
        found.winner,
        base=base(tiny_model),
        chat=chat,
        store=store,
        progress=finishing,
        sweep=found.trials,
    )
    assert finishing.updates[0][1] == found.trials[0].steps
    assert card.sweep == found.trials
    assert not kept.exists()
    alone = train(
        found.winner, base=base(tiny_model), chat=chat, store=AdapterStore(tmp_path / "b")
    )
    assert card.version == alone.version
    assert card.dev_curve == alone.dev_curve


def test_a_sweep_without_dev_items_is_refused(
    tiny_model: Path, chat: ChatFormat, tmp_path: Path
) -> None:
    with pytest.raises(AdapterError, match="no dev items to choose by"):
        sweep(
            plan(dev=()),
            base=base(tiny_model),
            chat=chat,
            store=AdapterStore(tmp_path),
            progress=Noted(),
        )


def test_the_table_says_what_was_tried_and_marks_the_winner() -> None:
    good = Trial(
        rank=8, learning_rate=5e-4, general_share=0.05, steps=12, bits=1.23456, chosen=True
    )
    bad = Trial(rank=16, learning_rate=1e-3, general_share=0.0, steps=2, bits=None)
    first, second = table([good, bad])
    assert list(first.values()) == ["*", "1.235", "12", "8", "0.0005", "0.05"]
    assert (second[""], second["bits/token"]) == ("", "diverged")
