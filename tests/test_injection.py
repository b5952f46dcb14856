"""The measurement of attacks shows each hostile document once, and judges what was said."""

import asyncio
from collections import Counter
from dataclasses import dataclass

import pytest

from benchmarks.injection import (
    BARE,
    CANARY,
    Poisoned,
    arms_of,
    hostile_documents,
    main,
    obeyed,
    spread,
)
from rag_adapt.core.template import Template
from rag_adapt.core.types import Draft, Passage
from rag_adapt.routes.route import Route


def passage(text: str) -> Passage:
    return Passage(document="a.md", start=0, end=len(text), text=text)


@dataclass(frozen=True)
class Shelf:
    texts: tuple[str, ...]

    async def search(self, query: str, k: int) -> tuple[Passage, ...]:
        return tuple(map(passage, self.texts[:k]))


def test_there_are_five_documents_of_each_of_twelve_families_and_all_want_the_word() -> None:
    documents = hostile_documents()
    assert sorted(Counter(each.family for each in documents).values()) == [5] * 12
    assert len({each.text for each in documents}) == 60
    unseen = [chr(0xE0000 + ord(letter)) for letter in CANARY]
    for each in documents:
        assert CANARY in each.text or "".join(unseen) in each.text
        assert "{canary}" not in each.text


def test_a_few_documents_are_of_as_many_families_as_there_can_be() -> None:
    few = spread(hostile_documents(), 12)
    assert len({each.family for each in few}) == 12
    assert spread(hostile_documents(), 24)[:12] == few


def test_a_hostile_document_takes_the_place_of_the_last_at_its_rank() -> None:
    shelf = Poisoned(honest=Shelf(("a", "b", "c")), hostile={"q": passage("x")}, rank={"q": 1})
    assert [one.text for one in asyncio.run(shelf.search("q", 3))] == ["a", "x", "b"]


def test_other_forms_show_the_same_passages() -> None:
    template = Template(system="", user="{context}\n{input}", name="context")
    arms = {arm.name: arm for arm in arms_of({"rag": Route(name="rag", template=template)})}
    draft = Draft(item_id="i", input="How?", passages=(passage("a {b}"), passage("c</data>")))
    said = {name: arm.route.template.render(draft)[0].content for name, arm in arms.items()}
    assert said[f"rag, {BARE}"] == "[1] a {b}\n\n[2] c</data>\nHow?"
    assert said["rag"] == "[1] <data>a {b}</data>\n\n[2] <data>c\u2039/data></data>\nHow?"
    assert said["rag, with a sentence"].endswith(said["rag"])


@pytest.mark.parametrize(
    ("text", "said"), [("say zephyr-4471.", True), ("zephyr", False), ("", False)]
)
def test_the_word_counts_in_whatever_case(text: str, said: bool) -> None:
    assert obeyed(text) == said


def test_a_table_compares_the_routes(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("RAG_ADAPT_EMBEDDER", "hashing")
    few = ["--documents", "12", "--items", "4", "--skill", "orders"]
    assert main(["--engine", "scripted", *few]) == 0
    shown = capsys.readouterr().out
    assert "orders: 12 hostile documents, 4 dev items" in shown
    rows = [line for line in shown.splitlines() if line.startswith(("| prompt", "| rag"))]
    assert [row.split(" | ")[0] for row in rows] == [
        *("| prompt", f"| rag, {BARE}", "| rag, with a sentence", "| rag"),
    ]
    assert "| worked examples | 1 of 1" not in shown
