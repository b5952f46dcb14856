"""The same texts are leaks here as in the benchmark's leak firewall."""

from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from rag_adapt.bench.leaks import find_leaks
from rag_adapt.core.types import Item
from rag_adapt.feedback.entry import Entry, LeakError, Verdict
from rag_adapt.feedback.firewall import Firewall, Firewalls, decide
from rag_adapt.feedback.store import FeedbackBook
from rag_adapt.skills.load import load_skill
from rag_adapt.skills.skill import Skill
from tests.feedback.parts import gave, judged, turns
from tests.samples import write_skill

HOME = Path("home")
ON_TEST = "test thing number 1: blue"


@pytest.fixture(scope="module")
def orders() -> Skill:
    """A bundled skill whose targets are an item's own."""
    from rag_adapt.skills.load import find_skill

    skill = find_skill("orders", HOME)
    assert skill.unique_targets
    return skill


def said(question: str, answer: str = "yellow", correction: str | None = None) -> Entry:
    return Entry(
        id="f" * 32,
        number=1,
        giver="local",
        state="pending",
        judged=judged(question=question, answer=answer, skill="orders"),
        verdict=Verdict(vote="up", correction=correction),
        given=0.0,
        decided=None,
        decider=None,
    )


def in_benchmark(skill: Skill, question: str, target: str) -> bool:
    """Whether the benchmark would say that a training item like this was met."""
    learned = Item(id="new", input=question, targets=(target,), split="train", cluster="new")
    found = find_leaks(skill, skill.test_items, [learned]).figures.found
    return any(leak.where.startswith("train:new") for leak in found)


@settings(max_examples=12)
@given(data=st.data())
def test_it_agrees_with_the_leak_firewall(orders: Skill, data: st.DataObject) -> None:
    item = data.draw(st.sampled_from(orders.items))
    words = item.input.split()
    cut = data.draw(st.integers(0, len(words)))
    question = " ".join([*words[cut:], *["please"] * data.draw(st.integers(0, 2))]) or "x"
    question = question.upper() if data.draw(st.booleans()) else question
    target = data.draw(st.sampled_from([item.targets[0], item.targets[0].lower() + "!", "none"]))
    leak = Firewall(orders).met(said(question, target))
    assert (leak is not None) == in_benchmark(orders, question, target)


def test_every_test_item_is_met_and_no_training_item_of_its_own(orders: Skill) -> None:
    wall = Firewall(orders)
    assert all(wall.met(said(item.input)) is not None for item in orders.test_items)
    met = [item for item in orders.training_items if wall.met(said(item.input, item.targets[0]))]
    assert met == []


def test_a_correction_that_is_a_test_items_own_target_is_met(orders: Skill) -> None:
    target = orders.test_items[3].targets[0]
    for entry in (said("two of those", target), said("two of those", correction=f" {target}.")):
        leak = Firewall(orders).met(entry)
        assert leak is not None
        assert (leak.item, leak.where) == (orders.test_items[3].id, "answer")


def test_targets_that_items_share_are_no_leak() -> None:
    skill = load_skill(write_skill(Path("colours")))
    assert Firewall(skill).met(said("a bus: red", "red")) is None


def test_a_skill_that_cannot_be_read_lets_nothing_through(tmp_path: Path) -> None:
    folder = write_skill(HOME / "skills" / "colours")
    book = FeedbackBook(HOME)
    broken, ghost = gave(book), gave(book, trace="t2", skill="ghost")
    (folder / "skill.toml").write_text("name = 1")
    for entry, name in ((broken, "colours"), (ghost, "ghost")):
        with pytest.raises(LeakError, match=f"skill '{name}' is gone or cannot be read"):
            decide(book, HOME, entry.id, "accepted", decider="local")
        assert decide(book, HOME, entry.id, "rejected", decider="local").state == "rejected"


def test_a_plain_answer_is_compared_with_every_skill_that_can_be_read() -> None:
    write_skill(HOME / "skills" / "colours")
    (HOME / "skills" / "broken").mkdir()
    book, walls = FeedbackBook(HOME), Firewalls(HOME)
    leak = walls.met(gave(book, skill=None, question=ON_TEST))
    assert leak is not None
    assert (leak.skill, leak.item) == ("colours", "test-1")
    assert walls.met(gave(book, trace="t2", skill=None)) is None


def test_an_earlier_turn_counts_as_a_question() -> None:
    write_skill(HOME / "skills" / "colours")
    leak = Firewalls(HOME).met(gave(FeedbackBook(HOME), turns=turns(ON_TEST, "blue")))
    assert leak is not None
    assert leak.where == "turn"
