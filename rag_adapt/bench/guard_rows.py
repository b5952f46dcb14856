"""The guard's figures: how much worse, with an interval, against a named margin.

It does not know engines or adapters: it is handed what was found under the base and under one.
"""

import math
from collections.abc import Sequence
from typing import Final

from rag_adapt.bench.figures import GuardFigures
from rag_adapt.bench.gate import Harm, ratio_harm, verdict
from rag_adapt.bench.general_text import general_hash
from rag_adapt.bench.held_out import NATS_PER_BIT, Reading
from rag_adapt.core.types import TokenLogProbs
from rag_adapt.stats.intervals import paired_difference

MARGIN_BITS_PER_BYTE: Final = 0.05
"""What general text may cost more; the default model needs about 1 bit per byte."""
MARGIN_KL: Final = 0.1
"""Nats per token that the adapter may be away from the base on general questions."""
MARGIN_SKILL_BITS: Final = 0.25
"""Bits per answer token that another skill's answers may cost more."""
MARGIN_SCORE: Final = 0.05
"""Score that another skill may lose: the margin of the benchmark's verdicts."""


def text_row(before: Sequence[TokenLogProbs], after: Sequence[TokenLogProbs]) -> GuardFigures:
    """What the shipped text costs more, in bits per byte; a segment is a cluster."""
    sizes = [one.text_bytes for one in before]
    harms = [(old.total - new.total) / NATS_PER_BIT for old, new in zip(before, after, strict=True)]
    level = -sum(one.total for one in before) / NATS_PER_BIT / sum(sizes)
    return _row(
        "bits-per-byte",
        ratio_harm(harms, sizes, _apart(sizes)),
        margin=MARGIN_BITS_PER_BYTE,
        unit="bits/byte",
        detail=f"shipped text {general_hash()}, {len(sizes)} segments, base {level:.3f} bits/byte",
    )


def kl_row(before: Sequence[TokenLogProbs], after: Sequence[TokenLogProbs]) -> GuardFigures:
    """KL(base || adapter) by Monte Carlo: the mean of r - 1 - ln r, with r = p_adapter / p_base.

    Over tokens that the base drew itself its expectation is the divergence; it is never
    negative and varies less than -ln r (Schulman 2020, "Approximating KL divergence", k3).
    """
    harms, sizes = [], []
    for old, new in zip(before, after, strict=True):
        moved = [a - b for a, b in zip(new.logprobs, old.logprobs, strict=True)]
        harms.append(sum(math.expm1(ratio) - ratio for ratio in moved))
        sizes.append(len(moved))
    return _row(
        "kl",
        ratio_harm(harms, sizes, _apart(sizes)),
        margin=MARGIN_KL,
        unit="nats/token",
        detail=(
            f"KL(base || adapter), mean of r - 1 - ln r over {sum(sizes)} tokens that the base "
            f"drew after {len(sizes)} general questions"
        ),
    )


def bits_row(name: str, before: Reading, after: Reading) -> GuardFigures:
    """What another skill's targets cost more, in bits per answer token."""
    harms = [new - old for old, new in zip(before.bits, after.bits, strict=True)]
    clusters = [item.cluster for item in before.items]
    return _row(
        f"skill:{name}",
        ratio_harm(harms, before.tokens, clusters),
        margin=MARGIN_SKILL_BITS,
        unit="bits/answer token",
        detail=(
            f"{len(clusters)} dev items: {before.bits_per_token:.2f} under the base, "
            f"{after.bits_per_token:.2f} under the adapter"
        ),
    )


def score_row(name: str, before: Reading, after: Reading) -> GuardFigures:
    """What another skill's greedy answers lose in score."""
    old, new, clusters = [], [], []
    for one, other, item in zip(before.scores, after.scores, before.items, strict=True):
        if one is not None and other is not None:
            old.append(one)
            new.append(other)
            clusters.append(item.cluster)
    harm, detail = None, "no item was scored under both"
    if old:
        found = paired_difference(new, old, clusters)
        harm = Harm(value=found.value, low=found.low, high=found.high)
        detail = (
            f"{len(old)} dev items: {sum(old) / len(old):.2f} under the base, "
            f"{sum(new) / len(new):.2f} under the adapter"
        )
    return _row(f"skill:{name}", harm, margin=MARGIN_SCORE, unit="score", detail=detail)


def _row(name: str, harm: Harm | None, *, margin: float, unit: str, detail: str) -> GuardFigures:
    return GuardFigures(
        name=name,
        value=None if harm is None else harm.value,
        low=None if harm is None else harm.low,
        high=None if harm is None else harm.high,
        unit=unit,
        verdict=verdict(harm, margin),
        detail=f"{detail}; margin {margin:g}",
    )


def _apart(units: Sequence[object]) -> list[str]:
    """Every unit a cluster of its own."""
    return [str(number) for number in range(len(units))]
