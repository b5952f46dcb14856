"""Rows from documents: what a skill's pages hold, and nothing that is measured or chosen on."""

from collections import Counter
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from rag_adapt.adapters.from_corpus import PIECE, CorpusRows, corpus_rows
from rag_adapt.adapters.plan import plan_for
from rag_adapt.core.errors import AdapterError
from rag_adapt.core.template import Template
from rag_adapt.core.types import Item, Passage, Split
from rag_adapt.skills.load import BUNDLED, load_skill
from rag_adapt.skills.near_duplicates import near_duplicates, normal_form
from rag_adapt.skills.skill import Skill

PAGE = """# Lamp: Care

The type of the lamp is LX-2. It burns for 40 hours.

| Part | Number |
|---|---|
| Bulb | B-7 |
| Cord | C-9 |
"""


def document(text: str, name: str = "lamp.md") -> Passage:
    return Passage(document=name, start=0, end=len(text), text=text)


def item(name: str, text: str, split: Split) -> Item:
    return Item(id=name, input=text, targets=("x",), split=split, cluster=name)


def skill(items: Sequence[Item] = (), **more: Any) -> Skill:
    owner = Skill(
        name="lamp",
        title="",
        description="",
        task="question",
        scorer="exact",
        scorers=(),
        labels=(),
        max_tokens=10,
        stop=(),
        cluster="",
        unique_targets=False,
        licence="",
        source="",
        folder=Path(),
        items=tuple(items),
        templates={"prompt": Template(system="Be short.", user="On lamps: {input}")},
        data_hash="0" * 12,
        corpus=None,
    )
    return replace(owner, **more)


def bundled(name: str) -> CorpusRows:
    owner = load_skill(BUNDLED / name)
    assert owner.corpus is not None
    pages = [document(p.read_text(), p.name) for p in sorted(owner.corpus.iterdir())]
    return corpus_rows(owner, pages, limit=None, seed=0)


def questions(found: CorpusRows) -> dict[str, str]:
    """Targets by what the user says."""
    return {row.messages[-1].content: row.target for row in found.rows}


def test_pairs_are_asked_by_the_skills_template_and_texts_bare() -> None:
    found = corpus_rows(skill(), [document(PAGE)], limit=None, seed=0)

    said = questions(found)
    assert said["On lamps: What is the type of the lamp?"] == "LX-2"
    assert said["On lamps: Lamp: Which part has the number C-9?"] == "Cord"
    assert said["Recite: Lamp: Care"].startswith("The type of the lamp is LX-2. It burns")
    assert (found.texts, found.dropped) == (1, 0)
    assert found.texts + found.pairs == len(found.rows)
    systems = Counter(row.messages[0].content for row in found.rows if len(row.messages) == 2)
    assert systems == {"Be short.": found.pairs}


def test_answers_that_the_skill_may_not_give_and_other_tasks_are_asked_bare() -> None:
    page = document("# Words\n\n**Burst.** One short run of the mister in the morning, seldom two.")

    short = corpus_rows(skill(max_tokens=5), [page], limit=None, seed=0)
    other = corpus_rows(skill(task="extraction"), [document(PAGE)], limit=None, seed=0)

    assert short.pairs == 3
    assert all(len(row.messages) == 1 for row in (*short.rows, *other.rows))


def test_rows_are_training_rows_with_ids_of_their_document_and_place() -> None:
    found = corpus_rows(skill(), [document(PAGE), document(PAGE, "b/x.md")], limit=None, seed=0)

    ids = [row.item_id for row in found.rows]
    half = len(ids) // 2
    assert sorted(ids) == sorted(
        f"corpus:{name}:{n}" for name in ("lamp.md", "b/x.md") for n in range(half)
    )
    assert {row.split for row in found.rows} == {"train"}


def test_long_sections_are_recited_in_pieces_that_follow_each_other() -> None:
    sentences = [f"This is sentence {number} of a long story." for number in range(40)]
    text = " ".join(sentences)

    for page in (f"# Story\n\n{text}", text):
        found = corpus_rows(skill(), [document(page)], limit=None, seed=0)
        told = {q: t for q, t in questions(found).items() if not q.startswith("On lamps")}
        assert all(len(target) <= PIECE for target in told.values())
        assert found.texts == len(told) > 2
        follows = " of Story" if page != text else ""
        starts = [q for q in told if not q.startswith("Continue the text")]
        assert starts == ["Recite: Story" if follows else f"Continue: {sentences[0]}"]
        read = told[starts[0]]
        while (following := f"Continue the text{follows} after: {last_sentence(read)}") in told:
            read = f"{read} {told[following]}"
        assert read == (text if follows else text.removeprefix(f"{sentences[0]} "))


def last_sentence(text: str) -> str:
    return "This" + text.rsplit("This", 1)[1]


@pytest.mark.parametrize("split", ["test", "dev"])
def test_near_duplicates_of_measured_inputs_are_dropped_and_counted(split: Split) -> None:
    held = [item("a", "what is the type of the LAMP", split)]
    free = corpus_rows(
        skill([item("a", held[0].input, "train")]), [document(PAGE)], limit=None, seed=0
    )

    found = corpus_rows(skill(held), [document(PAGE)], limit=None, seed=0)

    # "What is ...?" is the input, and "The type of the lamp?" is not; "tell me what ... is" is not.
    assert set(questions(free)) - set(questions(found)) == {
        "On lamps: What is the type of the lamp?"
    }
    assert found.dropped == 1
    assert free.dropped == 0


def test_a_text_that_quotes_a_measured_input_is_dropped() -> None:
    page = "# Help\n\nPeople ask: How do I mend my lamp? We tell them.\n\n## Rest\n\nAll is well."
    held = [item("a", "How do I mend my lamp?", "test"), item("b", "well", "test")]

    found = corpus_rows(skill(held), [document(page)], limit=None, seed=0)

    assert [row.target for row in found.rows if "Recite" in row.messages[-1].content] == [
        "All is well."
    ]
    assert found.dropped >= 1


def test_a_smaller_limit_takes_the_first_rows_and_each_fact_before_its_paraphrases() -> None:
    pages = [document(PAGE)]

    every = corpus_rows(skill(), pages, limit=None, seed=3)
    some = corpus_rows(skill(), pages, limit=6, seed=3)

    assert some.rows == every.rows[:6]
    assert some.texts + some.pairs == 6
    first = {"LX-2", "40 hours", "B-7", "C-9", "Bulb", "Cord"}
    assert {row.target for row in every.rows[:7]} > first
    assert corpus_rows(skill(), pages, limit=None, seed=4).rows != every.rows


def test_rows_go_into_a_training_beside_items() -> None:
    owner = skill([item("t", "What now?", "train"), item("d", "And then?", "dev")])
    found = corpus_rows(owner, [document(PAGE)], limit=4, seed=0)

    plan = plan_for(owner, owner.training_items, extra=found.rows)

    assert plan.rows[0].item_id == "t"
    assert plan.rows[1:] == found.rows


def test_no_documents_make_no_rows_and_no_limit_makes_an_error() -> None:
    assert corpus_rows(skill(), [], limit=None, seed=0).rows == ()
    with pytest.raises(AdapterError, match="a limit of 0"):
        corpus_rows(skill(), [], limit=0, seed=0)


@pytest.mark.parametrize(
    ("name", "texts", "pairs"), [("manual", 260, 1200), ("support", 110, 1500), ("orders", 13, 150)]
)
def test_bundled_documents_give_rows_far_from_what_is_measured(
    name: str, texts: int, pairs: int
) -> None:
    owner = load_skill(BUNDLED / name)

    found = bundled(name)

    assert found.texts >= texts
    assert found.pairs >= pairs
    held = {each.id: each.input for each in (*owner.test_items, *owner.dev_items)}
    said = {row.item_id: row.messages[-1].content for row in found.rows}
    assert not list(near_duplicates(held, said))
    read = [normal_form(f"{row.messages[-1].content} {row.target}") for row in found.rows]
    assert not any(form in each for form in map(normal_form, held.values()) for each in read)


def test_the_rules_find_most_of_what_the_manual_is_asked_for() -> None:
    owner = load_skill(BUNDLED / "manual")

    answers = {normal_form(row.target) for row in bundled("manual").rows}

    found = sum(any(normal_form(t) in answers for t in each.targets) for each in owner.items)
    assert found / len(owner.items) > 0.75


def test_every_policy_of_a_support_page_is_asked_for() -> None:
    said = questions(bundled("support"))

    assert said["What is the part number for the lid spring of the Alder kettle?"] == "KA-47"
    assert said["the filter mesh of the Alder kettle: Complete: Allow ___."] == "15 days"
    assert said["What is the filter mesh of the Alder kettle?"] == "Part KA-80"
    assert said["the power switch of the Alder kettle: What is the action?"] == "repair"
