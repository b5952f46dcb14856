"""The dose curve of a report: each channel's score by number of examples, and where two cross.

It does not know how answers were obtained; it reads tallies. The curve is exploratory: it is in no
contrast and no p-value is adjusted for it. Where a crossover was not reached it says so, with no
number in its place.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import combinations, pairwise
from typing import Any, Final

from rag_adapt.bench.dose_figures import Channel, Crossover, DoseDifference, DoseReport
from rag_adapt.bench.doses import CHANNELS, Dose, doses
from rag_adapt.bench.figures import AdapterFigures
from rag_adapt.bench.recommend import ENOUGH_SEEDS
from rag_adapt.bench.tally import Tally, mean
from rag_adapt.bench.verdict import contrast
from rag_adapt.core.errors import ContextLengthError

EXPLORATORY: Final = (
    "dose curve: exploratory, in no declared contrast and in no correction for several tests; "
    "every interval is a 95 % one by itself, on one seeded order of the examples"
)
ByArm = tuple[str, str]
"""Skill, arm."""


@dataclass(frozen=True, kw_only=True)
class Curve:
    """One skill's."""

    doses: tuple[DoseReport, ...]
    crossovers: tuple[Crossover, ...]


def curve(
    skill: str,
    sizes: Sequence[int],
    tallies: Mapping[str, Tally],
    reasons: Mapping[ByArm, str],
    adapters: Mapping[ByArm, Sequence[AdapterFigures]],
) -> Curve:
    """Read the curve off one skill's tallies.

    Args:
        skill: Its name.
        sizes: Numbers of examples, ascending.
        tallies: By arm.
        reasons: Why an arm was not measured, or was left out.
        adapters: Of the curve's arms.
    """
    found = {
        dose: _dose(skill, dose, tallies, reasons.get((skill, dose.arm)), adapters)
        for dose in doses(sizes)
    }
    scored = {dose for dose, report in found.items() if report.measured}
    crossings: list[Crossover] = []
    for a, b in combinations(CHANNELS, 2):
        evidence = [
            difference
            for size in sizes
            if {Dose(channel=a, examples=size), Dose(channel=b, examples=size)} <= scored
            and (difference := _difference(a, b, size, tallies)) is not None
        ]
        if sizes:
            seeds = _seeds(sizes, tallies) if b == "lora" else ENOUGH_SEEDS
            crossings += crossovers(skill, a, b, evidence, seeds=seeds)
    return Curve(doses=tuple(found.values()), crossovers=tuple(crossings))


def _seeds(sizes: Sequence[int], tallies: Mapping[str, Tally]) -> int:
    """The fewest training seeds of a size; at least one."""
    found = [tallies[f"lora@{size}"] for size in sizes if f"lora@{size}" in tallies]
    return max(1, min((len(made.seeds) for made in found), default=1))


def _dose(
    skill: str,
    dose: Dose,
    tallies: Mapping[str, Tally],
    reason: str | None,
    adapters: Mapping[ByArm, Sequence[AdapterFigures]],
) -> DoseReport:
    made, taught = tallies.get(dose.arm), adapters.get((skill, dose.arm), ())
    figures: dict[str, Any] = {
        "skill": skill,
        "channel": dose.channel,
        "examples": dose.examples,
        "arm": dose.arm,
        "adapter": taught[0].version if taught else None,
        "adapters": tuple(one.version for one in taught),
        "training_seconds": sum(one.seconds for one in taught) if taught else None,
    }
    if made is None:
        reason = reason or "not measured: no answer was kept"
        return DoseReport(**figures, measured=False, reason=reason)
    figures |= {"failures": sum(made.failures.values()), "unscored": made.unscored}
    estimate, reason = made.estimate(), reason or _too_long(dose, made)
    if estimate is None or reason is not None:
        reason = reason or "not measured: no answer was scored"
        return DoseReport(**figures, measured=False, reason=reason)
    return DoseReport(
        **figures,
        measured=True,
        n=estimate.n,
        clusters=estimate.clusters,
        score=estimate.value,
        ci_low=estimate.low,
        ci_high=estimate.high,
        ci_method=estimate.method,
        tokens_in=made.tokens_in,
        cost=mean([total for _, total in made.alone]) if made.alone else None,
    )


def _too_long(dose: Dose, made: Tally) -> str | None:
    """A score on the prompts that did fit would be one on the shorter items: there is none."""
    longer = made.failures.get(ContextLengthError.code, 0)
    if not longer:
        return None
    return (
        f"not measured: {longer} of {made.answers} prompts with {dose.examples} examples do not "
        "fit into the model's context"
    )


def _difference(
    a: Channel, b: Channel, size: int, tallies: Mapping[str, Tally]
) -> DoseDifference | None:
    found = contrast(f"{a}@{size}", f"{b}@{size}", tallies)
    if found is None:
        return None
    estimate = found.estimate
    return DoseDifference(
        examples=size,
        n=estimate.n,
        clusters=estimate.clusters,
        delta=estimate.value,
        ci_low=estimate.low,
        ci_high=estimate.high,
    )


@dataclass(frozen=True, kw_only=True)
class _Told:
    """What the differences say of a crossover."""

    where: str
    sentence: str
    low: int | None = None
    high: int | None = None
    shown: bool = False


def crossovers(
    skill: str, a: Channel, b: Channel, evidence: Sequence[DoseDifference], *, seeds: int
) -> tuple[Crossover, ...]:
    """Where b - a changes its sign: each change that is shown, or one entry that says it is not.

    A sign counts where its interval does not hold 0. The change lies somewhere between the last
    size with the one sign and the first with the other; no number in between is claimed.

    Args:
        skill: Its name.
        a: One channel.
        b: The other.
        evidence: Differences by size, ascending.
        seeds: Training seeds of `lora`; below three the sentence speaks of these adapters.
    """
    told = _changes(a, b, evidence) or [_unchanged(a, b, evidence)]
    note = "" if seeds >= ENOUGH_SEEDS or not evidence else f" These adapters: {_times(seeds)}."
    return tuple(
        Crossover(
            skill=skill,
            a=a,
            b=b,
            low=one.low,
            high=one.high,
            shown=one.shown,
            where=one.where,
            sentence=f"{one.sentence}{note}",
            differences=tuple(evidence),
        )
        for one in told
    )


def _times(seeds: int) -> str:
    return "one training seed" if seeds == 1 else f"{seeds} training seeds"


def _sign(one: DoseDifference) -> int:
    """1 or -1 where the interval lies on one side of 0; 0 where it holds it."""
    return int(one.ci_low > 0) - int(one.ci_high < 0)


def _changes(a: Channel, b: Channel, evidence: Sequence[DoseDifference]) -> list[_Told]:
    decided = [one for one in evidence if _sign(one)]
    return [_change(a, b, one, two) for one, two in pairwise(decided) if _sign(one) != _sign(two)]


def _change(a: Channel, b: Channel, one: DoseDifference, two: DoseDifference) -> _Told:
    winner, loser = _ahead(a, b, two)
    low, high = one.examples, two.examples
    return _Told(
        low=low,
        high=high,
        shown=True,
        where=f"between {low} and {high}",
        sentence=f"{winner} overtakes {loser} between {low} and {high} examples: "
        f"{b} - {a} is {_points(one)} at {low} and {_points(two)} at {high}.",
    )


def _unchanged(a: Channel, b: Channel, evidence: Sequence[DoseDifference]) -> _Told:
    """No change of sign was shown: what can be said instead."""
    named = f"{a} and {b}"
    if not evidence:
        return _Told(where="not measured", sentence=f"{named}: no size was measured for both.")
    sizes = [one.examples for one in evidence]
    decided = [one for one in evidence if _sign(one)]
    if not decided:
        sentence = f"{named}: not shown which is ahead; {_holding(evidence)}."
        return _Told(where="not shown", sentence=sentence)
    winner, loser = _ahead(a, b, decided[0])
    shown = [one.examples for one in decided]
    open_ = [one for one in evidence if not _sign(one)]
    ahead = f"{winner} is ahead of {loser} at {_listed(shown)} examples ({b} - {a}: "
    ahead += ", ".join(_points(one) for one in decided) + ")"
    ahead += f"; {_holding(open_)}" if open_ else ""
    together = shown == sizes[sizes.index(shown[0]) : sizes.index(shown[-1]) + 1]
    if together and shown[0] == sizes[0] and shown[-1] < sizes[-1]:
        where = f">= {shown[-1]}"
        said = f"{ahead}. A crossover was not reached: if there is one, it is {where}."
        return _Told(where=where, low=shown[-1], sentence=said)
    if together and shown[-1] == sizes[-1] and len(shown) > 1:
        where = f"not within {shown[0]}..{shown[-1]}"
        return _Told(where=where, sentence=f"{ahead}. Crossover: {where}.")
    return _Told(where="not shown", sentence=f"{ahead}. A crossover is not shown.")


def _ahead(a: Channel, b: Channel, one: DoseDifference) -> tuple[Channel, Channel]:
    """Who is ahead, and of whom."""
    return (b, a) if _sign(one) > 0 else (a, b)


def _holding(evidence: Sequence[DoseDifference]) -> str:
    sizes = _listed([one.examples for one in evidence])
    return f"at {sizes} the interval holds 0"


def _listed(sizes: Sequence[int]) -> str:
    *first, last = map(str, sizes)
    return f"{', '.join(first)} and {last}" if first else last


def _points(one: DoseDifference) -> str:
    low, high = 100 * one.ci_low, 100 * one.ci_high
    return f"{100 * one.delta:+.1f} points [{low:+.1f}, {high:+.1f}]"
