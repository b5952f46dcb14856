"""Choosing items and examples, and a plan's identity."""

from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from rag_adapt.bench.arms import ARMS, parse_arms
from rag_adapt.bench.outline import outline
from rag_adapt.bench.plan import Plan, choose_examples, choose_items, other_inputs
from rag_adapt.core.errors import PlanError, SkillError
from rag_adapt.engines.scripted import ScriptedEngine
from rag_adapt.skills.load import load_skill
from tests.samples import item, write_skill


@given(st.integers(1, 30), st.integers(0, 5), st.integers(1, 4))
def test_smaller_choices_are_beginnings_of_larger_ones(limit: int, seed: int, size: int) -> None:
    items = [item(n, cluster=f"c{n // size}") for n in range(30)]
    assert choose_items(items, None, seed)[:limit] == choose_items(items, limit, seed)


@given(st.integers(1, 10), st.integers(0, 5))
def test_no_cluster_gives_a_second_item_before_every_one_gave_a_first(
    limit: int, seed: int
) -> None:
    items = [item(n, cluster=f"c{n // 3}") for n in range(30)]
    chosen = choose_items(items, limit, seed)
    assert len({i.cluster for i in chosen}) == limit


def test_another_seed_chooses_other_items() -> None:
    items = [item(n) for n in range(30)]
    assert choose_items(items, 5, 0) != choose_items(items, 5, 1)


@pytest.mark.parametrize("limit", [0, -3])
def test_a_limit_that_leaves_nothing_is_refused(limit: int) -> None:
    with pytest.raises(PlanError, match="leaves nothing"):
        choose_items([item(1)], limit, 0)


def test_a_skill_without_test_items_is_refused() -> None:
    with pytest.raises(PlanError, match="no test items"):
        choose_items([], None, 0)


def test_examples_are_a_nested_choice_of_training_items() -> None:
    items = [item(n, split="train") for n in range(9)]
    assert choose_examples(items, None, 3)[:4] == choose_examples(items, 4, 3)


def test_a_test_item_is_never_an_example() -> None:
    with pytest.raises(SkillError, match="'test' split"):
        choose_examples([item(1, split="train"), item(2)], None, 0)


def test_the_placebo_of_an_item_comes_from_another_cluster() -> None:
    items = [item(1, cluster="a"), item(2, cluster="a"), item(3, cluster="b")]
    assert other_inputs(items) == {
        items[0].id: items[2].input,
        items[1].id: items[2].input,
        items[2].id: items[0].input,
    }


def test_where_there_is_one_cluster_the_placebo_is_the_item_itself() -> None:
    assert other_inputs([item(1)]) == {item(1).id: item(1).input}


def test_two_plans_are_one_experiment_only_if_everything_that_matters_is_equal(
    tmp_path: Path,
) -> None:
    skill = load_skill(write_skill(tmp_path / "colours"))
    plan = Plan(skills=(skill,), arms=("prompt",))
    print_of = ScriptedEngine().fingerprint
    assert plan.hash(print_of) == replace(plan).hash(print_of)
    others = [
        replace(plan, seed=1),
        replace(plan, items=2),
        replace(plan, arms=("bare",)),
        replace(plan, repeats=2),
        replace(plan, temperature=0.5),
        replace(plan, search_mode="dense"),
        replace(plan, epochs=2),
    ]
    assert len({p.hash(print_of) for p in [plan, *others]}) == len(others) + 1
    assert plan.hash(ScriptedEngine(name="other").fingerprint) != plan.hash(print_of)


def test_repeats_differ_in_their_seed_alone(tmp_path: Path) -> None:
    skill = load_skill(write_skill(tmp_path / "colours"))
    plan = Plan(skills=(skill,), arms=("prompt",), seed=7)
    first, second = plan.sampling(skill, 0), plan.sampling(skill, 1)
    assert (first.seed, second.seed) == (7, 8)
    assert replace(second, seed=7) == first


def test_the_outline_counts_answers_and_leaves_out_what_needs_a_corpus(tmp_path: Path) -> None:
    skill = load_skill(write_skill(tmp_path / "colours", corpus=False))
    plan = Plan(skills=(skill,), arms=("prompt", "rag", "bare"), items=4, repeats=2)
    [line] = outline(plan)
    assert (line.items, line.answers, line.arms) == (4, 16, ("prompt", "bare"))
    assert line.as_json()["examples"] == 6


def test_arms_are_parsed_in_order_and_once() -> None:
    assert parse_arms("rag, prompt,rag") == ("rag", "prompt")
    assert parse_arms("all") == tuple(ARMS)


@pytest.mark.parametrize(
    ("text", "reason"), [("prompt,foo,bar", "'foo', 'bar'"), (" , ", "no arm was named")]
)
def test_unknown_arms_are_named_with_those_there_are(text: str, reason: str) -> None:
    with pytest.raises(PlanError, match=reason) as error:
        parse_arms(text)
    assert "prompt" in error.value.hint


def test_the_outline_counts_folds_seeds_and_dev_answers_and_takes_prices_from_past_runs(
    tmp_path: Path,
) -> None:
    skill = load_skill(write_skill(tmp_path / "colours"))
    plan = Plan(
        skills=(skill,), arms=("prompt", "lora", "rag+lora"), folds=2, train_seeds=3, tune=8
    )
    [line] = outline(plan)
    assert (line.items, line.answers) == (14, 14 + 3 * 14 + 3 * 14)
    assert (line.dev_answers, line.trainings) == (16, 12)
    assert line.seconds is None
    assert 0 < line.detectable <= 1
    old = {"skill": "colours", "arm": "prompt", "cost": {"value": 9.0}}
    arms = [{"skill": "colours", "arm": a, "cost": {"value": 0.5}} for a in plan.arms]
    [priced] = outline(plan, [{"arms": arms}, {"arms": [old]}])
    assert priced.seconds == pytest.approx(0.5 * line.answers)
