"""Measuring search: every mode, every pair, on the same questions."""

from collections.abc import Sequence

from rag_adapt.bench.search_quality import measure
from rag_adapt.bench.search_questions import SearchQuestion
from rag_adapt.bench.search_scores import METRICS
from rag_adapt.core.types import Passage, Span

TEXTS = {f"{n}.md": f"Fact {n} is here. And this is not it." for n in range(6)}
CHUNKS = [
    Span(document=document, start=start, end=end)
    for document in TEXTS
    for start, end in ((0, 15), (16, 35))
]


def question(number: int) -> SearchQuestion:
    span = Span(document=f"{number}.md", start=0, end=15)
    return SearchQuestion(question=str(number), references=(span,))


def passage(document: str, start: int, end: int) -> Passage:
    text = TEXTS[document][start:end]
    return Passage(document=document, start=start, end=end, text=text, score=1.0)


def right(asked: str) -> Sequence[Passage]:
    return [passage(f"{asked}.md", 0, 15)]


def half(asked: str) -> Sequence[Passage]:
    return right(asked) if int(asked) % 2 else [passage(f"{asked}.md", 16, 35)]


def test_a_perfect_search_is_told_from_one_that_errs() -> None:
    found = measure([question(n) for n in range(6)], {"half": half, "right": right}, TEXTS, CHUNKS)
    assert (found.questions, found.clusters) == (6, 6)
    one, other = found.measured
    assert {one.metrics[metric].value for metric in METRICS} == {0.5}
    assert {other.metrics[metric].value for metric in METRICS} == {1.0}
    assert (other.passages, other.tokens) == (1.0, 5.0)
    [pair] = found.differences
    assert (pair.a, pair.b) == ("half", "right")
    assert pair.metrics["iou"].value == 0.5
    assert 0.0 < pair.metrics["iou"].low < 0.5 < pair.metrics["iou"].high <= 1.0


def test_questions_on_few_documents_are_drawn_one_by_one() -> None:
    found = measure([question(0), question(0), question(1)], {"right": right}, TEXTS, CHUNKS)
    assert found.clusters == 3
    assert found.differences == ()
