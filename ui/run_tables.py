"""The tables of a report: one row per arm, contrast, adapter or setting, in words.

They do not know the page.
"""

from typing import Any

from rag_adapt.schemas.records import Report
from ui.wording import NOTHING, Row, between, duration, percent, points, points_between


def arm_rows(report: Report, skill: str, *, control: bool) -> list[Row]:
    """The measured arms: the routes, or the controls."""
    return [
        _arm(arm)
        for arm in report.arms
        if arm.skill == skill and arm.measured and arm.control == control
    ]


def pair_rows(report: Report, skill: str) -> list[Row]:
    """The declared contrasts, with test and smallest detectable difference."""
    return [
        {
            "contrast": f"{pair.b} over {pair.a}",
            "verdict": pair.verdict,
            "difference (points)": points(pair.delta),
            "95 % interval": points_between(pair.ci_low, pair.ci_high),
            "fixed": pair.fixed,
            "broken": pair.broken,
            "items": pair.n,
            "p (Holm)": "< 0.001" if pair.p_holm < 0.001 else f"{pair.p_holm:.3f}",
            "detectable (points)": f"{100 * pair.mde:.0f}",
            "test": pair.test,
        }
        for pair in report.pairs
        if pair.skill == skill
    ]


def latency_rows(report: Report, skill: str) -> list[Row]:
    """Median and 95th percentile of answers computed alone."""
    return [
        {
            "arm": arm.arm,
            "first token, median": duration(arm.first_token_p50),
            "first token, 95 %": duration(arm.first_token_p95),
            "whole answer, median": duration(arm.latency_p50),
            "whole answer, 95 %": duration(arm.latency_p95),
            "answers computed alone": arm.latency_n,
        }
        for arm in report.arms
        if arm.skill == skill and arm.latency_n
    ]


def retrieved_rows(report: Report, skill: str) -> list[Row]:
    """How often a gold passage was sent, and whom passages rescued and harmed."""
    return [
        {
            "arm": one.arm,
            "evidence sent": f"{one.hits} of {one.n}",
            "share": percent(one.hit_rate),
            "95 % interval": between(one.ci_low, one.ci_high),
            "score with it": percent(one.score_hit.score if one.score_hit else None),
            "score without": percent(one.score_missed.score if one.score_missed else None),
            "against": one.against or NOTHING,
            "rescued": f"{one.rescued} of {one.wrong_without}",
            "harmed": f"{one.harmed} of {one.right_without}",
        }
        for one in report.retrieved
        if one.skill == skill
    ]


def guard_rows(report: Report, skill: str) -> list[Row]:
    """What adapters may have damaged, each version once."""
    adapters = {
        adapter.version: adapter
        for arm in report.arms
        if arm.skill == skill
        for adapter in arm.adapters
    }
    return [
        {
            "adapter": version,
            "what": one.name,
            "verdict": one.verdict,
            "damage": NOTHING if one.value is None else f"{one.value:.3g}",
            "unit": one.unit,
            "measured on": one.detail,
        }
        for version, adapter in adapters.items()
        for one in adapter.guard
    ]


def tuning_rows(report: Report, skill: str) -> list[Row]:
    """Examples, documents and dev answers of each route, and what it chose with them."""
    return [
        {
            "arm": arm.arm,
            "examples": given.examples,
            "documents": given.documents,
            "dev answers": f"{given.spent} of {given.budget}",
            "tried": len(given.candidates),
            "chosen": next((one.name for one in given.candidates if one.chosen), NOTHING),
        }
        for arm in report.arms
        if arm.skill == skill
        for given in arm.given
    ]


def _arm(arm: Any) -> Row:
    """One row of an arm's figures."""
    over = arm.difference
    return {
        "arm": arm.arm,
        "score": percent(arm.score),
        "95 % interval": between(arm.ci_low, arm.ci_high),
        "items": arm.n,
        "failures": arm.failures,
        "unscored": arm.unscored,
        "over the best control": NOTHING if over is None else f"{points(over.value)} points",
        "cost": NOTHING if arm.cost is None else f"{arm.cost.value:.3g} {arm.cost.unit}",
        "median answer": duration(arm.latency_p50),
    }
