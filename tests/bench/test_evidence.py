"""Probes are cheap, nested, on dev items alone, and a figure that cannot be had is null."""

import asyncio
from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from rag_adapt.adapters.plan import TrainPlan
from rag_adapt.bench.evidence import ProbeTools, probe, probe_plan
from rag_adapt.bench.features import Features
from rag_adapt.bench.plain_probes import overlaps
from rag_adapt.bench.reference import NearestPool
from rag_adapt.core.errors import (
    AdapterError,
    ContextLengthError,
    NoLogProbsError,
    PlanError,
    SkillError,
)
from rag_adapt.core.protocols import Progress
from rag_adapt.core.types import Call, Example, Item, Message, Passage, Span, TokenLogProbs
from rag_adapt.skills.skill import Skill
from tests.bench.probing import COLOURS, Bent, skill

NATS = {None: 4.0, 1: 3.5, 10: 1.0, 50: 0.25}
"""Nats per answer word under the base and after so many examples."""


def right(question: str) -> str:
    """The colour of the thing with the number in the question."""
    number = "".join(letter for letter in question if letter.isdigit())
    return COLOURS[int(number or 0) % 2]


class School:
    """Trains by remembering how many examples it was shown."""

    def __init__(self) -> None:
        self.shown: list[tuple[str, ...]] = []

    def train(self, items: Sequence[Item]) -> str:
        self.shown.append(tuple(item.id for item in items))
        return version(len(items))


def version(count: int) -> str:
    return f"probe-colours@{count:012x}"


def doses(adapter: str | None) -> int | None:
    return None if adapter is None else int(adapter.rpartition("@")[2], 16)


def reply(call: Call) -> str:
    """Adapters of ten examples and more answer right; the base talks."""
    dose = doses(call.adapter)
    return right(call.messages[-1].content) if dose is not None and dose >= 10 else "Well, maybe."


class Learner(Bent):
    """Words cost what the dose says; shots save half a nat each time they double."""

    def __init__(self, *, longest: int = 99) -> None:
        super().__init__(reply=reply, adapters=[version(count) for count in (1, 10, 50)])
        self.longest = longest
        """Messages that fit."""
        self.seen: list[Sequence[Message]] = []

    async def logprobs(
        self, messages: Sequence[Message], continuation: str, adapter: str | None = None
    ) -> TokenLogProbs:
        if len(messages) > self.longest:
            raise ContextLengthError("too long", hint="Shorten it.")
        self.seen.append(messages)
        turns = sum(message.role == "assistant" for message in messages)
        second = any(message.role == "system" for message in messages)
        found = await super().logprobs(messages, continuation, adapter)
        nats = NATS[doses(adapter)] - 0.5 * np.log2(1 + turns) - 0.125 * second
        return replace(found, logprobs=(-nats,) * len(found.token_ids))


class Library:
    """Finds the first ten characters of the document for even things, nothing of use for odd."""

    async def search(self, query: str, k: int) -> tuple[Passage, ...]:
        start = 0 if right(query) == "red" else 40
        text = "x" * 20
        return (Passage(document="colours.md", start=start, end=start + 20, text=text),)


class Letters:
    """Embeds the parity of the number in a text."""

    def embed(self, texts: Sequence[str]) -> NDArray[np.float32]:
        return np.array([[1.0, 0.0] if right(t) == "red" else [0.0, 1.0] for t in texts], "f4")


def run(
    given: Skill | None = None,
    engine: Bent | None = None,
    school: School | None = None,
    learn: Sequence[Item] | None = None,
    progress: Progress | None = None,
    doses: Sequence[int] = (1, 10, 50),
    **more: Any,
) -> Features:
    given, engine, school = given or skill(), engine or Learner(), school or School()
    with asyncio.Runner() as runner:
        tools = ProbeTools(
            engine=engine,
            runner=runner,
            train=school.train,
            load=engine.adapters.ensure_loaded,
            count_tokens=lambda text: len(text.split()),
            **more,
        )
        return probe(given, learn or given.training_items, tools, doses=doses, progress=progress)


def bits(nats: float) -> float:
    return float(nats / np.log(2))


def test_every_condition_is_read_on_the_same_sixteen_dev_items() -> None:
    found = run()
    assert (found.dev_items, found.dev_clusters, found.train_items) == (16, 16, 60)
    assert found.best_template == "prompt-2"
    assert found.bits_bare == pytest.approx(bits(4.0))
    assert found.bits_prompt == pytest.approx(bits(3.875))
    assert found.bits_shots_1 == pytest.approx(bits(3.375))
    assert found.bits_shots_16 == pytest.approx(bits(3.875 - 0.5 * np.log2(17)))
    assert found.bits_lora_1 == pytest.approx(bits(3.5))
    assert found.bits_lora_10 == pytest.approx(bits(1.0))
    assert found.bits_lora_50 == pytest.approx(bits(0.25))


def test_answers_are_scored_where_they_say_something() -> None:
    found = run()
    assert (found.score_bare, found.score_prompt, found.score_shots_16) == (0.0, 0.0, 0.0)
    assert (found.score_lora_10, found.score_lora_50) == (1.0, 1.0)
    assert found.score_majority == 0.5
    assert (found.score_nearest, found.retrieval_hit, found.documents) == (None, None, None)


def test_adapters_are_given_nested_training_items_and_shots_are_the_first_of_them() -> None:
    school, engine = School(), Learner()
    run(engine=engine, school=school)
    one, ten, fifty = school.shown
    assert (len(one), len(ten), len(fifty)) == (1, 10, 50)
    assert (ten[:1], fifty[:10]) == (one, ten)
    most = max(engine.seen, key=len)
    shown = [message.content.replace(" thing ", "-") for message in most if message.role == "user"]
    assert shown[:-1] == list(fifty[:16])
    assert fifty == tuple(item.id for item in skill().training_items[:50])


def test_no_test_item_is_ever_asked_and_no_training_item_is_a_question() -> None:
    engine = Learner()
    run(engine=engine)
    questions = {messages[-1].content for messages in engine.seen}
    assert not any("test thing" in m.content for messages in engine.seen for m in messages)
    assert all("dev thing" in question for question in questions)


def test_shots_that_do_not_fit_are_null() -> None:
    found = run(engine=Learner(longest=10))
    assert found.bits_shots_4 is not None
    assert (found.bits_shots_16, found.score_shots_16) == (None, None)


def test_doses_without_enough_examples_are_null() -> None:
    found = run(skill(train=12, dev=3))
    assert found.dev_items == 3
    assert (found.bits_shots_16, found.bits_lora_50, found.score_lora_50) == (None, None, None)
    assert found.bits_lora_10 is not None


def test_without_doses_nothing_is_trained() -> None:
    school = School()
    found = run(school=school, doses=())
    assert school.shown == []
    assert (found.bits_lora_1, found.bits_lora_50) == (None, None)
    assert found.bits_shots_16 is not None


def test_one_template_is_the_best_one() -> None:
    only = skill()
    found = run(replace(only, templates={"prompt": only.prompt}))
    assert found.best_template == "prompt"


def test_neighbours_and_documents_are_probed_where_they_are_handed_in() -> None:
    pool = tuple(Example(input=f"thing {n}", output=right(str(n))) for n in range(4))
    found = run(nearest=NearestPool(pool, Letters()), retriever=Library(), documents=1)
    assert found.score_nearest == 1.0
    assert (found.retrieval_hit, found.retrieval_recall, found.documents) == (0.5, 0.5, 1)


def test_items_without_gold_leave_the_hit_rate_null() -> None:
    plain = skill()
    blind = replace(plain, items=tuple(replace(item, gold=()) for item in plain.items))
    assert run(blind, retriever=Library()).retrieval_hit is None


@pytest.mark.parametrize(
    ("document", "start", "end", "wanted"),
    [
        pytest.param("a.md", 5, 10, True, id="inside"),
        pytest.param("a.md", 19, 30, True, id="one character"),
        pytest.param("a.md", 20, 30, False, id="beside"),
        pytest.param("b.md", 5, 10, False, id="another document"),
    ],
)
def test_a_passage_hits_if_it_shares_a_character(
    document: str, start: int, end: int, wanted: bool
) -> None:
    passage = Passage(document="a.md", start=4, end=20, text="x" * 16)
    assert overlaps(passage, Span(document=document, start=start, end=end)) is wanted


def test_a_skill_without_dev_items_cannot_be_probed() -> None:
    with pytest.raises(PlanError, match="cannot be probed: 0 dev items, 60 training items"):
        run(skill(dev=0))


def test_items_of_other_splits_are_refused() -> None:
    given = skill()
    with pytest.raises(SkillError, match="a probe was handed item 'test-0' of the 'test' split"):
        run(given, learn=given.test_items)


def test_an_engine_without_log_probabilities_is_an_error() -> None:
    class Mute(Learner):
        async def logprobs(self, *_: Any) -> TokenLogProbs:
            raise NoLogProbsError("none", hint="Use another.")

    with pytest.raises(NoLogProbsError):
        run(engine=Mute())


def test_progress_ends_where_it_said_it_would() -> None:
    told: list[tuple[int, int]] = []

    class Watch:
        def update(self, stage: str, done: int, total: int, note: str = "") -> None:
            told.append((done, total))

    run(skill(train=12), progress=Watch())
    assert told == sorted(told)
    assert told[-1][0] == told[-1][1]


def test_probes_train_in_small_steps_under_a_name_of_their_own() -> None:
    given = skill("a-skill-with-a-name-as-long-as-names-may-be-here")
    plan: TrainPlan = probe_plan(given, given.training_items[:10], seed=3)
    assert plan.name == "probe-a-skill-with-a-name-as-long-as-names-may-b"
    assert (plan.steps, plan.batch_size, plan.epochs, plan.seed) == (30, 1, 3, 3)
    assert probe_plan(given, given.training_items[:50]).steps == 50
    assert plan.dev == ()
    with pytest.raises(AdapterError, match="test items"):
        probe_plan(given, given.test_items)
