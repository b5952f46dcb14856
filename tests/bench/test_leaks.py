"""The leak firewall: what was met before is found, where, and nothing else is."""

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import pytest

from rag_adapt.bench.figures import Leak
from rag_adapt.bench.leaks import CONTAINED_WORDS, Firewall, find_leaks
from rag_adapt.core.errors import SkillError
from rag_adapt.core.template import Template
from rag_adapt.core.types import Item, Passage, Split
from rag_adapt.skills.load import BUNDLED, load_skill
from rag_adapt.skills.skill import Skill

QUESTION = "How do I top up my account with the app?"
LONG = "My parcel was left in the rain on Monday and the lamp inside is broken now."


def item(name: str, text: str, split: Split = "test", target: str = "yes") -> Item:
    return Item(id=name, input=text, targets=(target,), split=split, cluster=f"c-{name}")


def document(text: str, name: str = "faq.md") -> Passage:
    return Passage(document=name, start=0, end=len(text), text=text)


def skill(items: Sequence[Item], *, shown: str = "", unique: bool = False) -> Skill:
    return Skill(
        name="bank",
        title="",
        description="",
        task="text",
        scorer="exact",
        scorers=(),
        labels=(),
        max_tokens=8,
        stop=(),
        cluster="",
        unique_targets=unique,
        licence="",
        source="",
        folder=Path(),
        items=tuple(items),
        templates={"prompt": Template(system="", user=shown + "{input}")},
        data_hash="0" * 12,
        corpus=None,
    )


def check(
    items: Sequence[Item],
    *,
    documents: Sequence[Passage] = (),
    shown: str = "",
    unique: bool = False,
) -> Firewall:
    owner = skill(items, shown=shown, unique=unique)
    return find_leaks(owner, owner.test_items, owner.training_items, documents=documents)


def test_the_nearest_training_and_dev_items_are_told_with_their_similarity() -> None:
    found = check(
        [
            item("a", QUESTION),
            item("b", "something else"),
            item("far", f"{QUESTION} Now", "train"),
            item("near", QUESTION.upper(), "train"),
            item("held", f"Hello: {QUESTION}", "dev"),
        ]
    )

    assert found.figures.found == (
        Leak(item="a", where="train:near", similarity=1.0),
        Leak(item="a", where="dev:held", similarity=9 / 10),
    )
    assert found.leaked == {"a"}
    assert found.figures.checked == 2
    assert found.figures.skill == "bank"


def test_training_items_that_the_run_does_not_use_are_not_searched() -> None:
    owner = skill([item("a", QUESTION), item("t", QUESTION, "train")])

    assert find_leaks(owner, owner.test_items, ()).leaked == frozenset()


def test_a_paragraph_or_a_line_of_a_document_that_is_the_input_is_found() -> None:
    for text in (f"# Help\n\n## {QUESTION}\n\nPress the plus.", f"- {QUESTION}\n- And more\n"):
        found = check([item("a", QUESTION)], documents=[document(text)])

        assert found.figures.found == (Leak(item="a", where="corpus:faq.md", similarity=1.0),)


def test_a_long_input_inside_a_paragraph_is_found_and_told_once() -> None:
    text = f"A customer wrote: {LONG} We sent another one and asked for a picture of the first."

    found = check([item("a", LONG)], documents=[document("nothing", "x.md"), document(text)])

    assert found.figures.found == (Leak(item="a", where="corpus:faq.md", similarity=1.0),)


def test_a_short_phrase_inside_a_paragraph_is_no_leak() -> None:
    phrase = " ".join(LONG.split()[: CONTAINED_WORDS - 1])
    text = f"A customer wrote: {LONG}\n\nYes, please\n\nThank you"

    found = check([item("a", phrase), item("b", "Yes please")], documents=[document(text)])

    assert found.leaked == frozenset()


def test_an_input_shown_as_an_example_in_a_template_is_found() -> None:
    found = check([item("a", QUESTION), item("b", "my new card")], shown=f"Q: {QUESTION}\nA: yes\n")

    assert found.figures.found == (Leak(item="a", where="train:template prompt", similarity=1.0),)


@pytest.mark.parametrize("unique", [True, False], ids=["unique targets", "labels"])
def test_targets_are_compared_only_where_they_are_the_items_own(unique: bool) -> None:
    target = "Anna accepted the small gift."
    found = check(
        [
            item("a", "Anna accepts the small gift", target=target),
            item("b", "in the pages", target="3VOMZor 1TIKJet @7W"),
            item("t", "another one", "train", target=target.upper()),
            item("d", "a third one", "dev", target=target),
        ],
        documents=[document("An order becomes `3VOMZor 1TIKJet @7W`.")],
        unique=unique,
    )

    expected = (
        Leak(item="a", where="train:t (target)", similarity=1.0),
        Leak(item="a", where="dev:d (target)", similarity=1.0),
        Leak(item="b", where="corpus:faq.md (target)", similarity=1.0),
    )
    assert found.figures.found == (expected if unique else ())


def test_near_duplicate_test_items_become_one_cluster() -> None:
    found = check([item("a", QUESTION), item("b", "else"), item("c", f"{QUESTION} Now")])

    assert [each.cluster for each in found.items] == ["c-a", "c-b", "c-a"]
    assert found.figures.merged_clusters == 2
    assert found.leaked == frozenset()


def test_test_items_near_the_same_training_item_become_one_cluster() -> None:
    items = [
        item("a", f"so then {QUESTION}"),
        item("b", f"{QUESTION} right now"),
        item("t", QUESTION, "train"),
    ]

    apart, together = check(items[:2]), check(items)

    assert apart.figures.merged_clusters == 0
    assert [each.cluster for each in together.items] == ["c-a", "c-a"]


def test_items_come_back_in_their_order_with_nothing_but_the_cluster_changed() -> None:
    items = [item("a", QUESTION), item("c", f"{QUESTION} Now"), item("b", "else")]

    found = check(items)

    assert [replace(each, cluster=f"c-{each.id}") for each in found.items] == items


def test_a_test_item_among_the_training_items_is_refused() -> None:
    owner = skill([item("a", QUESTION)])

    with pytest.raises(SkillError, match="the leak firewall was handed item 'a'"):
        find_leaks(owner, owner.test_items, owner.test_items)


@pytest.mark.parametrize("name", ["manual", "orders", "past-tense", "support"])
def test_templated_bundled_skills_have_no_leaks(name: str) -> None:
    owner = load_skill(BUNDLED / name)
    folder = owner.corpus
    documents = (
        [document(path.read_text(), path.name) for path in sorted(folder.iterdir())]
        if folder
        else []
    )

    found = find_leaks(owner, owner.test_items, owner.training_items, documents=documents)

    assert found.figures.found == ()
    assert found.figures.merged_clusters == 0
    assert found.figures.checked == 120


def test_a_planted_leak_in_a_bundled_skill_is_found() -> None:
    owner = load_skill(BUNDLED / "manual")
    tested = owner.test_items[7]
    planted = replace(tested, id="planted", split="train", input=f"  {tested.input.upper()} ")

    found = find_leaks(owner, owner.test_items, (*owner.training_items, planted))

    assert found.leaked == {tested.id}
