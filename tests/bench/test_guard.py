"""Damage outside of an adapter's skill is found, with its size; health is not called damage."""

import asyncio
import math
from pathlib import Path

import pytest

from rag_adapt.bench.figures import GuardFigures
from rag_adapt.bench.general_text import general_hash, prompts, segments
from rag_adapt.bench.guard import OTHER_ITEMS, Baseline, complaint, guard, measure_base
from rag_adapt.core.errors import AdapterError
from rag_adapt.core.types import Call
from rag_adapt.engines.embedded import EmbeddedEngine
from rag_adapt.engines.scripted import last_line
from tests.bench.probing import Bend, Bent, skill
from tests.engines.embedded_parts import load, make_adapter, using

A, B = "codes@0123456789ab", "other@ba9876543210"


def mild(adapter: str | None, word: str, turn: int) -> float:
    """An adapter that is told apart from the base and harms nobody."""
    return -1.0 if adapter is None else -1.0 - 0.01 * math.cos(len(word))


def run(bend: Bend = mild, **more: object) -> dict[str, GuardFigures]:
    """Guard adapter A; rows by name and unit."""
    engine = Bent(bend, adapters=(A, B), **more)  # type: ignore[arg-type]
    return rows(engine)


def rows(engine: Bent, *, rival: str | None = None) -> dict[str, GuardFigures]:
    async def both() -> tuple[GuardFigures, ...]:
        base = await measure_base(engine=engine, others=[skill("codes"), skill("colours")])
        return await guard(A, engine=engine, base=base, skill="codes", rival=rival)

    return {f"{row.name} {row.unit}": row for row in asyncio.run(both())}


def verdicts(found: dict[str, GuardFigures]) -> dict[str, str]:
    return {name: row.verdict for name, row in found.items()}


def test_a_harmless_adapter_passes_what_can_be_decided() -> None:
    found = run()
    assert verdicts(found) == {
        "off-identical answers of 3 that differ": "passed",
        "a-b-a nats/token": "passed",
        "bits-per-byte bits/byte": "passed",
        "kl nats/token": "passed",
        "accept-or-push-back balanced accuracy": "undecided",  # this base accepts everything
        "skill:colours bits/answer token": "passed",
        "skill:colours score": "undecided",  # eight items cannot exclude a loss of 0.05
    }
    assert complaint(list(found.values())) is None


def test_general_text_that_costs_more_fails_by_that_much() -> None:
    nats = 0.5
    found = run(lambda adapter, word, turn: -1.0 if adapter is None else -1.0 - nats)
    row = found["bits-per-byte bits/byte"]
    words = sum(len(part.text.split()) for part in segments())
    size = sum(len(part.text.encode()) for part in segments())
    assert row.value == pytest.approx(nats / math.log(2) * words / size)
    assert row.verdict == "failed"
    assert found["kl nats/token"].value == pytest.approx(math.exp(-nats) - 1 + nats)
    assert found["skill:colours bits/answer token"].value == pytest.approx(nats / math.log(2))


def test_the_divergence_is_never_negative_even_where_text_gets_likelier() -> None:
    found = run(lambda adapter, word, turn: -1.0 if adapter is None else -0.2)
    assert found["bits-per-byte bits/byte"].verdict == "passed"
    row = found["kl nats/token"]
    assert row.value == pytest.approx(math.exp(0.8) - 1 - 0.8)
    assert row.verdict == "failed"


def test_another_skill_that_is_answered_worse_is_named_with_both_scores() -> None:
    def reply(call: Call) -> str:
        answers = {str(n): ("red", "blue")[n % 2] for n in range(100)}
        right = answers.get(last_line(call).split()[-1].rstrip("?"), "what?")
        return right if call.adapter is None else "purple"

    found = run(mild, reply=reply)
    row = found["skill:colours score"]
    assert row.value == 1.0
    assert row.verdict == "failed"
    assert row.detail.startswith(f"{OTHER_ITEMS} dev items: 1.00 under the base, 0.00 under")
    said = complaint(list(found.values()))
    assert said is not None
    assert said.startswith("the guard failed: skill:colours +1 score (")


def test_an_adapter_that_leaves_traces_fails_a_b_a() -> None:
    def sticky(adapter: str | None, word: str, turn: int) -> float:
        return -1.0 if adapter is None else -2.0 - (0.3 if turn >= 12 else 0.0)

    row = run(sticky)["a-b-a nats/token"]
    assert row.value == pytest.approx(0.3)
    assert row.verdict == "failed"


def test_noise_between_two_askings_is_allowed_but_in_deterministic_mode() -> None:
    def noisy(adapter: str | None, word: str, turn: int) -> float:
        return -1.0 if adapter is None else -2.0 - 0.01 * ((turn // 3) % 2)

    assert run(noisy, deterministic=False)["a-b-a nats/token"].verdict == "passed"
    assert run(noisy, deterministic=True)["a-b-a nats/token"].verdict == "failed"


def test_an_adapter_like_the_base_cannot_show_that_it_comes_back() -> None:
    row = run(lambda adapter, word, turn: -1.0)["a-b-a nats/token"]
    assert row.verdict == "undecided"


def test_another_adapter_may_stand_between() -> None:
    engine = Bent(
        lambda adapter, word, turn: {None: -1.0, A: -1.01, B: -1.4}[adapter], adapters=(A, B)
    )
    row = rows(engine, rival=B)["a-b-a nats/token"]
    assert row.detail.startswith(f"after {B}, which is 0.3900 nats/token away")


@pytest.mark.parametrize(
    ("deterministic", "wanted"),
    [pytest.param(True, "failed", id="exact"), pytest.param(False, "undecided", id="rounding")],
)
def test_answers_that_change_with_the_adapter_off_are_counted(
    deterministic: bool, wanted: str
) -> None:
    used: list[str] = []

    def stained(call: Call) -> str:
        used.append(call.adapter_off or "")
        leaves = "leaves" in call.messages[-1].content
        return "stained" if call.adapter_off and leaves else "clean"

    row = run(mild, reply=stained, deterministic=deterministic)[
        "off-identical answers of 3 that differ"
    ]
    assert (row.value, row.verdict) == (1.0, wanted)
    assert row.detail.startswith("2 of 3 greedy answers are the base's")
    assert A in used


def test_a_base_that_says_nothing_leaves_the_rest_measured() -> None:
    found = run(mild, reply=lambda call: "")
    assert found["kl nats/token"].value is None
    assert found["kl nats/token"].verdict == "undecided"
    assert found["a-b-a nats/token"].verdict == "undecided"
    assert found["bits-per-byte bits/byte"].verdict == "passed"


def test_the_adapters_own_skill_is_left_out_and_test_items_are_never_asked() -> None:
    engine = Bent(mild, adapters=(A,))
    assert not any("skill:codes" in name for name in rows(engine))
    asked = " ".join(call.messages[-1].content for call in engine.received)
    assert "dev thing" in asked
    assert "test thing" not in asked


def test_one_baseline_serves_several_adapters() -> None:
    engine = Bent(mild, adapters=(A, B))

    async def both() -> tuple[Baseline, int, tuple[GuardFigures, ...]]:
        base = await measure_base(engine=engine)
        asked = sum(adapter is None for adapter, _ in engine.asked)
        await guard(A, engine=engine, base=base, skill="codes")
        found = await guard(B, engine=engine, base=base, skill="other")
        return base, asked, found

    base, asked, found = asyncio.run(both())
    assert base.skills == ()
    assert len(found) == 5
    # of the base's half only "B" of A-B-A is asked again, for each adapter
    assert sum(adapter is None for adapter, _ in engine.asked) == asked + 2 * len(base.answers)


def test_an_adapter_that_is_not_loaded_is_an_error() -> None:
    with pytest.raises(AdapterError):
        rows(Bent(mild, adapters=(B,)))


def test_on_a_real_engine_a_wild_adapter_is_far_away_and_leaves_no_trace(
    tiny_model: Path, tmp_path: Path
) -> None:
    engine = EmbeddedEngine(load(tiny_model, deterministic=True))
    wild = make_adapter(tiny_model, tmp_path, "wild")

    async def both() -> tuple[GuardFigures, ...]:
        base = await measure_base(engine=engine)
        await engine.load_adapter(wild)
        return await guard(wild.version, engine=engine, base=base, skill="wild")

    off, swap, text, kl, halves = using(engine, both)
    assert (off.verdict, swap.verdict, swap.value) == ("passed", "passed", 0.0)
    assert kl.verdict == "failed"
    assert text.value is not None  # a model of random weights finds any text as unlikely
    assert halves.detail.startswith("the base shows neither half")


def test_the_shipped_text_is_frozen() -> None:
    assert general_hash() == "93c61fd6a051"
    assert (len(segments()), len(prompts())) == (24, 8)
    size = sum(len(part.text.encode()) for part in segments())
    assert 4000 < size < 8000
    assert {part.title.split()[0] for part in segments()} >= {"a", "how", "why"}
    assert len({prompt.split()[0] for prompt in prompts()}) == len(prompts())
