"""Routes choose how they ask on dev items alone, within their budget."""

import asyncio

import pytest

from rag_adapt.bench.arms import Setup
from rag_adapt.bench.runner import Judge
from rag_adapt.bench.tuning import LEAST, Tuned, affordable, setups, tune
from rag_adapt.core.errors import PlanError
from rag_adapt.core.protocols import Silent
from rag_adapt.core.template import Template
from rag_adapt.core.types import Call, Item, Sampling
from rag_adapt.engines.scripted import ScriptedEngine
from rag_adapt.routes.route import Route
from rag_adapt.scoring.registry import scorer_for
from tests.samples import COLOURS, item

GOOD = Template(name="prompt-2", system="good", user="{input}")
PLAIN = Template(name="prompt", system="plain", user="{input}")
LABELS = tuple(COLOURS)
JUDGE = Judge(
    skill="colours",
    labels=LABELS,
    sampling={0: Sampling(max_tokens=4)},
    scorer=scorer_for("label", LABELS),
    others={},
)


def answer(call: Call) -> str:
    """Right only under the good template."""
    if call.messages[0].content != "good":
        return "green"
    return "red" if call.messages[-1].content.endswith("red") else "blue"


def choose(wanted: list[Setup], *, budget: int, dev: list[Item] | None = None) -> Tuned:
    return asyncio.run(
        tune(
            "prompt",
            wanted,
            build=lambda setup: Route(name="prompt", template=setup.template),
            dev=[item(n, split="dev") for n in range(20)] if dev is None else dev,
            judge=JUDGE,
            engine=ScriptedEngine(answer),
            budget=budget,
            examples=7,
            documents=0,
            concurrency=4,
            progress=Silent(),
        )
    )


def test_the_better_setup_is_chosen_and_everything_that_was_asked_is_told() -> None:
    found = choose([Setup(template=PLAIN), Setup(template=GOOD)], budget=16)
    assert found.setup.template is GOOD
    given = found.given
    assert (given.examples, given.budget, given.spent, given.dev_items) == (7, 16, 16, 20)
    assert [(c.name, c.score, c.answers, c.chosen) for c in given.candidates] == [
        ("prompt", 0.0, 8, False),
        ("prompt-2", 1.0, 8, True),
    ]
    assert len(found.rows) == 16
    assert {row.item.split("-")[0] for row in found.rows} == {"dev"}


def test_setups_that_score_alike_leave_the_first_one() -> None:
    other = Template(name="prompt-3", system="other", user="{input}")
    found = choose([Setup(template=PLAIN), Setup(template=other)], budget=16)
    assert found.setup.template is PLAIN


@pytest.mark.parametrize("budget", [0, 7], ids=["none", "too small to tell two apart"])
def test_a_budget_that_tells_nothing_apart_is_not_spent(budget: int) -> None:
    found = choose([Setup(template=PLAIN), Setup(template=GOOD)], budget=budget)
    assert found.setup.template is PLAIN
    assert (found.given.spent, found.rows) == (0, ())


def test_without_dev_items_the_default_stays() -> None:
    found = choose([Setup(template=PLAIN), Setup(template=GOOD)], budget=64, dev=[])
    assert (found.setup.template, found.given.spent) == (PLAIN, 0)


def test_halving_asks_the_survivors_about_further_items() -> None:
    wanted = [
        Setup(template=Template(name=f"plain-{n}", system="plain", user="{input}"))
        for n in range(3)
    ]
    found = choose([*wanted, Setup(template=GOOD)], budget=32)
    asked = {c.name: c.answers for c in found.given.candidates}
    assert found.setup.template is GOOD
    assert sum(asked.values()) <= 32
    assert sorted(asked.values()) == [4, 4, 12, 12]


def test_it_refuses_test_items() -> None:
    with pytest.raises(PlanError, match="no dev item"):
        choose([Setup(template=PLAIN), Setup(template=GOOD)], budget=16, dev=[item(1)])


@pytest.mark.parametrize(
    ("count", "budget", "expected"),
    [(4, 0, 1), (4, 8, 2), (4, 24, 3), (4, 32, 4), (9, 1000, 9)],
)
def test_as_many_setups_as_the_budget_tells_apart(count: int, budget: int, expected: int) -> None:
    assert affordable(count, budget) == expected
    assert LEAST == 4


def test_a_routes_setups_are_its_templates_times_what_is_shown_default_first() -> None:
    context = Template(name="context", system="", user="{context} {input}")
    made = setups({"prompt": PLAIN, "prompt-2": GOOD, "context": context}, "prompt", pool=100)
    assert made[0] == Setup(template=PLAIN)
    assert [s.name for s in made[:4]] == [
        "prompt",
        "prompt-2",
        "prompt, 4 nearest examples",
        "prompt-2, 4 nearest examples",
    ]
    assert len(made) == 8
    assert all(s.shots <= 5 for s in setups({"prompt": PLAIN}, "prompt", pool=5))
