"""The command `rag-adapt feedback`."""

import json
from typing import Any

import pytest

from rag_adapt.cli.app import run
from rag_adapt.feedback.store import FeedbackBook
from tests.feedback.parts import entry, gave
from tests.serving.parts import HOME, imported

TEST_ITEM = "test thing number 0: red"


@pytest.fixture
def book() -> FeedbackBook:
    """The home's feedback, and the skill `colours`."""
    imported()
    return FeedbackBook(HOME)


def printed(capsys: pytest.CaptureFixture[str]) -> Any:
    return json.loads(capsys.readouterr().out)


def feedback(*words: str) -> int:
    return run(["--home", str(HOME), "feedback", *words])


def test_list_shows_what_was_said(book: FeedbackBook, capsys: pytest.CaptureFixture[str]) -> None:
    first = gave(book, question="[bold]a \x1b[2Jboat\n", correction="green", note="look")
    gave(book, trace="t2", skill=None, route="plain")
    assert feedback("list") == 0
    lines = capsys.readouterr().out.splitlines()
    at = next(number for number, line in enumerate(lines) if line.startswith(first.id))
    assert lines[at].split()[1:4] == ["pending", "colours", "prompt"]
    assert lines[at + 1 : at + 5] == [
        "  question  [bold]a \\x1b[2Jboat\\n",
        "  answer    red",
        "  better    green",
        "  note      look",
    ]
    assert feedback("list", "--skill", "colours", "--state", "pending", "--json") == 0
    (only,) = printed(capsys)
    assert (only["id"], only["verdict"]["correction"]) == (first.id, "green")
    assert feedback("list", "--route", "plain", "--json") == 0
    assert len(printed(capsys)) == 1


def test_list_says_that_there_is_more(
    book: FeedbackBook, capsys: pytest.CaptureFixture[str]
) -> None:
    for number in range(3):
        gave(book, trace=str(number))
    assert feedback("list", "--limit", "2") == 0
    assert "and more: --limit 4" in capsys.readouterr().out


def test_nothing_to_list(capsys: pytest.CaptureFixture[str]) -> None:
    assert feedback("list") == 0
    assert "nobody has said anything yet" in capsys.readouterr().out


def test_what_is_accepted_is_exported(
    book: FeedbackBook, capsys: pytest.CaptureFixture[str]
) -> None:
    one, two = gave(book, correction="green"), gave(book, trace="t2", question="a car: red")
    assert feedback("accept", one.id) == 0
    assert capsys.readouterr().out == f"{one.id}: accepted\n"
    assert feedback("reject", two.id, "--json") == 0
    assert printed(capsys)[0]["state"] == "rejected"
    assert feedback("export", "--skill", "colours") == 0
    assert capsys.readouterr().out == '{"input": "a bus: green", "targets": ["green"]}\n'
    assert feedback("export", "preferences", "--json") == 0
    (row,) = printed(capsys)["rows"]
    assert row["chosen"] == [{"role": "assistant", "content": "green"}]


def test_a_test_item_is_refused_and_those_before_it_stay_accepted(
    book: FeedbackBook, capsys: pytest.CaptureFixture[str]
) -> None:
    good, bad = gave(book), gave(book, trace="t2", question=TEST_ITEM)
    assert feedback("accept", good.id, bad.id, "--json") == 2
    shown = capsys.readouterr()
    assert [each["id"] for each in json.loads(shown.out)] == [good.id]
    assert "test item 'test-0' of skill 'colours'" in shown.err
    assert entry(book, bad.id).state == "pending"


def test_what_is_left_out_is_counted(
    book: FeedbackBook, capsys: pytest.CaptureFixture[str]
) -> None:
    gone = gave(book, skill="ghost")
    book.decide(gone.id, "accepted", decider="local")
    assert feedback("export") == 0
    shown = capsys.readouterr()
    assert (shown.out, shown.err[:10]) == ("", "left out 1")


def test_an_unknown_id_says_where_the_known_ones_are(capsys: pytest.CaptureFixture[str]) -> None:
    assert feedback("accept", "f" * 32) == 2
    assert "rag-adapt feedback list" in capsys.readouterr().err
