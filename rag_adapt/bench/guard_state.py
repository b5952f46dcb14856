"""Whether an adapter leaves traces: off is the base again, and A is A again after B.

It does not know text or skills. Questions are asked one at a time, and each a few times before
it counts: then batches, and what the engine remembers of a prompt's beginning, are alike.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from rag_adapt.bench.figures import GuardFigures
from rag_adapt.bench.gate import Verdict
from rag_adapt.bench.general_text import ask
from rag_adapt.bench.held_out import Measurable, say
from rag_adapt.bench.proof import CANARY_FLOOR, CANARY_NOISE
from rag_adapt.core.types import Call, Sampling

EXACT: Final = 1e-6
"""Nats per token that a deterministic engine may differ by from itself."""
SETTLING: Final = 2
"""Times that a question is asked before it counts."""
LogProbRows = tuple[tuple[float, ...], ...]


@dataclass(frozen=True, kw_only=True)
class Asked:
    """A question, and what the base said."""

    prompt: str
    answer: str


async def greedy(
    prompts: Sequence[str], *, engine: Measurable, tokens: int, off: str | None = None
) -> tuple[Asked, ...]:
    """The base's greedy answers, one at a time; `off` names an adapter that must not act."""
    said = []
    for prompt in prompts:
        for length in (*[1] * SETTLING, tokens):
            sampling = Sampling(max_tokens=length)
            call = Call(messages=ask(prompt), sampling=sampling, adapter_off=off)
            outcome = await say(engine, call)
        said.append(Asked(prompt=prompt, answer=outcome.text))
    return tuple(said)


async def off_figures(
    version: str, before: Sequence[Asked], *, engine: Measurable, tokens: int
) -> GuardFigures:
    """Ask again with the adapter resident but off, after it was used."""
    prompts = [asked.prompt for asked in before]
    now = await greedy(prompts, engine=engine, tokens=tokens, off=version)
    changed = sum(one.answer != other.answer for one, other in zip(before, now, strict=True))
    detail = f"{len(before) - changed} of {len(before)} greedy answers are the base's"
    decided: Verdict = "passed" if before else "undecided"
    if changed:
        detail += "; in bfloat16 batches may change answers: --deterministic decides"
        decided = "failed" if engine.fingerprint.deterministic else "undecided"
    return GuardFigures(
        name="off-identical",
        value=float(changed),
        unit=f"answers of {len(before)} that differ",
        verdict=decided,
        detail=detail,
    )


async def swap_figures(
    version: str, rival: str | None, before: Sequence[Asked], *, engine: Measurable
) -> GuardFigures:
    """Log-probabilities of the base's answers under A, A, B, A; the first two give the noise."""
    for _ in range(SETTLING):
        await _rows(before, version, engine)
    first = await _rows(before, version, engine)
    again = await _rows(before, version, engine)
    other = await _rows(before, rival, engine)
    last = await _rows(before, version, engine)
    noise, moved, between = apart(first, again), apart(again, last), apart(last, other)
    exact = engine.fingerprint.deterministic
    limit = EXACT if exact else max(CANARY_NOISE * noise, CANARY_FLOOR)
    return GuardFigures(
        name="a-b-a",
        value=moved,
        unit="nats/token",
        verdict=_swap_verdict(moved, between, limit),
        detail=(
            f"after {rival or 'the base'}, which is {between:.4f} nats/token away, the adapter "
            f"is {moved:.4f} from itself; {limit:.4f} allowed"
        ),
    )


def _swap_verdict(moved: float, between: float, limit: float) -> Verdict:
    if moved > limit:
        return "failed"
    return "passed" if between > limit else "undecided"


async def _rows(before: Sequence[Asked], adapter: str | None, engine: Measurable) -> LogProbRows:
    found = []
    for asked in before:
        one = await engine.logprobs(ask(asked.prompt), asked.answer, adapter)
        found.append(one.logprobs)
    return tuple(found)


def apart(one: LogProbRows, other: LogProbRows) -> float:
    """Mean absolute difference per token; 0 where there are no tokens."""
    moved = [
        abs(a - b)
        for row, reference in zip(one, other, strict=True)
        for a, b in zip(row, reference, strict=True)
    ]
    return sum(moved) / max(1, len(moved))
