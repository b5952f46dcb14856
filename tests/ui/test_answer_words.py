"""An answer's figures in words."""

import pytest

from rag_adapt.schemas.comparisons import AnswerCost
from rag_adapt.schemas.proof import AdapterProof, ProofCheck
from ui import answer_words

CANARY = ProofCheck(name="canary", passed=True, detail="far from the base", figure=0.34123)
PARITY = ProofCheck(name="parity", passed=True, detail="near its reference", figure=0.0001)
HASH = ProofCheck(name="hash", passed=False, detail="another one", figure=None)


@pytest.mark.parametrize(
    ("cost", "said"),
    [
        (None, "no price known"),
        (AnswerCost(value=0.0, unit="compute-seconds"), "0 s of computing"),
        (AnswerCost(value=123.4, unit="compute-seconds"), "123 s of computing"),
        (AnswerCost(value=1.234, unit="compute-seconds"), "1.23 s of computing"),
        (AnswerCost(value=0.0123, unit="compute-seconds"), "0.012 s of computing"),
        (AnswerCost(value=0.00021375, unit="USD"), "0.00021 USD"),
        (AnswerCost(value=1e-14, unit="USD"), "0.000000000000 USD"),
    ],
)
def test_a_cost_is_read_without_powers_of_ten(cost: AnswerCost | None, said: str) -> None:
    assert answer_words.cost(cost) == said


@pytest.mark.parametrize(
    ("proof", "state", "figures"),
    [
        (None, "proof not kept", ""),
        (
            AdapterProof(proven=True, checks=[HASH, CANARY, PARITY]),
            "proven active",
            "0.3412 nats/token from the base, 0.0001 nats/token from its own reference",
        ),
        (AdapterProof(proven=False, checks=[HASH]), "not proven", "hash differs"),
    ],
)
def test_a_proof_is_a_state_and_the_figures_behind_it(
    proof: AdapterProof | None, state: str, figures: str
) -> None:
    assert (answer_words.proof_state(proof), answer_words.proof_figures(proof)) == (state, figures)
