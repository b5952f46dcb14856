"""What retrieval found, and what that did to the answers; what turned, by tag."""

import pytest

from rag_adapt.bench.figures import Report
from rag_adapt.bench.gold import gold_found, gold_passages
from rag_adapt.bench.report import Extras, build_report
from rag_adapt.bench.store import AnswerRow
from rag_adapt.bench.table import retrieval_line, tables
from rag_adapt.core.trace import Event, Trace
from rag_adapt.core.types import Item, Passage, Span
from tests.samples import row

DOCUMENT = Passage(document="a.md", start=0, end=60, text="First.\n\nThe lamp is red.\n\nLast one.")


def asked(*gold: Span) -> Item:
    return Item(id="i1", input="?", targets=("red",), split="test", cluster="c1", gold=gold)


def sent(*spans: tuple[str, int, int], name: str = "retrieve") -> Trace:
    passages = [
        {"document": d, "start": start, "end": end, "score": 1.0} for d, start, end in spans
    ]
    event = Event(name=name, detail={"passages": passages})
    return Trace(route={}, item="i1", events=(event,))


GOLD = Span(document="a.md", start=20, end=23)


@pytest.mark.parametrize(
    ("span", "found"),
    [
        (("a.md", 20, 23), True),
        (("a.md", 0, 60), True),
        (("a.md", 21, 60), False),
        (("a.md", 0, 22), False),
        (("b.md", 0, 60), False),
    ],
    ids=["exactly", "inside", "cut at its start", "cut at its end", "another document"],
)
def test_a_hit_holds_a_gold_span_whole(span: tuple[str, int, int], *, found: bool) -> None:
    assert gold_found(asked(GOLD), sent(("a.md", 0, 5), span)) is found


def test_any_gold_span_will_do() -> None:
    other = Span(document="b.md", start=1, end=2)
    assert gold_found(asked(other, GOLD), sent(("a.md", 0, 60))) is True


def test_without_gold_or_passages_nothing_is_known() -> None:
    assert gold_found(asked(), sent(("a.md", 0, 60))) is None
    assert gold_found(asked(GOLD), sent(("a.md", 0, 60), name="adapt")) is None


def test_gold_passages_are_the_paragraphs_around_the_spans() -> None:
    (found,) = gold_passages(asked(GOLD, GOLD), [DOCUMENT])
    assert found.text == "The lamp is red."
    assert DOCUMENT.text[found.start : found.end] == found.text


def answers() -> list[AnswerRow]:
    """Twelve items: found for eight; rag is right on six of those and on one that was missed."""
    rows = []
    for n in range(12):
        tags = ("even",) if n % 2 == 0 else ("odd", "rare") if n == 1 else ("odd",)
        found, right = n < 8, n < 6 or n == 8
        rows.append(row(n, arm="rag", score=float(right), gold_found=found, tags=tags))
        rows.append(row(n, arm="prompt", score=float(n in (0, 7)), tags=tags))
    return rows


def report_of(rows: list[AnswerRow]) -> Report:
    arms = list(dict.fromkeys(one.arm for one in rows))
    skills: dict[str, dict[str, object]] = {
        key: {"colours": 12} for key in ("items", "available_items", "clusters", "scorers")
    }
    return build_report(rows, skills=["colours"], arms=arms, run=skills, extras=Extras())


def test_scores_are_told_apart_by_hit_and_against_the_arm_without_passages() -> None:
    report = report_of(answers())
    (found,) = report.retrieved
    assert (found.arm, found.n, found.hits) == ("rag", 12, 8)
    assert found.hit_rate == pytest.approx(8 / 12)
    assert found.ci_low < found.hit_rate < found.ci_high
    assert found.score_hit is not None
    assert found.score_missed is not None
    assert (found.score_hit.n, found.score_hit.score) == (8, 0.75)
    assert (found.score_missed.n, found.score_missed.score) == (4, 0.25)
    assert (found.against, found.wrong_without, found.right_without) == ("prompt", 10, 2)
    assert (found.rescued, found.harmed) == (6, 1)
    line = retrieval_line(found)
    assert "rescued 6 of 10 wrong items and harmed 1 of 2 right ones" in line
    assert line in tables(report)[0].notes


def test_closed_book_is_nearer_than_the_prompt() -> None:
    rows = [*answers(), *(row(n, arm="closed-book", score=0.0) for n in range(12))]
    (found,) = report_of(rows).retrieved
    assert (found.against, found.rescued, found.right_without) == ("closed-book", 7, 0)


def test_without_gold_spans_nothing_is_said_of_retrieval() -> None:
    rows = [one.model_copy(update={"gold_found": None}) for one in answers()]
    assert report_of(rows).retrieved == ()


def test_an_arm_that_always_finds_has_no_score_where_it_missed() -> None:
    rows = [one for one in answers() if one.arm == "rag" and one.gold_found]
    (found,) = report_of(rows).retrieved
    assert (found.score_missed, found.against) == (None, None)
    assert "missing" not in retrieval_line(found)


def test_what_turned_is_counted_by_tag_where_enough_items_carry_it() -> None:
    (pair,) = report_of(answers()).pairs
    odd, even = pair.by_tag
    assert (even.tag, even.n, even.fixed, even.broken) == ("even", 6, 3, 0)
    assert (odd.tag, odd.n, odd.fixed, odd.broken) == ("odd", 6, 3, 1)
    assert odd.delta == pytest.approx(2 / 6)
    assert sum(one.fixed for one in pair.by_tag) == pair.fixed
    assert "rare" not in {one.tag for one in pair.by_tag}
