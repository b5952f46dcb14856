"""The embedded engine's answers: alone, together, deterministic, streamed, cancelled, failed."""

import asyncio
import sys
import time
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest
import torch

from rag_adapt.core.errors import AdapterError, ContextLengthError, EngineError
from rag_adapt.core.types import Call, Outcome
from rag_adapt.engines.embedded import EmbeddedEngine
from rag_adapt.engines.embedded_batch import Filled
from tests.engines.embedded_parts import answer, call, deltas, load, one_by_one, together, using
from tests.tiny_model import CONTEXT

TOKEN_BYTES = 512
"""Of a token's keys and values in the tiny model, in float32."""
TEXTS = [f"question {'x' * (number * 7 % 23)} number {number}" for number in range(12)]


def texts(outcomes: Sequence[Outcome]) -> list[str]:
    return [outcome.text for outcome in outcomes]


@pytest.fixture
def engine(tiny_model: Path) -> Iterator[EmbeddedEngine]:
    engine = EmbeddedEngine(load(tiny_model))
    yield engine
    engine.close()


@pytest.fixture
def exact(tiny_model: Path) -> Iterator[EmbeddedEngine]:
    engine = EmbeddedEngine(load(tiny_model, deterministic=True))
    yield engine
    engine.close()


def generated(engine: EmbeddedEngine, wanted: Call) -> tuple[list[int], str]:
    """What the library's own `generate` gives: tokens up to the end, and text."""
    loaded = engine.loaded
    ids = loaded.chat.render(wanted.messages)
    found = loaded.model.generate(
        input_ids=torch.tensor([ids]),
        attention_mask=torch.ones(1, len(ids), dtype=torch.long),
        max_new_tokens=wanted.sampling.max_tokens,
        do_sample=False,
    )[0, len(ids) :].tolist()
    return found, loaded.chat.decode(found)


def test_deterministic_answers_equal_plain_generate(exact: EmbeddedEngine) -> None:
    calls = [call(text, max_tokens=20) for text in TEXTS[:5]]
    outcomes = asyncio.run(together(exact, calls))
    for wanted, outcome in zip(calls, outcomes, strict=True):
        tokens, text = generated(exact, wanted)
        assert outcome.text == text
        assert outcome.usage.tokens_out == len(tokens)


def test_answers_together_equal_answers_alone(
    engine: EmbeddedEngine, exact: EmbeddedEngine
) -> None:
    calls = [call(text, max_tokens=3 + number * 2) for number, text in enumerate(TEXTS)]
    assert texts(asyncio.run(together(engine, calls))) == texts(
        asyncio.run(one_by_one(exact, calls))
    )


def test_rows_that_join_a_running_batch_get_the_same_answers(
    tiny_model: Path, exact: EmbeddedEngine
) -> None:
    narrow = EmbeddedEngine(load(tiny_model), max_batch=4)
    calls = [
        call(text * (1 + number % 3), max_tokens=2 + 5 * (number % 4))
        for number, text in enumerate(TEXTS)
    ]
    expected = texts(asyncio.run(one_by_one(exact, calls)))
    assert texts(using(narrow, lambda: together(narrow, calls))) == expected


def test_rows_wait_where_memory_for_their_keys_is_short(
    tiny_model: Path, exact: EmbeddedEngine, monkeypatch: pytest.MonkeyPatch
) -> None:
    made: list[int] = []
    join = Filled.join

    def watched(self: Filled, other: Filled, rows: int) -> None:
        made.append(rows * max(*self.positions, *other.positions))
        join(self, other, rows)

    monkeypatch.setattr(Filled, "join", watched)
    short = EmbeddedEngine(load(tiny_model), keys_bytes=(room := 400) * TOKEN_BYTES)
    calls = [call(text * (1 + number % 3), max_tokens=9) for number, text in enumerate(TEXTS)]
    expected = texts(asyncio.run(one_by_one(exact, calls)))
    assert texts(using(short, lambda: together(short, calls))) == expected
    assert made
    assert max(made) <= room


def test_a_shared_beginning_gives_the_same_answers_and_is_computed_once(
    engine: EmbeddedEngine, exact: EmbeddedEngine
) -> None:
    shared = "These are the labels that every question may have. " * 3
    calls = [call(text, system=shared) for text in TEXTS]
    expected = texts(asyncio.run(one_by_one(exact, calls)))
    assert texts(asyncio.run(together(engine, calls))) == expected
    kept = len(engine.thread.prefixes)
    assert kept >= 1
    assert texts(asyncio.run(together(engine, calls))) == expected


def test_long_prompts_are_computed_in_parts_with_the_same_result(
    engine: EmbeddedEngine, exact: EmbeddedEngine
) -> None:
    calls = [call("long " * 400), call("longer " * 350), call("other " * 380)] * 2
    assert texts(asyncio.run(together(engine, calls))) == texts(
        asyncio.run(one_by_one(exact, calls))
    )


def test_the_outcome_tells_what_the_engine_received(engine: EmbeddedEngine) -> None:
    wanted = call("hello", system="be brief")
    sent = asyncio.run(answer(engine, wanted)).sent
    assert sent.messages == wanted.messages
    assert sent.token_ids == engine.loaded.chat.render(wanted.messages)
    assert sent.template_hash == engine.loaded.chat.template_hash
    assert sent.adapter is None
    assert sent.model == "a" * 64


def test_the_fingerprint_names_weights_template_and_mode(exact: EmbeddedEngine) -> None:
    mark = exact.fingerprint
    assert (mark.engine, mark.weights, mark.dtype) == ("embedded", "a" * 64, "float32")
    assert mark.deterministic
    assert mark.template_hash == exact.loaded.chat.template_hash


def test_streamed_pieces_join_to_the_text(engine: EmbeddedEngine) -> None:
    async def all_pieces() -> list[list[Any]]:
        calls = [call(text, max_tokens=30) for text in TEXTS]
        return list(await asyncio.gather(*(deltas(engine, wanted) for wanted in calls)))

    for pieces in asyncio.run(all_pieces()):
        outcome = pieces[-1].outcome
        assert "".join(piece.text for piece in pieces) == outcome.text
        assert all(piece.outcome is None for piece in pieces[:-1])
        assert outcome.usage.tokens_out <= 30


def test_an_answer_ends_before_its_stop_string(engine: EmbeddedEngine) -> None:
    whole = asyncio.run(answer(engine, call("stop", max_tokens=30))).text
    stop = whole[5:7]
    cut = asyncio.run(answer(engine, call("stop", max_tokens=30, stop=(stop, "never there"))))
    assert cut.text == whole[: whole.index(stop)]
    assert cut.finish_reason == "stop"
    assert cut.usage.tokens_out < 30


def test_an_answer_that_reaches_its_bound_says_so(engine: EmbeddedEngine) -> None:
    outcome = asyncio.run(answer(engine, call("bound", max_tokens=4)))
    assert outcome.finish_reason == "length"
    assert outcome.usage.tokens_out == 4


def test_a_seed_gives_the_same_answer_alone_and_together(engine: EmbeddedEngine) -> None:
    calls = [call(text, temperature=1.5, top_p=0.9, seed=7) for text in TEXTS]
    alone = texts(asyncio.run(one_by_one(engine, calls)))
    assert texts(asyncio.run(together(engine, calls))) == alone


def test_another_seed_or_repeat_gives_another_answer(engine: EmbeddedEngine) -> None:
    drawn: dict[str, Any] = {"temperature": 2.0, "max_tokens": 20}
    calls = [
        call("draw", seed=1, **drawn),
        call("draw", seed=2, **drawn),
        call("draw", seed=1, repeat=1, **drawn),
    ]
    assert len(set(texts(asyncio.run(together(engine, calls))))) == 3


def test_times_are_ordered_and_know_company(engine: EmbeddedEngine) -> None:
    alone = asyncio.run(answer(engine, call("alone"))).times
    assert 0 <= alone.queued <= alone.first_token <= alone.total
    assert alone.alone
    assert not any(o.times.alone for o in asyncio.run(together(engine, [call("a"), call("b")])))


def test_a_cancelled_answer_leaves_the_batch(engine: EmbeddedEngine) -> None:
    async def leave_early() -> Outcome:
        stream = engine.generate(call("long answer", max_tokens=2000))
        await anext(stream)
        await stream.aclose()
        return await answer(engine, call("next"))

    outcome = asyncio.run(leave_early())
    assert outcome.usage.tokens_out <= 12
    assert asyncio.run(answer(engine, call("alone"))).times.alone


def test_a_row_whose_event_loop_has_ended_is_dropped(engine: EmbeddedEngine) -> None:
    loop = asyncio.new_event_loop()
    stream = engine.generate(call("long answer", max_tokens=3000))
    loop.run_until_complete(anext(stream))
    loop.close()
    assert asyncio.run(answer(engine, call("next"))).text
    for _ in range(400):
        if engine.thread.rows == 0:
            return
        time.sleep(0.05)
    pytest.fail("the row is still computed though nobody waits for it")


def test_what_does_not_fit_into_the_context_is_refused(engine: EmbeddedEngine) -> None:
    with pytest.raises(ContextLengthError, match=f"{CONTEXT} tokens"):
        asyncio.run(answer(engine, call("x", max_tokens=CONTEXT)))
    with pytest.raises(ContextLengthError):
        asyncio.run(engine.logprobs(call("x").messages, "y" * CONTEXT))


def test_an_adapter_that_is_not_loaded_is_refused(engine: EmbeddedEngine) -> None:
    with pytest.raises(AdapterError, match="'none@0' is not loaded"):
        asyncio.run(answer(engine, call("x", adapter="none@0")))


def forward_logprobs(engine: EmbeddedEngine, prompt: Sequence[int], more: Sequence[int]) -> Any:
    """One plain forward pass over prompt and continuation."""
    with torch.inference_mode():
        logits = engine.loaded.model(torch.tensor([[*prompt, *more]])).logits[0]
    chances = logits[len(prompt) - 1 : -1].log_softmax(-1)
    return chances[torch.arange(len(more)), torch.tensor(list(more))]


def test_logprobs_equal_a_plain_forward_pass(engine: EmbeddedEngine, exact: EmbeddedEngine) -> None:
    messages = call("how likely is this?", system="A long beginning that is shared.").messages
    answers = ["a", "bb bb", "longer answer", "é", "other", "last"]

    async def all_of(which: EmbeddedEngine) -> list[Any]:
        return list(await asyncio.gather(*(which.logprobs(messages, a) for a in answers)))

    for which in (engine, exact):
        for text, found in zip(answers, asyncio.run(all_of(which)), strict=True):
            prompt = exact.loaded.chat.render(messages)
            expected = forward_logprobs(exact, prompt, found.token_ids)
            assert torch.allclose(torch.tensor(found.logprobs), expected, atol=1e-4)
            assert found.text_bytes == len(text.encode())


def test_logprobs_of_nothing_are_nothing(engine: EmbeddedEngine) -> None:
    found = asyncio.run(engine.logprobs(call("x").messages, ""))
    assert found.logprobs == ()
    assert found.total == 0


def test_a_failed_batch_fails_its_waiters_and_the_engine_goes_on(tiny_model: Path) -> None:
    loaded = load(tiny_model)
    engine = EmbeddedEngine(loaded)
    broken = loaded.model.model.layers[1].register_forward_pre_hook(_explode)

    async def fail_then_answer() -> tuple[list[Any], Outcome]:
        failed = await asyncio.gather(
            *(answer(engine, call(text)) for text in TEXTS[:3]),
            engine.logprobs(call("x").messages, "y"),
            return_exceptions=True,
        )
        broken.remove()
        return failed, await answer(engine, call("after"))

    failed, outcome = using(engine, fail_then_answer)
    assert [type(error) for error in failed] == [EngineError] * 4
    assert all("no memory left" in str(error) for error in failed)
    assert outcome.text


def _explode(*_: Any) -> None:
    raise RuntimeError("no memory left")


def test_closing_fails_what_is_not_finished(tiny_model: Path) -> None:
    engine = EmbeddedEngine(load(tiny_model), max_batch=1)

    async def close_in_the_middle() -> list[Any]:
        stream = engine.generate(call("long answer", max_tokens=3000))
        await anext(stream)
        waiting = asyncio.gather(
            anext(stream), answer(engine, call("waits")), return_exceptions=True
        )
        await asyncio.sleep(0.05)
        await asyncio.to_thread(engine.close)
        found = [*await waiting]
        while not isinstance(found[0], EngineError):
            found[:1] = await asyncio.gather(anext(stream), return_exceptions=True)
        return found

    failed = asyncio.run(close_in_the_middle())
    assert [type(error) for error in failed] == [EngineError, EngineError]
    with pytest.raises(EngineError, match="is closed"):
        asyncio.run(answer(engine, call("too late")))


def test_an_engine_whose_thread_is_at_fault_lets_nobody_wait(
    engine: EmbeddedEngine, monkeypatch: pytest.MonkeyPatch
) -> None:
    def broken(adapter: str | None, tokens: object) -> None:
        raise ValueError("no room")

    monkeypatch.setattr(engine.thread.prefixes, "note", broken)
    with pytest.raises(EngineError, match="ValueError: no room"):
        asyncio.run(asyncio.wait_for(answer(engine, call("first")), 60))
    with pytest.raises(EngineError, match="is closed"):
        asyncio.run(answer(engine, call("next")))


def test_nothing_that_is_handed_over_is_lost_however_threads_take_turns(
    engine: EmbeddedEngine,
) -> None:
    def hand_over() -> list[int]:
        return [engine.thread.do(lambda: 1).result(timeout=30) for _ in range(1500)]

    usual = sys.getswitchinterval()
    sys.setswitchinterval(1e-6)
    try:
        with ThreadPoolExecutor(4) as threads:
            done = [threads.submit(hand_over) for _ in range(4)]
        assert [sum(one.result()) for one in done] == [1500] * 4
    finally:
        sys.setswitchinterval(usual)
