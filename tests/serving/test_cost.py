"""What one answer cost, by the engine that gave it."""

from dataclasses import replace

import pytest

from rag_adapt.core.types import Outcome, Sent, Times, Usage
from rag_adapt.engines.remote import RemoteEngine
from rag_adapt.engines.scripted import ScriptedEngine
from rag_adapt.serving.cost import AnswerCost, cost_of

OUTCOME = Outcome(
    text="walked",
    finish_reason="stop",
    usage=Usage(tokens_in=1000, tokens_out=100),
    times=Times(queued=0.5, first_token=0.75, total=2.0),
    sent=Sent(messages=(), template_hash=None, token_ids=None, adapter=None, model="m"),
)


def test_ones_own_machine_costs_the_seconds_that_it_computed() -> None:
    found = cost_of(ScriptedEngine(), OUTCOME)
    assert found == AnswerCost(value=1.5, unit="compute-seconds")
    late = replace(OUTCOME, times=Times(queued=2.5, first_token=0.75, total=2.0))
    assert cost_of(ScriptedEngine(), late) == AnswerCost(value=0.0, unit="compute-seconds")


def test_a_provider_costs_its_list_price_and_a_server_of_ones_own_its_seconds() -> None:
    priced = cost_of(RemoteEngine("openai/gpt-4o-mini"), OUTCOME)
    assert priced is not None
    assert priced.unit == "USD"
    assert priced.value == pytest.approx(1000 * 0.15e-6 + 100 * 0.6e-6)
    own = RemoteEngine("hosted_vllm/base", api_base="http://127.0.0.1:1/v1")
    assert cost_of(own, OUTCOME) == AnswerCost(value=1.5, unit="compute-seconds")


def test_what_nobody_publishes_a_price_for_has_none() -> None:
    assert cost_of(RemoteEngine("openai/a-model-that-nobody-knows"), OUTCOME) is None
