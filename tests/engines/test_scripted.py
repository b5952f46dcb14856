"""The scripted engine: same call, same answer; failures, slowness and cancel on demand."""

import asyncio
from collections.abc import Iterator

import pytest

from rag_adapt.core.errors import AdapterError, EngineError
from rag_adapt.core.types import Call, Delta, Message, Outcome, Sampling, TokenLogProbs
from rag_adapt.engines.scripted import TEMPLATE_HASH, ScriptedAdapters, ScriptedEngine

VERSION = "orders@0123456789ab"


def ask(text: str, *, adapter: str | None = None, **sampling: object) -> Call:
    return Call(
        messages=(Message(role="system", content="be brief"), Message(role="user", content=text)),
        sampling=Sampling(**sampling),  # type: ignore[arg-type]
        adapter=adapter,
    )


async def deltas(engine: ScriptedEngine, call: Call) -> list[Delta]:
    return [delta async for delta in engine.generate(call)]


def answer(engine: ScriptedEngine, call: Call) -> Outcome:
    outcome = asyncio.run(deltas(engine, call))[-1].outcome
    assert outcome is not None
    return outcome


def score(engine: ScriptedEngine, text: str, adapter: str | None = None) -> TokenLogProbs:
    return asyncio.run(engine.logprobs(ask("the capital is").messages, text, adapter))


def test_without_a_rule_it_answers_with_the_last_line_of_the_question() -> None:
    assert answer(ScriptedEngine(), ask("Translate:\n good morning \n\n")).text == "good morning"


def test_a_blank_question_gets_an_empty_answer() -> None:
    outcome = answer(ScriptedEngine(), ask("  \n"))
    assert (outcome.text, outcome.usage.tokens_out, outcome.finish_reason) == ("", 0, "stop")


def test_a_call_without_a_user_message_gets_an_empty_answer() -> None:
    call = Call(messages=(Message(role="system", content="alone"),), sampling=Sampling())
    assert answer(ScriptedEngine(), call).text == ""


@pytest.mark.parametrize(
    ("question", "expected"),
    [
        pytest.param("two", "2", id="the whole message"),
        pytest.param("What is twenty two?", "22", id="the longest key inside it"),
        pytest.param("Say:\nhello", "hello", id="no key: the default rule"),
    ],
)
def test_a_mapping_answers_known_questions(question: str, expected: str) -> None:
    engine = ScriptedEngine({"two": "2", "twenty two": "22"})
    assert answer(engine, ask(question)).text == expected


def test_a_callable_sees_the_whole_call() -> None:
    engine = ScriptedEngine(lambda call: f"{call.adapter} {call.repeat}")
    assert answer(engine, ask("x")).text == "None 0"


def test_the_deltas_joined_are_the_text_and_only_the_last_has_the_outcome() -> None:
    found = asyncio.run(deltas(ScriptedEngine({"q": " a  b\nc "}), ask("q")))
    assert "".join(delta.text for delta in found) == " a  b\nc "
    assert [delta.outcome is not None for delta in found] == [False, False, False, True]


def test_the_limit_of_tokens_ends_the_answer_with_the_reason_length() -> None:
    outcome = answer(ScriptedEngine({"q": "a b c d"}), ask("q", max_tokens=2))
    assert (outcome.text, outcome.finish_reason, outcome.usage.tokens_out) == ("a b", "length", 2)


def test_the_earliest_stop_string_ends_the_text_before_it() -> None:
    outcome = answer(ScriptedEngine({"q": "a; b\nc"}), ask("q", stop=("\n", ";", "z")))
    assert (outcome.text, outcome.finish_reason) == ("a", "stop")


def test_it_reports_exactly_what_it_received() -> None:
    engine, call = ScriptedEngine(), ask("hello")
    sent = answer(engine, call).sent
    assert engine.received == [call]
    assert sent.messages == call.messages
    assert sent.template_hash == engine.fingerprint.template_hash == TEMPLATE_HASH
    assert sent.model == engine.fingerprint.weights


def test_only_the_latest_calls_are_remembered() -> None:
    engine = ScriptedEngine(keep=2)
    for text in "abc":
        answer(engine, ask(text))
    assert engine.received == [ask("b"), ask("c")]


def test_the_same_call_twice_gives_equal_outcomes_times_included() -> None:
    engine = ScriptedEngine()
    assert answer(engine, ask("a b c")) == answer(engine, ask("a b c"))


def test_times_come_from_the_clock_that_was_handed_in() -> None:
    ticks: Iterator[float] = iter([10.0, 11.0, 13.0, 16.0])
    times = answer(ScriptedEngine(clock=lambda: next(ticks)), ask("x")).times
    assert (times.queued, times.first_token, times.total, times.alone) == (1.0, 3.0, 6.0, True)


def test_tokens_are_words() -> None:
    usage = answer(ScriptedEngine({"q d": "one two three"}), ask("q d")).usage
    assert (usage.tokens_in, usage.tokens_out) == (4, 3)


def test_it_fails_where_it_was_told_to_and_remembers_the_call() -> None:
    error = EngineError("the server is gone", hint="Start it.")
    engine = ScriptedEngine(failures={"bad": error})
    with pytest.raises(EngineError, match="the server is gone"):
        answer(engine, ask("a bad day"))
    assert answer(engine, ask("a good day")).text == "a good day"
    assert len(engine.received) == 2
    assert engine.cancelled == 0


def test_a_gate_holds_answers_back_until_it_opens() -> None:
    async def scene() -> list[str]:
        opened, seen = asyncio.Event(), []
        engine = ScriptedEngine(gate=lambda call: opened.wait())
        task = asyncio.create_task(deltas(engine, ask("x")))
        await asyncio.sleep(0)
        seen.append("held" if not task.done() else "answered")
        opened.set()
        await task
        return [*seen, "answered"]

    assert asyncio.run(scene()) == ["held", "answered"]


def test_a_reader_that_goes_away_early_is_counted() -> None:
    async def scene(engine: ScriptedEngine) -> None:
        stream = engine.generate(ask("a b c"))
        await anext(stream)
        await stream.aclose()

    engine = ScriptedEngine()
    asyncio.run(scene(engine))
    assert engine.cancelled == 1


def test_a_cancelled_task_is_counted() -> None:
    async def scene(engine: ScriptedEngine) -> None:
        task = asyncio.create_task(deltas(engine, ask("x")))
        await asyncio.sleep(0)
        task.cancel()
        await asyncio.wait([task])

    engine = ScriptedEngine(gate=lambda call: asyncio.Event().wait())
    asyncio.run(scene(engine))
    assert engine.cancelled == 1


def test_an_undeclared_adapter_is_refused() -> None:
    engine = ScriptedEngine(adapters=ScriptedAdapters({VERSION: "0123456789ab"}))
    with pytest.raises(AdapterError, match="'other@ffffffffffff'; declared: orders@0123456789ab"):
        answer(engine, ask("x", adapter="other@ffffffffffff"))


def test_a_declared_adapter_is_loaded_once_and_answers() -> None:
    adapters = ScriptedAdapters(rank=4)
    adapters.declare(VERSION)
    engine = ScriptedEngine(adapters=adapters)
    ref = asyncio.run(adapters.ensure_loaded(VERSION))
    asyncio.run(adapters.ensure_loaded(VERSION))
    assert (ref.version, ref.rank, adapters.loaded) == (VERSION, 4, [VERSION])
    assert answer(engine, ask("x", adapter=VERSION)).sent.adapter == VERSION


def test_the_declared_hash_may_disagree_with_the_name() -> None:
    adapters = ScriptedAdapters()
    adapters.declare("right@0123456789ab")
    adapters.declare("wrong@0123456789ab", "ffffffffffff")
    assert adapters.hash_of("right@0123456789ab") == "0123456789ab"
    assert adapters.hash_of("wrong@0123456789ab") == "ffffffffffff"


def test_loading_an_unknown_adapter_says_what_is_known() -> None:
    with pytest.raises(AdapterError, match="declared: none"):
        asyncio.run(ScriptedAdapters().ensure_loaded(VERSION))


def test_what_it_would_say_is_likelier_than_anything_else() -> None:
    engine = ScriptedEngine({"the capital is": "Paris"})
    right, wrong = score(engine, "Paris"), score(engine, "Rome")
    assert right.total == pytest.approx(-0.1)
    assert wrong.total < -1.0
    assert (len(right.token_ids), right.text_bytes) == (1, 5)


def test_log_probabilities_are_fixed_and_depend_on_the_adapter() -> None:
    adapters = ScriptedAdapters()
    adapters.declare(VERSION)
    engine = ScriptedEngine(adapters=adapters)
    assert score(engine, "Rome or Oslo") == score(engine, "Rome or Oslo")
    assert score(engine, "Rome").total != score(engine, "Rome", VERSION).total


def test_log_probabilities_under_an_unknown_adapter_are_refused() -> None:
    with pytest.raises(AdapterError):
        score(ScriptedEngine(), "Rome", VERSION)


def test_two_mappings_have_two_fingerprints() -> None:
    one, two = ScriptedEngine({"a": "1"}).fingerprint, ScriptedEngine({"a": "2"}).fingerprint
    assert one.weights != two.weights
    assert ScriptedEngine({"a": "1"}).fingerprint == one
