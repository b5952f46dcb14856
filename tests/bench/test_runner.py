"""Asking questions: order, what is kept, and what a fault costs."""

import asyncio
from pathlib import Path

import pytest

from rag_adapt.bench.reference import NearestPool, Reference
from rag_adapt.bench.runner import (
    Answers,
    Contender,
    Judge,
    interleave,
    run_questions,
    split_alone,
)
from rag_adapt.bench.store import RunFolder, RunWriter, open_run
from rag_adapt.core.errors import EngineError
from rag_adapt.core.protocols import Silent
from rag_adapt.core.template import BARE, Template
from rag_adapt.core.types import Call, Example, Passage, Sampling
from rag_adapt.engines.scripted import ScriptedEngine
from rag_adapt.retrieval.embed import HashingEmbedder
from rag_adapt.routes.retrieve import Oracle
from rag_adapt.routes.route import Route
from rag_adapt.scoring.registry import scorer_for
from tests.samples import COLOURS, item

ITEMS = [item(n) for n in range(6)]
ROUTES: dict[str, Answers] = {
    "bare": Route(name="bare", template=BARE),
    "prompt": Route(name="prompt", template=Template(system="", user="Q {input}")),
}
JUDGE = Judge(
    skill="colours",
    labels=COLOURS,
    sampling={0: Sampling(), 1: Sampling(seed=1)},
    scorer=scorer_for("label", COLOURS),
    others={"exact": scorer_for("exact", ())},
)


def contenders(routes: dict[str, Answers]) -> list[Contender]:
    return [Contender(arm=arm, route=route) for arm, route in routes.items()]


def colour(call: Call) -> str:
    """Right for every item: the word after the colon."""
    return call.messages[-1].content.split(":")[-1].strip()


def folder(runs: Path) -> RunFolder:
    return open_run(runs, None, plan_hash="abcdef", command="c", plan={}, fingerprint={})


def ask(
    engine: ScriptedEngine,
    run: RunFolder,
    routes: dict[str, Answers] = ROUTES,
    *,
    repeats: int = 1,
    latency_items: int = 0,
) -> None:
    questions = interleave(contenders(routes), ITEMS, repeats=repeats, seed=0, gold={})
    with RunWriter(run) as writer:
        done = {row.key for row in run.rows()}
        asyncio.run(
            run_questions(
                questions,
                judge=JUDGE,
                engine=engine,
                writer=writer,
                done=done,
                latency_items=latency_items,
                concurrency=4,
                progress=Silent(),
            )
        )


def test_every_arm_answers_every_item_once_per_repeat(tmp_path: Path) -> None:
    run = folder(tmp_path)
    ask(ScriptedEngine(colour), run, repeats=2)
    keys = [row.key for row in run.rows()]
    assert len(keys) == len(set(keys)) == 2 * 6 * 2
    assert {row.score for row in run.rows()} == {1.0}
    assert {row.scores["exact"] for row in run.rows()} == {1.0}


def test_arms_are_interleaved_in_an_order_that_the_seed_decides() -> None:
    one = interleave(contenders(ROUTES), ITEMS, repeats=1, seed=0, gold={})
    assert [q.item.id for q in one] != [
        q.item.id for q in interleave(contenders(ROUTES), ITEMS, repeats=1, seed=1, gold={})
    ]
    first_half = {q.arm for q in one[:6]}
    assert first_half == {"bare", "prompt"}


def test_gold_passages_are_shown_to_the_oracle_alone() -> None:
    gold = {ITEMS[0].id: (Passage(document="d", start=0, end=1, text="x"),)}
    routes: dict[str, Answers] = {
        "oracle": Route(name="oracle", template=BARE, steps=(Oracle(),)),
        **ROUTES,
    }
    questions = interleave(contenders(routes), ITEMS, repeats=1, seed=0, gold=gold)
    assert {q.arm for q in questions if q.gold} == {"oracle"}


def test_the_first_questions_of_each_arm_are_asked_alone() -> None:
    questions = interleave(contenders(ROUTES), ITEMS, repeats=1, seed=0, gold={})
    alone, together = split_alone(questions, 2)
    assert sorted(q.arm for q in alone) == ["bare", "bare", "prompt", "prompt"]
    assert len(alone) + len(together) == len(questions)


def test_only_answers_asked_alone_are_marked_so(tmp_path: Path) -> None:
    run = folder(tmp_path)
    ask(ScriptedEngine(colour), run, latency_items=2)
    assert sum(row.alone for row in run.rows()) == 4


def test_a_stopped_run_goes_on_and_asks_nothing_twice(tmp_path: Path) -> None:
    run = folder(tmp_path)
    asked: list[str] = []

    async def stop_after_five(call: Call) -> None:
        if len(asked) == 5:
            raise KeyboardInterrupt
        asked.append(call.messages[-1].content)

    with pytest.raises(KeyboardInterrupt):
        ask(ScriptedEngine(colour, gate=stop_after_five), run)
    kept = len(list(run.rows()))
    assert 0 < kept <= 5
    again = ScriptedEngine(colour)
    ask(again, run)
    assert len(again.received) == 12 - kept
    assert len({row.key for row in run.rows()}) == 12


def test_an_engines_error_is_a_failure_of_that_answer_alone(tmp_path: Path) -> None:
    run = folder(tmp_path)
    ask(ScriptedEngine(colour, failures={"number 3": EngineError("no", hint="mend")}), run)
    failed = [row for row in run.rows() if row.failure is not None]
    assert {row.item for row in failed} == {"test-3"}
    assert {(row.failure, row.failure_hint, row.score) for row in failed} == {
        ("engine", "mend", None)
    }


def test_an_unexpected_fault_is_kept_as_internal_and_the_rest_goes_on(tmp_path: Path) -> None:
    def broken(call: Call) -> str:
        if "number 3" in call.messages[-1].content:
            raise RuntimeError("odd")
        return colour(call)

    run = folder(tmp_path)
    ask(ScriptedEngine(broken), run)
    failed = [row for row in run.rows() if row.failure is not None]
    assert {(row.item, row.failure, row.failure_message) for row in failed} == {
        ("test-3", "internal", "RuntimeError: odd")
    }
    assert len(list(run.rows())) == 12


def test_references_answer_from_training_examples_and_ask_no_engine(tmp_path: Path) -> None:
    examples = (
        Example(input="thing red red", output="red"),
        Example(input="thing blue", output="blue"),
        Example(input="blue thing blue", output="blue"),
    )
    pool = NearestPool(examples, HashingEmbedder())
    routes: dict[str, Answers] = {
        name: Reference(name=name, examples=examples, pool=pool)
        for name in ("majority", "nearest-label")
    }
    engine, run = ScriptedEngine(), folder(tmp_path)
    ask(engine, run, routes)
    assert engine.received == []
    by_arm = {arm: [r for r in run.rows() if r.arm == arm] for arm in routes}
    assert {row.output for row in by_arm["majority"]} == {"blue"}
    assert {row.score for row in by_arm["nearest-label"]} == {1.0}
    assert by_arm["nearest-label"][0].trace["events"][0]["detail"]["nearest"]
