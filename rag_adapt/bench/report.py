"""The report: every figure recomputed from the kept answers.

It does not know how answers were obtained, and it asks no model.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from rag_adapt.bench.arms import ARMS
from rag_adapt.bench.figures import (
    AdapterFigures,
    ArmReport,
    CollectionFigures,
    Cost,
    Difference,
    Report,
)
from rag_adapt.bench.store import AnswerRow
from rag_adapt.core.types import Estimate
from rag_adapt.stats.intervals import mean_estimate, paired_difference


@dataclass
class _Tally:
    """What one arm's rows add up to while they stream by."""

    scores: dict[str, list[float]] = field(default_factory=dict)
    """By item: one value per repeat."""
    clusters: dict[str, str] = field(default_factory=dict)
    others: dict[str, dict[str, list[float]]] = field(default_factory=dict)
    """By scorer, then item."""
    failures: dict[str, int] = field(default_factory=dict)
    unscored: int = 0
    tokens_in: int = 0
    tokens_out: int = 0
    seconds: float = 0.0
    cached: int = 0
    alone: list[tuple[float, float]] = field(default_factory=list)
    """First-token and total seconds of answers computed alone."""

    def add(self, row: AnswerRow) -> None:
        if row.failure is not None:
            self.failures[row.failure] = self.failures.get(row.failure, 0) + 1
            return
        self.tokens_in += row.tokens_in
        self.tokens_out += row.tokens_out
        self.seconds += max(0.0, (row.total or 0.0) - row.queued)
        self.cached += row.cached
        if row.alone and not row.cached and row.total is not None:
            self.alone.append((row.first_token or row.total, row.total))
        for name, value in row.scores.items():
            if value is not None:
                self.others.setdefault(name, {}).setdefault(row.item, []).append(value)
        if row.score is None:
            self.unscored += 1
            return
        self.scores.setdefault(row.item, []).append(row.score)
        self.clusters[row.item] = row.cluster

    def means(self) -> dict[str, float]:
        """By item, the mean over repeats."""
        return {item: sum(values) / len(values) for item, values in self.scores.items()}

    def estimate(self) -> Estimate | None:
        means = self.means()
        if not means:
            return None
        return mean_estimate(list(means.values()), [self.clusters[item] for item in means])


@dataclass(frozen=True, kw_only=True)
class Extras:
    """What the answers alone do not tell: why an arm was left out, what its parts took."""

    reasons: Mapping[tuple[str, str], str]
    adapters: Mapping[str, tuple[AdapterFigures, ...]]
    """By skill."""
    collections: Mapping[str, CollectionFigures]


def build_report(
    rows: Iterable[AnswerRow],
    *,
    skills: Sequence[str],
    arms: Sequence[str],
    run: Mapping[str, Any],
    extras: Extras,
) -> Report:
    """Recompute every figure from the rows; memory grows with items, not with traces."""
    tallies: dict[tuple[str, str], _Tally] = {}
    for row in rows:
        tallies.setdefault((row.skill, row.arm), _Tally()).add(row)
    reports = []
    for skill in skills:
        best = _best_control({a: t for (s, a), t in tallies.items() if s == skill})
        for arm in arms:
            tally = tallies.get((skill, arm))
            report = _arm(skill, arm, tally, extras)
            if tally is not None and best is not None and report.measured:
                report = report.model_copy(update={"difference": _difference(arm, tally, *best)})
            reports.append(report)
    return Report(run=dict(run), arms=tuple(reports))


def _best_control(tallies: Mapping[str, _Tally]) -> tuple[str, _Tally] | None:
    scored = []
    for arm, tally in tallies.items():
        estimate = tally.estimate() if ARMS[arm].control else None
        if estimate is not None:
            scored.append((estimate.value, arm, tally))
    if not scored:
        return None
    _, arm, tally = max(scored, key=lambda entry: entry[0])
    return arm, tally


def _difference(arm: str, tally: _Tally, best: str, control: _Tally) -> Difference | None:
    ours, theirs = tally.means(), control.means()
    shared = [item for item in ours if item in theirs]
    if arm == best or not shared:
        return None
    estimate = paired_difference(
        [theirs[item] for item in shared],
        [ours[item] for item in shared],
        [tally.clusters[item] for item in shared],
    )
    return Difference(
        arm=best,
        value=estimate.value,
        ci_low=estimate.low,
        ci_high=estimate.high,
        n=estimate.n,
    )


def _arm(skill: str, arm: str, tally: _Tally | None, extras: Extras) -> ArmReport:
    kind = ARMS[arm]
    empty = ArmReport(skill=skill, arm=arm, control=kind.control, measured=False)
    if tally is None:
        reason = extras.reasons.get((skill, arm), "not measured: no answer was kept")
        return empty.model_copy(update={"reason": reason})
    estimate = tally.estimate()
    figures: dict[str, Any] = {
        "failures": sum(tally.failures.values()),
        "failure_codes": dict(sorted(tally.failures.items())),
        "unscored": tally.unscored,
        "cached": tally.cached,
        "tokens_in": tally.tokens_in,
        "tokens_out": tally.tokens_out,
        "seconds": tally.seconds,
        "scores": {name: _mean_of_means(by_item) for name, by_item in tally.others.items()},
        **_latency(tally.alone),
    }
    if kind.adapter:
        figures["adapters"] = extras.adapters.get(skill, ())
    if kind.corpus:
        figures["collection"] = extras.collections.get(skill)
    if estimate is None:
        return empty.model_copy(update={**figures, "reason": "not measured: no answer was scored"})
    figures |= {
        "measured": True,
        "n": estimate.n,
        "clusters": estimate.clusters,
        "score": estimate.value,
        "ci_low": estimate.low,
        "ci_high": estimate.high,
        "ci_method": estimate.method,
    }
    return empty.model_copy(update=figures)


def _mean_of_means(by_item: Mapping[str, Sequence[float]]) -> float:
    means = [sum(values) / len(values) for values in by_item.values()]
    return sum(means) / len(means)


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
