"""Rows say what people said, and nothing that is measured."""

import json
from pathlib import Path
from typing import Any

import pytest

from rag_adapt.cli.app import run
from rag_adapt.feedback.rows import Kind, export
from rag_adapt.feedback.store import FeedbackBook
from tests.feedback.parts import accepted, gave, turns
from tests.samples import write_skill

HOME = Path("home")


@pytest.fixture
def book() -> FeedbackBook:
    write_skill(HOME / "skills" / "colours")
    return FeedbackBook(HOME)


def rows(book: FeedbackBook, kind: Kind = "training") -> list[dict[str, Any]]:
    return list(export(book, HOME, kind).rows)


def pairs(book: FeedbackBook) -> list[tuple[str, str]]:
    return [
        (row["chosen"][0]["content"], row["rejected"][0]["content"])
        for row in rows(book, "preferences")
    ]


def test_a_liked_answer_is_an_example_and_a_disliked_one_is_none(book: FeedbackBook) -> None:
    accepted(book, question="liked", vote="up", answer="red")
    accepted(book, trace="t2", question="disliked", vote="down", answer="red")
    assert rows(book) == [{"input": "liked", "targets": ["red"]}]


def test_a_correction_stands_for_the_answer_and_before_it(book: FeedbackBook) -> None:
    accepted(book, answer="red", vote="down", correction="green")
    assert rows(book) == [{"input": "a bus: green", "targets": ["green"]}]
    assert pairs(book) == [("green", "red")]


def test_answers_to_one_question_are_compared_with_each_other(book: FeedbackBook) -> None:
    accepted(book, trace="1", answer="green", vote="up")
    accepted(book, trace="2", answer="red", vote="down", route="rag")
    accepted(book, trace="3", answer="blue", vote="down")
    accepted(book, trace="4", answer="blue", vote="down", giver="ann")
    assert pairs(book) == [("green", "red"), ("green", "blue")]
    assert rows(book) == [{"input": "a bus: green", "targets": ["green"]}]


def test_several_good_answers_are_several_targets(book: FeedbackBook) -> None:
    accepted(book, trace="1", answer="green", vote="up")
    accepted(book, trace="2", answer="lime", vote="up")
    accepted(book, trace="3", answer="blue", correction="emerald")
    assert rows(book) == [{"input": "a bus: green", "targets": ["emerald", "green", "lime"]}]


def test_where_people_disagree_nothing_is_learned(book: FeedbackBook) -> None:
    accepted(book, answer="red", vote="up")
    accepted(book, answer="red", vote="down", giver="ann")
    assert (rows(book), pairs(book)) == ([], [])
    accepted(book, trace="2", answer="lime", correction="green")
    assert rows(book) == [{"input": "a bus: green", "targets": ["green"]}]
    assert pairs(book) == [("green", "lime")]


def test_what_was_good_enough_is_rejected_for_the_better_one(book: FeedbackBook) -> None:
    accepted(book, answer="lime", vote="up", correction="green")
    assert rows(book) == [{"input": "a bus: green", "targets": ["green"]}]
    assert pairs(book) == [("green", "lime")]


def test_a_correction_that_changes_nothing_is_a_vote_for_it(book: FeedbackBook) -> None:
    accepted(book, answer="green", correction="green")
    assert rows(book) == [{"input": "a bus: green", "targets": ["green"]}]
    assert pairs(book) == []


def test_a_question_after_turns_is_a_preference_and_no_example(book: FeedbackBook) -> None:
    accepted(book, question="and its wheels?", correction="black", turns=turns("a bus", "green"))
    assert rows(book) == []
    (row,) = rows(book, "preferences")
    assert [message["content"] for message in row["prompt"]] == [
        "a bus",
        "green",
        "and its wheels?",
    ]
    assert [message["role"] for message in row["prompt"]] == ["user", "assistant", "user"]


def test_the_same_words_in_two_skills_are_two_questions(book: FeedbackBook) -> None:
    write_skill(HOME / "skills" / "shades")
    accepted(book, trace="1", vote="up", answer="green")
    accepted(book, trace="2", vote="down", answer="green", skill="shades")
    assert len(rows(book)) == 1


def test_what_nobody_accepted_and_test_items_stay_inside(book: FeedbackBook) -> None:
    gave(book, correction="green")
    book.decide(gave(book, trace="2", correction="x").id, "rejected", decider="local")
    accepted(book, trace="3", question="test thing number 1: blue", correction="blue")
    accepted(book, trace="4", skill="ghost", correction="blue")
    for kind in ("training", "preferences"):
        made = export(book, HOME, kind)
        assert (made.rows, made.left_out) == ((), 2)


def test_lines_are_json_and_can_be_imported_as_a_skill(book: FeedbackBook) -> None:
    for number in range(30):
        accepted(book, trace=str(number), question=f"line\n{number * 7919}", correction="grün")
    text = export(book, HOME, "training", skill="colours").lines()
    assert len([json.loads(line) for line in text.splitlines()]) == 30
    Path("rows.jsonl").write_text(text)
    imported = ["--name", "taught", "--target", "targets"]
    assert run(["--home", str(HOME), "skills", "import", "rows.jsonl", *imported]) == 0
