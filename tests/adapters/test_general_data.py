"""General data comes from named, shipped sources, is never measured on, and is recorded."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from rag_adapt.adapters.fit import batches
from rag_adapt.adapters.general_data import (
    BASE_ANSWERS,
    CHUNK,
    GeneralRow,
    ends,
    general_rows,
    rows_wanted,
    shipped_prompts,
    with_general,
)
from rag_adapt.adapters.pack import TokenRow
from rag_adapt.adapters.plan import rows_hash
from rag_adapt.adapters.store import AdapterStore
from rag_adapt.adapters.train import load, settings_of, tokenise, train
from rag_adapt.core.errors import AdapterError
from rag_adapt.models.chat import ChatFormat
from rag_adapt.models.loading import LoadedModel
from rag_adapt.skills.load import load_skill
from rag_adapt.skills.skill import Skill
from tests.adapters.samples import base, plan
from tests.adapters.test_train import Noted
from tests.samples import write_skill

Collect = Callable[..., tuple[GeneralRow, ...]]


@pytest.fixture
def skill(own_folder: Path) -> Skill:
    return load_skill(write_skill(own_folder / "colours"))


@pytest.fixture
def other(own_folder: Path) -> Skill:
    folder = write_skill(own_folder / "other", train=4)
    file = folder / "items.jsonl"
    file.write_text(file.read_text().replace("train thing number", "article no."))
    return load_skill(folder)


@pytest.fixture(scope="module")
def answered(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Where the base model's answers are kept between these tests."""
    return tmp_path_factory.mktemp("adapters")


@pytest.fixture
def collect(tiny_model: Path, skill: Skill, other: Skill, answered: Path) -> Collect:
    def rows(count: int, **more: object) -> tuple[GeneralRow, ...]:
        fields: dict[str, Any] = {
            "others": [skill, other],
            "folder": answered,
            "load": lambda: load(base(tiny_model)),
            **more,
        }
        return general_rows(count, skill=skill, base=base(tiny_model), **fields)

    return rows


def test_the_shipped_prompts_are_many_different_and_not_what_the_guard_measures_on() -> None:
    prompts = shipped_prompts()
    assert len(set(prompts)) == len(prompts) >= 96
    assert len(prompts) % CHUNK == 0
    measured = Path(__file__).parents[2] / "rag_adapt" / "bench" / "general" / "prompts.txt"
    assert not set(prompts) & set(measured.read_text().splitlines())


@pytest.mark.parametrize(
    ("rows", "share", "wanted"), [(100, 0.0, 0), (100, 0.01, 1), (20, 0.01, 1), (100, 0.25, 25)]
)
def test_a_share_is_rounded_up(rows: int, share: float, wanted: int) -> None:
    assert rows_wanted(rows, share) == wanted


def test_both_sources_take_turns_and_fewer_rows_are_the_first_of_more(collect: Collect) -> None:
    rows = collect(6)
    assert [row.source for row in rows] == [BASE_ANSWERS, "skill:other"] * 3
    assert [row.split for row in rows] == ["train"] * 6
    assert collect(3) == rows[:3]
    assert rows[0].messages[0].content == shipped_prompts()[0]
    assert "article no." in rows[1].messages[-1].content


def test_where_other_skills_end_the_base_model_fills_up(collect: Collect) -> None:
    rows = collect(11)
    assert sum(row.source == BASE_ANSWERS for row in rows) == 7
    assert len(collect(4, others=[])) == 4
    assert collect(0) == ()


def test_items_like_those_that_are_measured_are_left_out(
    collect: Collect, skill: Skill, own_folder: Path
) -> None:
    folder = write_skill(own_folder / "copy", train=4)
    file = folder / "items.jsonl"
    file.write_text(file.read_text().replace("train thing number", "test thing number"))
    rows = collect(8, others=[load_skill(folder)])
    assert {row.source for row in rows} == {BASE_ANSWERS}


def test_answers_are_asked_once_and_kept(collect: Collect) -> None:
    first = collect(4)

    def never() -> LoadedModel:
        raise AssertionError("the model was loaded for answers that were there")

    assert collect(4, load=never) == first


def test_a_damaged_file_of_answers_is_made_again(collect: Collect, answered: Path) -> None:
    first = collect(2, others=[])
    (file,) = (answered / ".general").glob("*.json")
    file.write_text("{")
    assert collect(2, others=[]) == first


def test_an_answer_that_was_cut_does_not_teach_an_end(collect: Collect, tiny_model: Path) -> None:
    chat = ChatFormat.load(tiny_model)
    row = collect(1)[0]
    assert ends(row) is row.complete
    whole, cut = (
        tokenise([GeneralRow(**{**vars(row), "complete": complete})], chat)[0]
        for complete in (True, False)
    )
    assert whole.answer == (*cut.answer, chat.answer_ids("")[-1])


def test_general_rows_make_batches_of_their_own_in_every_pass() -> None:
    rows = [TokenRow(prompt=(n,), answer=(n,)) for n in range(10)]
    general = [TokenRow(prompt=(n,), answer=(n,)) for n in range(100, 103)]
    made = plan(count=10, batch_size=2, epochs=2)
    steps = batches(made, rows, general)
    kinds = [{row.prompt[0] >= 100 for row in step} for step in steps]
    assert all(len(kind) == 1 for kind in kinds)
    for half in (steps[:7], steps[7:]):
        seen = sorted(row.prompt[0] for step in half for row in step)
        assert seen == [*range(10), 100, 101, 102]
    own = [step for step in steps if step[0].prompt[0] < 100]
    assert own == batches(made, rows)


def test_the_card_names_sources_counts_and_hashes(
    collect: Collect, tiny_model: Path, tmp_path: Path
) -> None:
    made = with_general(plan(count=6), 0.5, collect(6))
    assert made.steps == 3
    progress = Noted()
    card = train(
        made,
        base=base(tiny_model),
        chat=ChatFormat.load(tiny_model),
        store=AdapterStore(tmp_path),
        progress=progress,
    )
    assert [(source.name, source.rows) for source in card.general] == [
        (BASE_ANSWERS, 2),
        ("skill:other", 1),
    ]
    assert card.settings.general_share == 0.5
    assert card.settings.general_hash == rows_hash(made.general)
    assert (card.examples, len(card.loss_curve)) == (6, 3)
    plain = settings_of(plan(count=6), base(tiny_model))
    mixed = settings_of(made, base(tiny_model))
    assert plain["general_hash"] == ""
    assert plain["data_hash"] == mixed["data_hash"]
    assert plain != mixed


def test_a_share_out_of_range_is_refused() -> None:
    with pytest.raises(AdapterError, match=r"general share 0\.9 is outside"):
        with_general(plan(), 0.9, [])
