"""Feedback outlives its trace and the process, and does not grow without end."""

import threading
from pathlib import Path
from typing import Any

import pytest

from rag_adapt.core.errors import CollectionError, LockedError
from rag_adapt.feedback.entry import FeedbackError, FeedbackNotFoundError, TooMuchFeedbackError
from rag_adapt.feedback.store import LONGEST, FeedbackBook, Wanted
from rag_adapt.retrieval.sqlite import open_writer
from tests.feedback.parts import accepted, gave, judged, turns


@pytest.fixture
def book(tmp_path: Path) -> FeedbackBook:
    return FeedbackBook(tmp_path / "home", waiting=5)


def test_feedback_is_found_after_a_restart(book: FeedbackBook) -> None:
    said = gave(book, correction="grün", note="look", turns=turns("a", "b"))
    book.close()
    again = FeedbackBook(book.path.parent)
    assert again.get(said.id) == said
    assert said.judged == judged(turns=turns("a", "b"))


def test_what_people_asked_is_their_owners_alone(book: FeedbackBook) -> None:
    gave(book)
    assert book.path.stat().st_mode & 0o077 == 0


def test_a_second_word_of_one_giver_takes_the_firsts_place(book: FeedbackBook) -> None:
    first = gave(book, vote="up")
    second = gave(book, vote="down")
    other = gave(book, vote="up", giver="ann")
    assert second.id != first.id
    assert [e.id for e in book.page(Wanted(), limit=9).entries] == [other.id, second.id]
    with pytest.raises(FeedbackNotFoundError, match="there is no feedback"):
        book.get(first.id)


def test_what_is_decided_is_not_replaced(book: FeedbackBook) -> None:
    said = accepted(book, vote="up")
    with pytest.raises(FeedbackError, match="is accepted already"):
        gave(book, vote="down")
    assert book.get(said.id).verdict.vote == "up"


def test_a_giver_may_leave_only_so_much_undecided(book: FeedbackBook) -> None:
    made = [gave(book, trace=str(number)) for number in range(5)]
    with pytest.raises(TooMuchFeedbackError, match="5 pieces"):
        gave(book, trace="more")
    assert gave(book, trace="0", vote="up").verdict.vote == "up"
    gave(book, trace="more", giver="ann")
    book.decide(made[1].id, "rejected", decider="local")
    book.withdraw(made[2].id)
    gave(book, trace="more")


@pytest.mark.parametrize(
    "more",
    [
        {"question": "x" * (LONGEST + 1)},
        {"answer": "x" * (LONGEST + 1)},
        {"question": "x" * LONGEST, "turns": turns("y")},
    ],
    ids=["question", "answer", "with turns"],
)
def test_texts_are_bounded(book: FeedbackBook, more: dict[str, Any]) -> None:
    with pytest.raises(FeedbackError, match=f"more than the {LONGEST}"):
        gave(book, **more)


def test_pages_follow_each_other(book: FeedbackBook) -> None:
    made = [gave(book, trace=str(number), giver=str(number)) for number in range(5)]
    first = book.page(Wanted(), limit=2)
    gave(book, trace="new", giver="new")
    second = book.page(Wanted(), limit=2, before=first.next)
    third = book.page(Wanted(), limit=2, before=second.next)
    ids = [e.id for page in (first, second, third) for e in page.entries]
    assert ids == [e.id for e in reversed(made)]
    assert third.next is None


def test_filters_name_what_is_wanted(book: FeedbackBook) -> None:
    plain = gave(book, trace="p", skill=None, route="plain", giver="ann")
    done = accepted(book)
    assert [e.id for e in book.page(Wanted(giver="ann"), limit=9).entries] == [plain.id]
    assert [e.id for e in book.page(Wanted(state="accepted"), limit=9).entries] == [done.id]
    assert book.page(Wanted(skill="colours", route="plain"), limit=9).entries == ()


def test_a_decision_says_who_and_when(book: FeedbackBook) -> None:
    said = gave(book)
    first = book.decide(said.id, "accepted", decider="ann")
    assert (first.state, first.decider) == ("accepted", "ann")
    assert first.decided is not None
    assert first.decided >= said.given
    assert book.decide(said.id, "accepted", decider="bob") == first
    assert book.decide(said.id, "rejected", decider="bob").decider == "bob"
    with pytest.raises(FeedbackNotFoundError):
        book.decide("ghost", "accepted", decider="ann")


def test_only_what_waits_can_be_withdrawn(book: FeedbackBook) -> None:
    said = accepted(book)
    with pytest.raises(FeedbackError, match="is accepted already"):
        book.withdraw(said.id)
    with pytest.raises(FeedbackNotFoundError):
        book.withdraw("ghost")


def test_one_questions_feedback_stands_side_by_side(book: FeedbackBook) -> None:
    for trace, question in (("1", "a"), ("2", "b"), ("3", "a"), ("4", "b")):
        accepted(book, trace=trace, question=question)
    accepted(book, trace="5", question="a", skill="other")
    found = [e.judged.question for e in book.accepted("colours")]
    assert sorted(found) == ["a", "a", "b", "b"]
    assert found[0] == found[1]
    assert len(book.accepted()) == 5


def test_many_threads_leave_one_vote_each(tmp_path: Path) -> None:
    books = [FeedbackBook(tmp_path) for _ in range(2)]
    books[0].page(Wanted(), limit=1)

    def vote(number: int) -> None:
        for _ in range(5):
            gave(books[number % 2], giver=str(number % 4))

    threads = [threading.Thread(target=vote, args=(number,)) for number in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(books[0].page(Wanted(), limit=99).entries) == 4


def test_a_busy_file_is_a_problem_that_passes(
    book: FeedbackBook, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("rag_adapt.retrieval.sqlite.BUSY_SECONDS", 0.1)
    gave(book)
    book.close()
    other = open_writer(book.path)
    other.execute("BEGIN IMMEDIATE")
    with pytest.raises(LockedError):
        gave(book, trace="t2")
    other.execute("ROLLBACK")
    other.close()
    gave(book, trace="t2")


def test_a_damaged_file_says_how_to_go_on(tmp_path: Path) -> None:
    (tmp_path / "state.db").write_text("no database at all, but long enough to be read" * 20)
    with pytest.raises(CollectionError, match="is damaged"):
        FeedbackBook(tmp_path).get("x")
