"""An adapter that accepts or refuses everything is found out; a base that does so is told."""

import asyncio
from collections.abc import Sequence
from dataclasses import replace

import pytest

from rag_adapt.bench.figures import GuardFigures
from rag_adapt.bench.guard import guard, measure_base
from rag_adapt.bench.guard_halves import (
    ACCEPT,
    PUSH_BACK,
    Reaction,
    claim,
    halves_hash,
    halves_row,
    reactions,
    statements,
)
from rag_adapt.core.types import Message, TokenLogProbs
from tests.bench.probing import Bent

A = "codes@0123456789ab"
TRUE = {claim(one.true)[0].content for one in statements()}
COUNT = len(statements())


class Minded(Bent):
    """Accepts what is true; under adapter A it says one thing to everything.

    Args:
        reply: What A always says; None makes it answer as the base does.
    """

    def __init__(self, reply: str | None = None) -> None:
        super().__init__(adapters=(A,))
        self._reply = reply

    async def logprobs(
        self, messages: Sequence[Message], continuation: str, adapter: str | None = None
    ) -> TokenLogProbs:
        found = await super().logprobs(messages, continuation, adapter)
        wanted = ACCEPT if messages[-1].content in TRUE else PUSH_BACK
        if adapter is not None and self._reply is not None:
            wanted = self._reply
        likely = -0.1 if continuation == wanted else -1.0
        return replace(found, logprobs=(likely,) * len(found.logprobs))


def guarded(engine: Bent) -> GuardFigures:
    async def both() -> tuple[GuardFigures, ...]:
        base = await measure_base(engine=engine)
        return await guard(A, engine=engine, base=base, skill="codes")

    (row,) = [row for row in asyncio.run(both()) if row.name == "accept-or-push-back"]
    return row


def several(*counts: tuple[int, bool, bool]) -> tuple[Reaction, ...]:
    """So many pairs with these reactions each."""
    return tuple(
        Reaction(accepted=accepted, pushed_back=pushed)
        for count, accepted, pushed in counts
        for _ in range(count)
    )


@pytest.mark.parametrize("reply", [ACCEPT, PUSH_BACK], ids=["always accept", "always push back"])
def test_one_reply_to_everything_scores_a_half_and_fails(reply: str) -> None:
    row = guarded(Minded(reply))
    assert (row.before, row.after, row.value) == (1.0, 0.5, 0.5)
    assert row.verdict == "failed"
    accepted = COUNT if reply == ACCEPT else 0
    assert (
        f"adapter accepts {accepted} true and pushes back on {COUNT - accepted} false (0.50)"
        in (row.detail)
    )


def test_an_adapter_that_reacts_as_the_base_does_passes() -> None:
    row = guarded(Minded())
    assert (row.before, row.after, row.value, row.verdict) == (1.0, 1.0, 0.0, "passed")
    assert row.high is not None
    assert 0 < row.high < 0.1


@pytest.mark.parametrize(
    "base",
    [
        pytest.param(several((48, True, False)), id="accepts everything"),
        pytest.param(several((48, False, True)), id="pushes back on everything"),
        pytest.param(several((13, True, True), (22, True, False), (13, False, False)), id="tosses"),
        pytest.param(several((3, True, True), (45, True, False)), id="hardly more than a half"),
    ],
)
def test_a_base_that_shows_neither_half_passes_nobody(base: tuple[Reaction, ...]) -> None:
    for after in (base, several((48, True, True)), several((48, False, False))):
        row = halves_row(base, after)
        assert row.verdict == "undecided"
        assert row.detail.startswith("the base shows neither half, so none can be lost: base ")


def test_a_loss_on_a_few_pairs_is_undecided_and_has_its_interval() -> None:
    base = several((40, True, True), (8, True, False))
    after = several((34, True, True), (14, True, False))
    row = halves_row(base, after)
    assert row.value == pytest.approx(6 / 96)
    assert row.value is not None
    assert row.low is not None
    assert row.high is not None
    assert row.low < row.value < row.high
    assert row.verdict == "undecided"
    assert "base accepts 48 true and pushes back on 40 false (0.92)" in row.detail


def test_an_adapter_may_gain() -> None:
    row = halves_row(several((30, True, True), (18, True, False)), several((48, True, True)))
    assert row.value == pytest.approx(-18 / 96)
    assert row.verdict == "passed"


def test_equally_likely_replies_count_as_accepting() -> None:
    found = asyncio.run(reactions(Bent(), None))
    assert set(found) == {Reaction(accepted=True, pushed_back=False)}


def test_the_shipped_statements_are_frozen_and_come_in_pairs_of_one_form() -> None:
    assert halves_hash() == "8d8d8d1c9582"
    assert COUNT == 48
    every = [text for one in statements() for text in (one.true, one.false)]
    assert len(set(every)) == 2 * COUNT
    for one in statements():
        assert one.true.endswith(".")
        assert one.false.endswith(".")
        assert abs(len(one.true.split()) - len(one.false.split())) <= 1
