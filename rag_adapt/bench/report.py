"""The report: every figure recomputed from the kept answers.

It does not know how answers were obtained, and it asks no model.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Final

from rag_adapt.bench.arms import ARMS
from rag_adapt.bench.curve import curve
from rag_adapt.bench.doses import is_dose
from rag_adapt.bench.figures import (
    AdapterFigures,
    ArmReport,
    CollectionFigures,
    Cost,
    Difference,
    FormatEffect,
    Given,
    Interaction,
    Leaks,
    Pair,
    ReadOut,
    Recommendation,
    Report,
    Retrieved,
    Subset,
)
from rag_adapt.bench.recommend import Evidence, recommend
from rag_adapt.bench.retrieved import by_tag, retrieved
from rag_adapt.bench.store import AnswerRow
from rag_adapt.bench.tally import Tally, mean, tally
from rag_adapt.bench.verdict import contrast, interactions, pairs
from rag_adapt.core.types import Estimate
from rag_adapt.stats.decision import MARGIN
from rag_adapt.stats.intervals import paired_difference

REFERENCES: Final = ("majority", "nearest-label")
"""Scores that ask no language model."""


@dataclass(frozen=True, kw_only=True)
class Extras:
    """What the answers alone do not tell: why an arm was left out, what its parts took."""

    reasons: dict[tuple[str, str], str] = field(default_factory=dict)
    """By skill and arm."""
    given: dict[tuple[str, str], list[Given]] = field(default_factory=dict)
    """By skill and route, one per fold."""
    adapters: dict[str, list[AdapterFigures]] = field(default_factory=dict)
    """By skill."""
    dosed: dict[tuple[str, str], list[AdapterFigures]] = field(default_factory=dict)
    """By skill and arm of the dose curve: its adapters, one per training seed and fold."""
    collections: dict[str, CollectionFigures] = field(default_factory=dict)
    leaks: dict[str, Leaks] = field(default_factory=dict)
    readouts: dict[str, ReadOut] = field(default_factory=dict)


def build_report(
    rows: Iterable[AnswerRow],
    *,
    skills: Sequence[str],
    arms: Sequence[str],
    run: Mapping[str, Any],
    extras: Extras,
    contrasts: Sequence[tuple[str, str]] = (),
    doses: Sequence[int] = (),
    margin: float = MARGIN,
) -> Report:
    """Recompute every figure from the rows; memory grows with items, not with traces.

    Args:
        rows: The answers.
        skills: Names, in the order of the report.
        arms: Names, in the order of the report.
        run: What `report.json` says of the run itself.
        extras: What answers do not tell.
        contrasts: Pairs declared beside the family.
        doses: Sizes of the dose curve; its arms are in no contrast and are not recommended.
        margin: Of non-inferiority.
    """
    tallies: dict[str, dict[str, Tally]] = {skill: {} for skill in skills}
    for (skill, arm), made in tally(rows).items():
        tallies.setdefault(skill, {})[arm] = made
    asked = _Asked(arms=tuple(arms), contrasts=tuple(contrasts), margin=margin)
    parts = [
        _skill(
            skill,
            asked,
            {arm: made for arm, made in tallies[skill].items() if not is_dose(arm)},
            run,
            extras,
        )
        for skill in skills
    ]
    curves = [curve(skill, doses, tallies[skill], extras.reasons, extras.dosed) for skill in skills]
    return Report(
        run=dict(run),
        arms=tuple(arm for part in parts for arm in part.arms),
        pairs=tuple(pair for part in parts for pair in part.pairs),
        recommendations=tuple(part.recommendation for part in parts),
        interactions=tuple(one for part in parts for one in part.interactions),
        leaks=tuple(extras.leaks.values()),
        readouts=tuple(extras.readouts.values()),
        retrieved=tuple(one for part in parts for one in part.retrieved),
        doses=tuple(one for found in curves for one in found.doses),
        crossovers=tuple(one for found in curves for one in found.crossovers),
    )


@dataclass(frozen=True, kw_only=True)
class _Asked:
    arms: tuple[str, ...]
    contrasts: tuple[tuple[str, str], ...]
    margin: float


@dataclass(frozen=True, kw_only=True)
class _Part:
    arms: tuple[ArmReport, ...]
    pairs: tuple[Pair, ...]
    recommendation: Recommendation
    interactions: tuple[Interaction, ...]
    retrieved: tuple[Retrieved, ...]


def _skill(
    skill: str, asked: _Asked, tallies: Mapping[str, Tally], run: Mapping[str, Any], extras: Extras
) -> _Part:
    best = _best_control(tallies)
    arms = []
    for arm in asked.arms:
        made = tallies.get(arm)
        report = _arm(skill, arm, made, extras)
        if made is not None and best is not None and report.measured:
            report = report.model_copy(update={"difference": _difference(arm, *best, tallies)})
        arms.append(report)
    scored = {r.arm: tallies[r.arm] for r in arms if r.measured}
    found = pairs(skill, scored, declared=asked.contrasts, margin=asked.margin)
    evidence = Evidence(
        skill=skill,
        arms={r.arm: r for r in arms if r.measured and not r.control},
        references=[r for r in arms if r.measured and r.arm in REFERENCES],
        tallies=scored,
        pairs=found,
        margin=asked.margin,
        valid_for=_valid_for(skill, run, extras),
    )
    return _Part(
        arms=tuple(arms),
        pairs=tuple(p.model_copy(update={"by_tag": by_tag(p, scored)}) for p in found),
        recommendation=recommend(evidence),
        interactions=interactions(skill, scored),
        retrieved=retrieved(skill, scored),
    )


def _valid_for(skill: str, run: Mapping[str, Any], extras: Extras) -> dict[str, str]:
    """The hashes that a recommendation holds for."""
    hashes = {
        "skill": run.get("skills", {}).get(skill, ""),
        "model": run.get("model", {}).get("weights", ""),
    }
    if skill in extras.collections:
        hashes["collection"] = extras.collections[skill].name
    for number, adapter in enumerate(extras.adapters.get(skill, ())):
        hashes[f"adapter-{number}"] = adapter.version
    return hashes


def merge_leaks(one: Leaks, other: Leaks) -> Leaks:
    """What the firewall found in several folds of one skill."""
    return Leaks(
        skill=one.skill,
        checked=one.checked + other.checked,
        found=(*one.found, *other.found),
        merged_clusters=one.merged_clusters + other.merged_clusters,
    )


def _best_control(tallies: Mapping[str, Tally]) -> tuple[str, Estimate] | None:
    scored = [
        (arm, estimate)
        for arm, made in tallies.items()
        if ARMS[arm].control and (estimate := made.estimate()) is not None
    ]
    return max(scored, key=lambda entry: entry[1].value) if scored else None


def _difference(
    arm: str, best: str, _: Estimate, tallies: Mapping[str, Tally]
) -> Difference | None:
    made = None if arm == best else contrast(best, arm, tallies)
    if made is None:
        return None
    estimate = made.estimate
    return Difference(
        arm=best,
        value=estimate.value,
        ci_low=estimate.low,
        ci_high=estimate.high,
        n=estimate.n,
    )


def _arm(skill: str, arm: str, made: Tally | None, extras: Extras) -> ArmReport:
    kind = ARMS[arm]
    empty = ArmReport(skill=skill, arm=arm, control=kind.control, measured=False)
    if made is None:
        reason = extras.reasons.get((skill, arm), "not measured: no answer was kept")
        return empty.model_copy(update={"reason": reason})
    estimate = made.estimate()
    figures: dict[str, Any] = {
        "failures": sum(made.failures.values()),
        "failure_codes": dict(sorted(made.failures.items())),
        "unscored": made.unscored,
        "cached": made.cached,
        "tokens_in": made.tokens_in,
        "tokens_out": made.tokens_out,
        "seconds": made.seconds,
        "scores": {name: _mean_of_means(by_item) for name, by_item in made.others.items()},
        "given": tuple(extras.given.get((skill, arm), ())),
        **_latency(made.alone),
    }
    if kind.adapter:
        with_context = kind.adapter == "context"
        known = extras.adapters.get(skill, ())
        figures["adapters"] = tuple(a for a in known if a.with_context == with_context)
    if kind.corpus:
        figures["collection"] = extras.collections.get(skill)
    if estimate is None:
        return empty.model_copy(update={**figures, "reason": "not measured: no answer was scored"})
    return empty.model_copy(update={**figures, **_measured(made, estimate)})


def _measured(made: Tally, estimate: Estimate) -> dict[str, Any]:
    clean = [item for item in made.scores if item not in made.leaked]
    without = made.estimate(clean) if made.leaked else None
    return {
        "measured": True,
        "n": estimate.n,
        "clusters": estimate.clusters,
        "score": estimate.value,
        "ci_low": estimate.low,
        "ci_high": estimate.high,
        "ci_method": estimate.method,
        "seeds": {str(seed): mean(list(made.means(seed).values())) for seed in made.seeds},
        "clean": None
        if without is None
        else Subset(n=without.n, score=without.value, ci_low=without.low, ci_high=without.high),
        "format_effect": _format_effect(made),
    }


def _format_effect(made: Tally) -> FormatEffect | None:
    """Choice minus generation, on the items that were scored both ways."""
    means = made.means()
    items = [item for item in made.chosen if item in means]
    if not items:
        return None
    generated = [means[item] for item in items]
    choice = [mean(made.chosen[item]) for item in items]
    estimate = paired_difference(generated, choice, [made.clusters[item] for item in items])
    return FormatEffect(
        n=len(items),
        generated=mean(generated),
        choice=mean(choice),
        effect=estimate.value,
        ci_low=estimate.low,
        ci_high=estimate.high,
    )


def _mean_of_means(by_item: Mapping[str, Sequence[float]]) -> float:
    return mean([mean(values) for values in by_item.values()])


def _latency(alone: Sequence[tuple[float, float]]) -> dict[str, Any]:
    if not alone:
        return {}
    first, total = [f for f, _ in alone], [t for _, t in alone]
    return {
        "latency_n": len(alone),
        "latency_p50": quantile(total, 0.5),
        "latency_p95": quantile(total, 0.95),
        "first_token_p50": quantile(first, 0.5),
        "first_token_p95": quantile(first, 0.95),
        "cost": Cost(value=sum(total) / len(total), unit="compute-seconds/answer"),
    }


def quantile(values: Sequence[float], q: float) -> float:
    """The q-quantile by linear interpolation (Hyndman and Fan's type 7, numpy's default)."""
    ordered = sorted(values)
    place = q * (len(ordered) - 1)
    below = int(place)
    above = min(below + 1, len(ordered) - 1)
    return ordered[below] + (place - below) * (ordered[above] - ordered[below])
