"""An answer's figures in words: times, tokens, cost, which adapter answered and how that was shown.

It does not know where they stand on a page.
"""

from rag_adapt.schemas.comparisons import AnswerCost, AnswerInfo
from rag_adapt.schemas.proof import AdapterProof, ProofCheck


def times(answer: AnswerInfo) -> str:
    """Seconds to the first and to the last token."""
    return f"{answer.times.first_token:.2f} s to first token, {answer.times.total:.2f} s in all"


def tokens(answer: AnswerInfo) -> str:
    """What went in and came out."""
    return f"{answer.usage.prompt_tokens:,} tokens in, {answer.usage.completion_tokens:,} out"


def cost(found: AnswerCost | None) -> str:
    """What it cost, two digits of it.

    >>> cost(AnswerCost(value=0.00021375, unit="USD")), cost(None)
    ('0.00021 USD', 'no price known')
    >>> cost(AnswerCost(value=0.1138, unit="compute-seconds"))
    '0.11 s of computing'
    """
    if found is None:
        return "no price known"
    if found.unit == "USD":
        return f"{_short(found.value)} USD"
    return f"{_short(found.value)} s of computing"


def _short(value: float) -> str:
    """Two digits, without powers of ten."""
    if value == 0:
        return "0"
    places = next((n for n in range(2, 12) if value >= 10.0 ** (1 - n)), 12)
    return f"{value:.{places}f}" if value < 10 else f"{value:,.0f}"


def adapter_name(version: str) -> str:
    """Name and hash of the weights, apart.

    >>> adapter_name("colours@1f3a9c2e7b04")
    'colours, weights 1f3a9c2e7b04'
    """
    name, _, digits = version.rpartition("@")
    return f"{name}, weights {digits}"


def proof_state(proof: AdapterProof | None) -> str:
    """In two words: what the badge says."""
    if proof is None:
        return "proof not kept"
    return "proven active" if proof.proven else "not proven"


def proof_figures(proof: AdapterProof | None) -> str:
    """The figures that the state rests on; the names of the checks where none has a figure."""
    if proof is None:
        return ""
    said = [_figure(check) for check in proof.checks if check.figure is not None]
    if not said:
        said = [f"{check.name} {'agrees' if check.passed else 'differs'}" for check in proof.checks]
    return ", ".join(said)


def _figure(check: ProofCheck) -> str:
    where = {"canary": "from the base", "parity": "from its own reference"}
    return f"{check.figure:.4f} nats/token {where.get(check.name, f'({check.name})')}"
