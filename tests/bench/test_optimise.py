"""DSPy chooses worked examples on train and dev items alone, within the budget."""

import asyncio
import sys

import pytest
from hypothesis import given
from hypothesis import strategies as st

from rag_adapt.bench.arms import Setup
from rag_adapt.bench.optimise import MOST_PROGRAMS, optimise, require_dspy, split_budget
from rag_adapt.bench.runner import Judge
from rag_adapt.bench.tuning import Tuned
from rag_adapt.core.errors import MissingPackageError, PlanError, SkillError
from rag_adapt.core.protocols import Silent
from rag_adapt.core.template import Template
from rag_adapt.core.types import Call, Item, Sampling
from rag_adapt.engines.scripted import ScriptedEngine
from rag_adapt.routes.demonstrate import Demonstrate
from rag_adapt.routes.route import Route
from rag_adapt.scoring.registry import scorer_for
from tests.samples import COLOURS, item

TEMPLATE = Template(name="prompt", system="plain", user="{input}")
LABELS = tuple(COLOURS)
JUDGE = Judge(
    skill="colours",
    labels=LABELS,
    sampling={0: Sampling(max_tokens=4)},
    scorer=scorer_for("label", LABELS),
    others={},
)
LEARN = [item(n, split="train") for n in range(12)]
DEV = [item(n, split="dev") for n in range(20)]


class Asked:
    """A model that is right once it has seen worked examples, and notes what it was asked."""

    def __init__(self) -> None:
        self.calls: list[Call] = []

    def __call__(self, call: Call) -> str:
        self.calls.append(call)
        if len(call.messages) < 3:
            return "green"
        return call.messages[-1].content.rsplit(maxsplit=1)[-1]


def choose(
    model: Asked, *, budget: int, dev: list[Item] | None = None, learn: list[Item] | None = None
) -> Tuned:
    def build(setup: Setup) -> Route:
        steps = (Demonstrate(k=setup.shots, pool=setup.shown),) if setup.shots else ()
        return Route(name="prompt", template=setup.template, steps=steps)

    return asyncio.run(
        optimise(
            "prompt",
            Setup(template=TEMPLATE),
            build=build,
            learn=LEARN if learn is None else learn,
            dev=DEV if dev is None else dev,
            judge=JUDGE,
            engine=ScriptedEngine(model),
            budget=budget,
            seed=0,
            documents=0,
            progress=Silent(),
        )
    )


def test_examples_that_help_are_found_and_shown(capsys: pytest.CaptureFixture[str]) -> None:
    model = Asked()
    found = choose(model, budget=48)
    assert found.setup.pick == "chosen"
    assert 0 < found.setup.shots == len(found.setup.shown)
    inputs = {one.input: one.targets[0] for one in LEARN}
    assert all(inputs[shown.input] == shown.output for shown in found.setup.shown)
    scores = {candidate.name: candidate.score for candidate in found.given.candidates}
    assert scores["prompt"] == 0.0
    assert scores[found.setup.name] == 1.0
    assert [c.name for c in found.given.candidates if c.chosen] == [found.setup.name]
    printed = capsys.readouterr()
    assert printed.out == printed.err == ""


def test_what_is_said_to_be_spent_was_asked_and_stays_within_the_budget() -> None:
    model = Asked()
    found = choose(model, budget=40)
    assert found.given.spent == len(model.calls) <= 40
    dev = {one.input for one in DEV}
    assert {row.item for row in found.rows} <= {one.id for one in DEV}
    asked = {call.messages[-1].content for call in model.calls}
    assert asked <= dev | {one.input for one in LEARN}


@pytest.mark.parametrize(
    ("budget", "learn", "dev"),
    [(7, LEARN, DEV), (48, [], DEV), (48, LEARN, [])],
    ids=["too small to compare two", "nothing to show", "nothing to choose on"],
)
def test_without_a_comparison_nothing_is_asked(
    budget: int, learn: list[Item], dev: list[Item]
) -> None:
    model = Asked()
    found = choose(model, budget=budget, learn=learn, dev=dev)
    assert found.setup == Setup(template=TEMPLATE)
    assert (found.given.spent, model.calls, found.rows) == (0, [], ())


def test_a_test_item_is_refused_on_either_side() -> None:
    with pytest.raises(PlanError, match="test-3"):
        choose(Asked(), budget=48, dev=[item(3)])
    with pytest.raises(SkillError, match="test-3"):
        choose(Asked(), budget=48, learn=[item(3)])


@given(budget=st.integers(0, 400), dev=st.integers(0, 60))
def test_a_split_never_spends_more_than_the_budget(budget: int, dev: int) -> None:
    split = split_budget(budget, dev=dev)
    assert split.programs * split.dev + split.train <= budget
    assert 1 <= split.programs <= MOST_PROGRAMS
    assert split.dev <= dev
    assert (split.programs == 1) == (split.dev == 0)


def test_where_dspy_is_missing_the_error_says_how_to_get_it() -> None:
    hidden = {name: sys.modules.pop(name) for name in list(sys.modules) if name == "dspy"}
    paths, sys.path[:] = list(sys.path), []
    try:
        with pytest.raises(MissingPackageError) as caught:
            require_dspy()
    finally:
        sys.path[:] = paths
        sys.modules.update(hidden)
    assert "pip install 'rag-adapt[optimise]'" in caught.value.hint
