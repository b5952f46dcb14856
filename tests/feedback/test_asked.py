"""What was asked is read out of a trace exactly, or not at all."""

import asyncio
import time
from contextlib import suppress
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from rag_adapt.core.template import BARE, Template
from rag_adapt.core.trace import Answer
from rag_adapt.core.types import Draft, Example, Message, Passage, Sampling
from rag_adapt.engines.scripted import ScriptedEngine
from rag_adapt.feedback.asked import READABLE, READABLE_TWICE, asked_in
from rag_adapt.feedback.entry import FeedbackError
from rag_adapt.routes.demonstrate import Demonstrate
from rag_adapt.routes.retrieve import Retrieve
from rag_adapt.routes.route import Route
from tests.feedback.parts import turns

LABELS = ("red", "blue")
PROMPT = Template(system="One of {labels}.", user="Thing ({labels}): {input}\nColour:")
CONTEXT = Template(system="", user="{context}\n\nQuestion: {input}", name="context")
TWICE = Template(system="", user="{input}, I say: {input}", name="twice")
AFTER = Template(system="", user="{input}\n\n{context}", name="after")
ALL = (PROMPT, CONTEXT, TWICE, AFTER)


class Shelf:
    """Finds what it was given."""

    def __init__(self, *texts: str) -> None:
        self.passages = tuple(
            Passage(document="a.md", start=0, end=len(text), text=text) for text in texts
        )

    async def search(self, query: str, k: int) -> tuple[Passage, ...]:
        return self.passages


def route(template: Template, *, shelf: Shelf | None = None, shots: int = 0) -> Route:
    pool = tuple(Example(input=f"thing {n}", output="red") for n in range(shots))
    steps: tuple[Any, ...] = (Demonstrate(k=shots, pool=pool),) if shots else ()
    if shelf is not None:
        steps += (Retrieve(collection="c@1", k=4, mode="lexical", retriever=shelf),)
    return Route(name="asked", template=template, steps=steps)


def trace(made: Route, question: str, before: tuple[Message, ...] = ()) -> dict[str, Any]:
    """The trace of an answer, as it is kept."""
    draft = Draft(item_id="question", input=question, labels=LABELS, turns=before)
    answer = asyncio.run(made.answer(draft, engine=ScriptedEngine(), sampling=Sampling()))
    assert isinstance(answer, Answer)
    return answer.trace.as_json()


@pytest.mark.parametrize("template", ALL, ids=lambda t: t.name)
@pytest.mark.parametrize("shots", [0, 3])
@pytest.mark.parametrize("before", [(), turns("a", "b")], ids=["alone", "after turns"])
def test_the_template_is_taken_off_again(
    template: Template, shots: int, before: tuple[Message, ...]
) -> None:
    shelf = Shelf("One.\n\nTwo.", "Three.") if template.wants_context else None
    found = asked_in(
        trace(route(template, shelf=shelf, shots=shots), "a bus?\nGreen.", before),
        templates=ALL,
        labels=LABELS,
    )
    assert (found.question, found.turns, found.route) == ("a bus?\nGreen.", before, "asked")


def test_the_plain_model_was_sent_the_question_itself() -> None:
    before = (Message(role="system", content="Be kind."), *turns("a", "b"))
    found = asked_in(trace(route(BARE), "{input}", before), templates=[BARE])
    assert (found.question, found.turns) == ("{input}", before)


@given(
    question=st.text(max_size=30),
    texts=st.lists(st.text(min_size=1, max_size=30), max_size=3),
    template=st.sampled_from(ALL),
)
def test_whatever_is_asked_comes_back_or_nothing(
    question: str, texts: list[str], template: Template
) -> None:
    kept = trace(route(template, shelf=Shelf(*texts)), question)
    try:
        found = asked_in(kept, templates=ALL, labels=LABELS)
    except FeedbackError:
        assert template.wants_context
    else:
        assert found.question == question


@pytest.mark.parametrize(
    ("text", "question"),
    [("See\n\nQuestion: who?", "how?"), ("See.", "how?\n\nQuestion: who?")],
    ids=["in a passage", "in the question"],
)
def test_where_a_passage_may_end_twice_nothing_is_guessed(text: str, question: str) -> None:
    kept = trace(route(CONTEXT, shelf=Shelf(text)), question)
    with pytest.raises(FeedbackError, match="cannot be told where the passages"):
        asked_in(kept, templates=ALL, labels=LABELS)


def test_another_template_is_not_taken_for_it() -> None:
    kept = trace(route(PROMPT), "a bus")
    with pytest.raises(FeedbackError, match="no longer has the template 'prompt'"):
        asked_in(kept, templates=[CONTEXT], labels=LABELS)


def test_other_labels_are_not_taken_for_them() -> None:
    kept = trace(route(PROMPT), "a bus")
    with pytest.raises(FeedbackError, match="cannot be told"):
        asked_in(kept, templates=ALL, labels=("green",))


def test_a_trace_that_was_cut_says_so() -> None:
    cut = {**trace(route(PROMPT), "a bus"), "events": []}
    with pytest.raises(FeedbackError, match="no longer holds what was asked"):
        asked_in(cut, templates=ALL, labels=LABELS)
    with pytest.raises(FeedbackError, match="no longer holds what was asked"):
        asked_in({"events": [], "left_out": "longer"}, templates=ALL)


@pytest.mark.parametrize(
    ("template", "most"), [(PROMPT, READABLE), (TWICE, READABLE_TWICE)], ids=["once", "twice"]
)
def test_what_is_very_long_is_not_taken_apart(template: Template, most: int) -> None:
    kept = trace(route(template), "x" * most)
    with pytest.raises(FeedbackError, match=f"longer than {most}"):
        asked_in(kept, templates=ALL, labels=LABELS)


@pytest.mark.parametrize(
    ("template", "text", "question"),
    [
        (CONTEXT, "\n\nQuestion: " * 10_000, "\n\nQuestion: " * 10_000),
        (AFTER, "\n\n[1] " * 20_000, "\n\n[1] " * 20_000),
        (TWICE, "", "a, I say: " * 450),
    ],
    ids=lambda value: getattr(value, "name", ""),
)
def test_nobody_keeps_it_busy(template: Template, text: str, question: str) -> None:
    kept = trace(route(template, shelf=Shelf(text)), question)
    begun = time.process_time()
    for labels in (LABELS, ("green",)):
        with suppress(FeedbackError):
            asked_in(kept, templates=ALL, labels=labels)
    assert time.process_time() - begun < 1
