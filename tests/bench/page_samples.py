"""A made-up report with every section filled, and the answers it came from."""

import random
from collections.abc import Sequence
from typing import Any, Final

from rag_adapt.bench.curve import Curve, curve
from rag_adapt.bench.figures import (
    AdapterFigures,
    ArmReport,
    Candidate,
    Choice,
    CollectionFigures,
    Cost,
    Difference,
    Effect,
    FormatEffect,
    Given,
    GuardFigures,
    Interaction,
    Leak,
    Leaks,
    Pair,
    ReadOut,
    Recommendation,
    Report,
    Retrieved,
    Subset,
    TagCount,
)
from rag_adapt.bench.store import AnswerRow
from rag_adapt.bench.tally import tally
from rag_adapt.stats.intervals import mean_estimate, paired_difference
from tests.samples import row

ROUTES: Final = ("prompt", "rag", "lora", "rag+lora")
RATES: Final = {
    "orders": (0.08, 0.31, 0.48, 0.79, 0.02, 0.22),
    "manual": (0.06, 0.72, 0.21, 0.66, 0.04, 0.18),
    "past-tense": (0.83, 0.81, 0.94, 0.91, 0.35, 0.12),
    "tickets": (0.41, 0.44, 0.76, 0.78, 0.05, 0.52),
}
"""Share of right answers per skill: the four routes, then bare and nearest-label."""
COSTS: Final = (0.42, 1.31, 0.45, 1.38, 0.22, 0.012)
SIZES: Final = (1, 10, 50, 200)
LEARNED: Final = {
    "few-shot": (0.42, 0.55, 0.60, 0.60),
    "few-shot-nearest": (0.42, 0.61, 0.72, 0.77),
    "lora": (0.05, 0.33, 0.81, 0.96),
}
"""Share of right answers by channel, for each of the sizes."""
LABELS: Final = ("refund", "exchange", "invoice", "delivery", "warranty", "other")
WORDS: Final = {
    "orders": ("Seven small jugs in white, by van please.", "4LEBJax 9RASJep @2", "4LEB Jax"),
    "manual": ("How wide is the Sorrel?", "46 cm", "The Sorrel is a compact cabinet."),
    "past-tense": ("Anna accepts the small gift.", "Anna accepted the gift.", "Anna accepts it."),
}


def answers(skill: str, n: int = 60, seed: int = 1) -> list[AnswerRow]:
    """One answer per arm and item, by the rates above."""
    luck = random.Random(f"{skill}{seed}")
    rows = []
    for arm, rate in zip((*ROUTES, "bare", "nearest-label"), RATES[skill], strict=True):
        for number in range(n):
            right = luck.random() < rate
            rows.append(_answer(skill, arm, number, right=right, luck=luck))
    return rows


def _answer(skill: str, arm: str, number: int, *, right: bool, luck: random.Random) -> AnswerRow:
    if skill == "tickets":
        target = LABELS[number % len(LABELS)]
        wrong = luck.choice([label for label in LABELS if label != target])
        said = target if right else (None if luck.random() < 0.3 else wrong)
        text, output = f"Ticket {number}: where is my parcel?", said or "I would be glad to help!"
    else:
        question, target, wrong = WORDS[skill]
        text, output, said = f"{question} ({number})", target if right else wrong, None
    return row(
        number,
        skill=skill,
        arm=arm,
        input=text,
        target=target,
        targets=(target,),
        output=output,
        extracted=said,
        score=float(right),
    )


def report(skills: Sequence[str] = tuple(RATES), n: int = 60) -> tuple[Report, list[AnswerRow]]:
    """A report on these skills with all sections, and its answers."""
    rows = {skill: answers(skill, n) for skill in skills}
    curves = [_curve(skill, n) for skill in skills]
    whole = Report(
        run=run(skills, n),
        arms=tuple(arm for skill in skills for arm in _arms(skill, rows[skill])),
        pairs=tuple(pair for skill in skills for pair in _pairs(skill, rows[skill])),
        recommendations=tuple(map(_recommendation, skills)),
        interactions=tuple(map(_interaction, skills)),
        leaks=tuple(map(_leaks, skills)),
        readouts=tuple(map(_readout, skills)),
        retrieved=tuple(map(_retrieved, skills)),
        doses=tuple(dose for one in curves for dose in one.doses),
        crossovers=tuple(crossed for one in curves for crossed in one.crossovers),
    )
    return whole, [one for skill in skills for one in rows[skill]]


def _curve(skill: str, n: int) -> Curve:
    """A curve whose fixed shots do not fit at the largest size."""
    rows = [
        row(number, skill=skill, arm=f"{channel}@{size}", score=float(number < rate * n))
        for channel, rates in LEARNED.items()
        for size, rate in zip(SIZES, rates, strict=True)
        for number in range(n)
    ]
    long = {"score": None, "output": None, "failure": "context-length"}
    rows = [one.model_copy(update=long) if one.arm == "few-shot@200" else one for one in rows]
    tallies = {arm: made for (_, arm), made in tally(rows).items()}
    taught = {(skill, f"lora@{size}"): _adapters(skill)[:1] for size in SIZES}
    return curve(skill, SIZES, tallies, {}, taught)


def run(skills: Sequence[str], n: int) -> dict[str, Any]:
    """A run's metadata."""
    return {
        "id": "20261122-063619-9e7c1e",
        "created": "2026-11-22T06:36:19+00:00",
        "command": "rag-adapt bench --items 60",
        "plan_hash": "9e7c1e93c29a",
        "plan": {"items": n, "training": [1, 8, 0.0005], "seed": 0},
        "model": {"engine": "embedded", "model": "default", "weights": "7ef915c9bf9d94d8d702"},
        "items": dict.fromkeys(skills, n),
        "available_items": dict.fromkeys(skills, 120),
        "clusters": dict.fromkeys(skills, n),
        "skills": dict.fromkeys(skills, "f8d3ad3063c6"),
        "scorers": {skill: "label" if skill == "tickets" else "exact" for skill in skills},
        "code": "0.1.0",
        "versions": {"python": "3.11.7", "torch": "2.13.0+cpu"},
        "machine": {"platform": "Linux", "cores": 2},
    }


def _scores(rows: Sequence[AnswerRow], arm: str) -> list[float]:
    return [one.score for one in rows if one.arm == arm and one.score is not None]


def _arms(skill: str, rows: Sequence[AnswerRow]) -> list[ArmReport]:
    arms = [
        _arm(skill, arm, rows, cost)
        for arm, cost in zip((*ROUTES, "bare", "nearest-label"), COSTS, strict=True)
    ]
    reason = "not measured: items name no gold passages"
    return [
        *arms,
        ArmReport(skill=skill, arm="oracle", control=True, measured=False, reason=reason),
    ]


def _arm(skill: str, arm: str, rows: Sequence[AnswerRow], cost: float) -> ArmReport:
    values = _scores(rows, arm)
    clusters = [f"c{number}" for number in range(len(values))]
    found = mean_estimate(values, clusters)
    against = paired_difference(_scores(rows, "nearest-label"), values, clusters)
    adapter = "lora" in arm
    return ArmReport(
        skill=skill,
        arm=arm,
        control=arm not in ROUTES,
        measured=True,
        n=found.n,
        clusters=found.clusters,
        failures=1 if arm == "rag" else 0,
        failure_codes={"context-length": 1} if arm == "rag" else {},
        score=found.value,
        ci_low=found.low,
        ci_high=found.high,
        ci_method=found.method,
        scores={"f1": min(1.0, found.value + 0.06)},
        seeds={"0": found.value, "1": max(0.0, found.value - 0.03)} if adapter else {},
        clean=Subset(n=found.n - 2, score=found.value, ci_low=found.low, ci_high=found.high),
        format_effect=_format_effect(found.value) if skill == "tickets" else None,
        tokens_in=11873,
        tokens_out=512,
        latency_n=12,
        latency_p50=cost,
        latency_p95=cost * 1.6,
        first_token_p50=cost * 0.4,
        first_token_p95=cost * 0.7,
        cost=Cost(value=cost, unit="compute-seconds/answer"),
        difference=None
        if arm == "nearest-label"
        else Difference(
            arm="nearest-label",
            value=against.value,
            ci_low=against.low,
            ci_high=against.high,
            n=against.n,
        ),
        given=_given(arm) if arm in ROUTES else (),
        adapters=_adapters(skill) if adapter else (),
        collection=_collection(skill) if "rag" in arm else None,
    )


def _format_effect(score: float) -> FormatEffect:
    return FormatEffect(
        n=60, generated=score, choice=min(1.0, score + 0.2), effect=0.2, ci_low=0.1, ci_high=0.3
    )


def _given(arm: str) -> tuple[Given, ...]:
    tried = (
        Candidate(name="prompt, 0 shots", score=0.4, answers=30, chosen=False),
        Candidate(name="prompt, 4 shots", score=0.55, answers=30, chosen=True),
    )
    return (
        Given(
            examples=200,
            documents=12,
            dev_items=30,
            budget=60,
            spent=60,
            candidates=tried if arm == "prompt" else (),
        ),
    )


def _adapters(skill: str) -> tuple[AdapterFigures, ...]:
    guard = (
        GuardFigures(
            name="off-identical", value=0, unit="answers", verdict="passed", detail="8 of 8"
        ),
        GuardFigures(
            name="kl",
            value=0.031,
            low=0.024,
            high=0.038,
            unit="bits per token",
            verdict="undecided",
            detail="12 general prompts",
        ),
        GuardFigures(
            name="bits-per-byte",
            value=0.11,
            low=0.08,
            high=0.15,
            unit="bits per byte",
            verdict="failed",
            detail="shipped text",
        ),
    )
    return tuple(
        AdapterFigures(
            version=f"{skill}@1f3a9c2e7b0{seed}",
            examples=200,
            seconds=184.2,
            bytes=4_900_000,
            proven=True,
            seed=seed,
            dev_bits_before=3.1,
            dev_bits_after=0.62 + 0.1 * seed,
            guard=guard if seed == 0 else guard[:2],
        )
        for seed in range(3)
    )


def _collection(skill: str) -> CollectionFigures:
    return CollectionFigures(
        name=f"skill-{skill}@c8414c29c5dc", documents=12, chunks=85, seconds=3.4, bytes=210_000
    )


def _pairs(skill: str, rows: Sequence[AnswerRow]) -> list[Pair]:
    return [_pair(skill, a, b, rows) for place, a in enumerate(ROUTES) for b in ROUTES[place + 1 :]]


def _pair(skill: str, a: str, b: str, rows: Sequence[AnswerRow]) -> Pair:
    before, after = _scores(rows, a), _scores(rows, b)
    found = paired_difference(before, after, [f"c{number}" for number in range(len(before))])
    verdict = "better" if found.low > 0 else "worse" if found.high < 0 else "undecided"
    if verdict == "undecided" and found.low > -0.05:
        verdict = "non-inferior"
    return Pair(
        skill=skill,
        a=a,
        b=b,
        primary=True,
        n=found.n,
        clusters=found.clusters,
        delta=found.value,
        ci_low=found.low,
        ci_high=found.high,
        fixed=sum(y > x for x, y in zip(before, after, strict=True)),
        broken=sum(y < x for x, y in zip(before, after, strict=True)),
        test="mcnemar-exact",
        p=0.0004 if verdict in ("better", "worse") else 0.21,
        p_holm=0.0024 if verdict in ("better", "worse") else 0.42,
        mde=0.19,
        verdict=verdict,  # type: ignore[arg-type]
        by_tag=(
            TagCount(tag="by van", n=20, delta=0.25, fixed=7, broken=2),
            TagCount(tag="<b>by boat</b>", n=9, delta=-0.1, fixed=1, broken=2),
        ),
        worst_low=found.low - 0.02 if a == "rag" or b == "rag" else None,
        worst_high=found.high + 0.02 if a == "rag" or b == "rag" else None,
    )


def _recommendation(skill: str) -> Recommendation:
    decided = skill != "past-tense"
    sentence = (
        "Use rag+lora: it is better than every cheaper route on these items."
        if decided
        else "Choose lora now: expected regret 1.2 points, at most 5.4 with 95 %."
    )
    choices = tuple(
        Choice(route=arm, score=rate, regret=0.012, regret_95=0.054, cost=cost)
        for arm, rate, cost in zip(ROUTES, RATES[skill], COSTS, strict=False)
    )
    return Recommendation(
        skill=skill,
        route="rag+lora" if decided else "lora",
        basis="decided" if decided else "undecided",
        sentence=sentence,
        regret=0.0 if decided else 0.012,
        regret_95=0.01 if decided else 0.054,
        n_to_decide=None if decided else 640,
        choices=choices,
        valid_for={"model": "7ef915c9bf9d94d8", "skill": "f8d3ad3063c6"},
    )


def _interaction(skill: str) -> Interaction:
    return Interaction(
        skill=skill,
        arm="rag+lora",
        trained_with_context=True,
        n=60,
        retrieval=Effect(value=0.27, ci_low=0.18, ci_high=0.36),
        adapter=Effect(value=0.44, ci_low=0.34, ci_high=0.54),
        interaction=Effect(value=0.08, ci_low=-0.05, ci_high=0.21),
        sentence="Retrieval and the adapter add up; an interaction was not shown.",
    )


def _leaks(skill: str) -> Leaks:
    found = (
        Leak(item="i3", where="train:item-7", similarity=0.97),
        Leak(item="i9", where="corpus:manual.md", similarity=0.91),
    )
    return Leaks(skill=skill, checked=60, found=found, merged_clusters=1)


def _readout(skill: str) -> ReadOut:
    return ReadOut(
        skill=skill,
        depth="absent",
        sentence="Neither prompts nor ten examples bring it out.",
        figures={"bare score": 0.02, "best prompt score": 0.08, "bits after 50 examples": None},
    )


def _retrieved(skill: str) -> Retrieved:
    return Retrieved(
        skill=skill,
        arm="rag",
        n=60,
        hits=44,
        hit_rate=44 / 60,
        ci_low=0.61,
        ci_high=0.83,
        score_hit=Subset(n=44, score=0.82, ci_low=0.69, ci_high=0.9),
        score_missed=Subset(n=16, score=0.12, ci_low=0.03, ci_high=0.36),
        against="prompt",
        wrong_without=50,
        rescued=31,
        right_without=10,
        harmed=2,
    )
